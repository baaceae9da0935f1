"""What a finished study leaves: the refitted model, predictions, and its numbers."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.results._intervals import Interval, f1_differences, f1_intervals, f1_scores
from hpo.results._metrics import study_metrics
from hpo.results._pick import check_pick, pick_task
from hpo.results._predictions import write_csv, write_predictions, write_probabilities
from hpo.results._thresholds import tune_thresholds

if TYPE_CHECKING:
    from hpo.results._encoding import (
        encoders_of,
        inputs_of,
        source_widths,
        values_by_source,
    )
    from hpo.results._ensemble import Selection, select_ensemble
    from hpo.results._judge import Judgement, judge, scores_on_test
    from hpo.results._refit import refit_best
else:
    __getattr__ = exported_late(
        __name__,
        {
            "_encoding": ("encoders_of", "inputs_of", "source_widths", "values_by_source"),
            "_ensemble": ("Selection", "select_ensemble"),
            "_judge": ("Judgement", "judge", "scores_on_test"),
            "_refit": ("refit_best",),
        },
    )

__all__ = [
    "Interval",
    "Judgement",
    "Selection",
    "check_pick",
    "encoders_of",
    "f1_differences",
    "f1_intervals",
    "f1_scores",
    "inputs_of",
    "judge",
    "pick_task",
    "refit_best",
    "scores_on_test",
    "select_ensemble",
    "source_widths",
    "study_metrics",
    "tune_thresholds",
    "values_by_source",
    "write_csv",
    "write_predictions",
    "write_probabilities",
]
