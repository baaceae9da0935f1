"""Optuna, kept in one room: its storage, its tables, what its samplers and pruners say.

Nothing else in the package uses a private name of Optuna or its tables. Within the room only
``_tables``, ``_writing``, ``_copying``, ``_reading``, ``_known``, ``_client`` and ``_server`` do,
and ``knows_optuna`` tells whether they may.
"""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.trials._ask import Draw, Searched, redraw, sample_config, should_prune
from hpo.trials._database import close_storage, has_tables, open_database
from hpo.trials._dialects import Dialect, dialect_of
from hpo.trials._engine import busy_at_most, engine_arguments, reporting_failure, tune
from hpo.trials._known import REVISION, knows_optuna
from hpo.trials._live import LiveTrial, NewTrial, TrialEnd
from hpo.trials._partial import last_scored
from hpo.trials._passing import (
    StoreAwayError,
    StoreUnfitError,
    is_of_storage,
    lasting_reason,
    passing_reason,
)
from hpo.trials._redact import redact
from hpo.trials._seal import SEAL, SEALED_ATTRIBUTES, damage, seal_of
from hpo.trials._study import (
    FoundStudy,
    OptunaStudy,
    all_studies,
    find_study,
    identify,
    open_study,
)
from hpo.trials._url import check_exists, check_url, is_proxy

if TYPE_CHECKING:
    from hpo.trials._client import storage_client
    from hpo.trials._copying import copy_trials
    from hpo.trials._server import storage_server
    from hpo.trials._shown import Shown, attached_files
    from hpo.trials._writing import append_to_trial, create_trial, finish_trial
else:
    __getattr__ = exported_late(
        __name__,
        {
            # gRPC is an extra
            "_client": ("storage_client",),
            "_server": ("storage_server",),
            # what it imports is only needed to show something
            "_shown": ("Shown", "attached_files"),
            "_copying": ("copy_trials",),
            "_writing": ("append_to_trial", "create_trial", "finish_trial"),
        },
    )

__all__ = [
    "REVISION",
    "SEAL",
    "SEALED_ATTRIBUTES",
    "Dialect",
    "Draw",
    "FoundStudy",
    "LiveTrial",
    "NewTrial",
    "OptunaStudy",
    "Searched",
    "Shown",
    "StoreAwayError",
    "StoreUnfitError",
    "TrialEnd",
    "all_studies",
    "append_to_trial",
    "attached_files",
    "busy_at_most",
    "check_exists",
    "check_url",
    "close_storage",
    "copy_trials",
    "create_trial",
    "damage",
    "dialect_of",
    "engine_arguments",
    "find_study",
    "finish_trial",
    "has_tables",
    "identify",
    "is_of_storage",
    "is_proxy",
    "knows_optuna",
    "last_scored",
    "lasting_reason",
    "open_database",
    "open_study",
    "passing_reason",
    "redact",
    "redraw",
    "reporting_failure",
    "sample_config",
    "seal_of",
    "should_prune",
    "storage_client",
    "storage_server",
    "tune",
]
