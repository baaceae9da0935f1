"""What a finished study leaves: the refitted model, predictions, and its numbers."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.results._metrics import study_metrics
from hpo.results._predictions import write_csv, write_predictions, write_probabilities

if TYPE_CHECKING:
    from hpo.results._encoding import encoder_of
    from hpo.results._refit import refit_best
else:
    __getattr__ = exported_late(__name__, {"_encoding": ("encoder_of",), "_refit": ("refit_best",)})

__all__ = [
    "encoder_of",
    "refit_best",
    "study_metrics",
    "write_csv",
    "write_predictions",
    "write_probabilities",
]
