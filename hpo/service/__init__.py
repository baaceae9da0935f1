"""Where and by whom a study is worked on: storage, ledger, workers, devices."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.service._launch import Placement, Workers, place_workers, resolve_devices
from hpo.service._ledger import MAX_ATTEMPTS, Ledger
from hpo.service._open import open_ledger, open_storage
from hpo.service._patience import Patience
from hpo.service._prepare import DataOptions, FolderDefaults, folder_defaults, prepare_bundle
from hpo.service._pulse import WorkerSettings
from hpo.service._ray_plan import RayPlan, connect_ray
from hpo.service._storage import open_database
from hpo.service._study import Definition, Study, finished_trial, head_runs
from hpo.service._tables import Fenced, NewTask, NewTrial, StudyRow, Task
from hpo.service._url import check_url, redact

if TYPE_CHECKING:
    from hpo.service._ray import RayWorkers
    from hpo.service._worker import Worker
else:
    __getattr__ = exported_late(
        __name__,
        {
            "_ray": ("RayWorkers",),
            "_worker": ("Worker",),
        },
    )

__all__ = [
    "MAX_ATTEMPTS",
    "DataOptions",
    "Definition",
    "Fenced",
    "FolderDefaults",
    "Ledger",
    "NewTask",
    "NewTrial",
    "Patience",
    "Placement",
    "RayPlan",
    "RayWorkers",
    "Study",
    "StudyRow",
    "Task",
    "Worker",
    "WorkerSettings",
    "Workers",
    "check_url",
    "connect_ray",
    "finished_trial",
    "folder_defaults",
    "head_runs",
    "open_database",
    "open_ledger",
    "open_storage",
    "place_workers",
    "prepare_bundle",
    "redact",
    "resolve_devices",
]
