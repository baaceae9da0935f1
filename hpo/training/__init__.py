"""One run is one (configuration, seed): the loop, its metrics, and the store that keeps runs."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.training._arithmetic import COMPILERS, PRECISIONS, Arithmetic
from hpo.training._calibration import Calibration
from hpo.training._curve import (
    METRICS,
    STANDING_METRICS,
    EpochRecord,
    constant_micro_f1,
    curve_columns,
    metric_label,
)
from hpo.training._fits import NoRoomError, check_fits
from hpo.training._interrupted import Interrupted
from hpo.training._memory import copy_gb, memory_share_gb
from hpo.training._spec import (
    Numerics,
    RunSpec,
    head_runs,
    plan_model,
    trained_by,
)

if TYPE_CHECKING:
    from hpo.training._compare import standard_error
    from hpo.training._data import Part, RunData, TrainingData
    from hpo.training._device import Device, open_device, tune_allocator
    from hpo.training._folder import Member, TrainedModel
    from hpo.training._folds import out_of_fold
    from hpo.training._forward import forward
    from hpo.training._latency import latency_ms
    from hpo.training._learner import Learner, make_learner
    from hpo.training._lockstep import Lockstep
    from hpo.training._members import combined, refitted_megabytes
    from hpo.training._metrics import metric_functions
    from hpo.training._refit import refit, refit_config
    from hpo.training._rows import MappedRows, RowSource
    from hpo.training._session import Session
    from hpo.training._side_by_side import Steps, side_by_side
    from hpo.training._store import History, RunFile, RunStore, Snapshot
    from hpo.training._trainer import ModelRun, Trainer
    from hpo.training._upkeep import Damage, RunSummary, check_store, summarise, trim_store
else:
    __getattr__ = exported_late(
        __name__,
        {
            "_compare": ("standard_error",),
            "_data": (
                "Part",
                "RunData",
                "TrainingData",
            ),
            "_device": (
                "Device",
                "open_device",
                "tune_allocator",
            ),
            "_folder": ("Member", "TrainedModel"),
            "_folds": ("out_of_fold",),
            "_forward": ("forward",),
            "_latency": ("latency_ms",),
            "_learner": (
                "Learner",
                "make_learner",
            ),
            "_lockstep": ("Lockstep",),
            "_members": ("combined", "refitted_megabytes"),
            "_metrics": ("metric_functions",),
            "_refit": ("refit", "refit_config"),
            "_rows": (
                "MappedRows",
                "RowSource",
            ),
            "_session": ("Session",),
            "_side_by_side": ("Steps", "side_by_side"),
            "_store": (
                "History",
                "RunFile",
                "RunStore",
                "Snapshot",
            ),
            "_trainer": (
                "ModelRun",
                "Trainer",
            ),
            "_upkeep": (
                "Damage",
                "RunSummary",
                "check_store",
                "summarise",
                "trim_store",
            ),
        },
    )

__all__ = [
    "COMPILERS",
    "METRICS",
    "PRECISIONS",
    "STANDING_METRICS",
    "Arithmetic",
    "Calibration",
    "Damage",
    "Device",
    "EpochRecord",
    "History",
    "Interrupted",
    "Learner",
    "Lockstep",
    "MappedRows",
    "Member",
    "ModelRun",
    "NoRoomError",
    "Numerics",
    "Part",
    "RowSource",
    "RunData",
    "RunFile",
    "RunSpec",
    "RunStore",
    "RunSummary",
    "Session",
    "Snapshot",
    "Steps",
    "TrainedModel",
    "Trainer",
    "TrainingData",
    "check_fits",
    "check_store",
    "combined",
    "constant_micro_f1",
    "copy_gb",
    "curve_columns",
    "forward",
    "head_runs",
    "latency_ms",
    "make_learner",
    "memory_share_gb",
    "metric_functions",
    "metric_label",
    "open_device",
    "out_of_fold",
    "plan_model",
    "refit",
    "refit_config",
    "refitted_megabytes",
    "side_by_side",
    "standard_error",
    "summarise",
    "trained_by",
    "trim_store",
    "tune_allocator",
]
