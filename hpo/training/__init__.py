"""One run is one (configuration, seed): the loop, its metrics, and the store that keeps runs."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.training._arithmetic import COMPILERS, PRECISIONS, Arithmetic
from hpo.training._interrupted import Interrupted
from hpo.training._record import CURVE_COLUMNS, EpochRecord, constant_micro_f1
from hpo.training._spec import TRAINER_VERSION, Numerics, RunSpec, plan_model

if TYPE_CHECKING:
    from hpo.training._data import Part, RunData, TrainingData
    from hpo.training._device import numerics_of, open_device
    from hpo.training._folder import TrainedModel
    from hpo.training._metrics import multilabel_metrics
    from hpo.training._refit import refit
    from hpo.training._session import Session, forward
    from hpo.training._store import History, RunFile, RunStore, Snapshot
    from hpo.training._trainer import ModelRun, Trainer
    from hpo.training._upkeep import Damage, RunSummary, check_store, summarise, trim_store
else:
    __getattr__ = exported_late(
        __name__,
        {
            "_data": (
                "Part",
                "RunData",
                "TrainingData",
            ),
            "_device": (
                "numerics_of",
                "open_device",
            ),
            "_folder": ("TrainedModel",),
            "_metrics": ("multilabel_metrics",),
            "_refit": ("refit",),
            "_session": ("Session", "forward"),
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
    "CURVE_COLUMNS",
    "PRECISIONS",
    "TRAINER_VERSION",
    "Arithmetic",
    "Damage",
    "EpochRecord",
    "History",
    "Interrupted",
    "ModelRun",
    "Numerics",
    "Part",
    "RunData",
    "RunFile",
    "RunSpec",
    "RunStore",
    "RunSummary",
    "Session",
    "Snapshot",
    "TrainedModel",
    "Trainer",
    "TrainingData",
    "check_store",
    "constant_micro_f1",
    "forward",
    "multilabel_metrics",
    "numerics_of",
    "open_device",
    "plan_model",
    "refit",
    "summarise",
    "trim_store",
]
