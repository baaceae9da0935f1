"""The worker: takes tasks of a study one after the other and trains them on its device."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.worker._settings import Stopping, WorkerSettings

if TYPE_CHECKING:
    from hpo.worker.__main__ import main
    from hpo.worker._pulse import STALLED_EXIT
    from hpo.worker._trouble import WorkerTroubleError
    from hpo.worker._worker import Worker
else:
    __getattr__ = exported_late(
        __name__,
        {
            "__main__": ("main",),
            "_pulse": ("STALLED_EXIT",),
            "_trouble": ("WorkerTroubleError",),
            "_worker": ("Worker",),
        },
    )

__all__ = ["STALLED_EXIT", "Stopping", "Worker", "WorkerSettings", "WorkerTroubleError", "main"]
