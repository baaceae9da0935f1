"""What a finished study leaves: the refitted model, predictions, and its numbers."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.results._calibration import calibrate, calibration_error, reliability
from hpo.results._class_scores import ClassScore, class_rows, class_scores
from hpo.results._floor import Floor, FloorLine, FloorThread, compute_floor, stored_floor
from hpo.results._intervals import Interval, f1_differences, f1_intervals, f1_scores, listed
from hpo.results._metrics import study_metrics
from hpo.results._pick import check_pick, pick_task
from hpo.results._predictions import write_csv, write_predictions, write_probabilities
from hpo.results._thresholds import tune_thresholds

if TYPE_CHECKING:
    from hpo.results._card import CARD, model_card, write_card
    from hpo.results._decide import Decision, decide, decide_on, seed_probabilities, trainer_of
    from hpo.results._details import by_class, without_modalities
    from hpo.results._encoding import (
        encoders_of,
        inputs_of,
        long_caption_rules,
        source_widths,
        values_by_source,
    )
    from hpo.results._ensemble import Selection, select_ensemble
    from hpo.results._judge import Judgement, judge
    from hpo.results._lacking import count_lacking, lacking_of
    from hpo.results._lengths import length_notes
    from hpo.results._paired import RowsSeen, paired, refitted_on_test, winner_on
    from hpo.results._refit import refit_best
    from hpo.results._score_interval import score_interval
    from hpo.results._untouched import (
        UntouchedScores,
        probabilities_on_test,
        scores_on_test,
    )
else:
    __getattr__ = exported_late(
        __name__,
        {
            "_card": ("CARD", "model_card", "write_card"),
            "_decide": ("Decision", "decide", "decide_on", "seed_probabilities", "trainer_of"),
            "_details": ("by_class", "without_modalities"),
            "_encoding": (
                "encoders_of",
                "inputs_of",
                "long_caption_rules",
                "source_widths",
                "values_by_source",
            ),
            "_ensemble": ("Selection", "select_ensemble"),
            "_judge": ("Judgement", "judge"),
            "_lacking": ("count_lacking", "lacking_of"),
            "_lengths": ("length_notes",),
            "_paired": ("RowsSeen", "paired", "refitted_on_test", "winner_on"),
            "_refit": ("refit_best",),
            "_score_interval": ("score_interval",),
            "_untouched": ("UntouchedScores", "probabilities_on_test", "scores_on_test"),
        },
    )

__all__ = [
    "CARD",
    "ClassScore",
    "Decision",
    "Floor",
    "FloorLine",
    "FloorThread",
    "Interval",
    "Judgement",
    "RowsSeen",
    "Selection",
    "UntouchedScores",
    "by_class",
    "calibrate",
    "calibration_error",
    "check_pick",
    "class_rows",
    "class_scores",
    "compute_floor",
    "count_lacking",
    "decide",
    "decide_on",
    "encoders_of",
    "f1_differences",
    "f1_intervals",
    "f1_scores",
    "inputs_of",
    "judge",
    "lacking_of",
    "length_notes",
    "listed",
    "long_caption_rules",
    "model_card",
    "paired",
    "pick_task",
    "probabilities_on_test",
    "refit_best",
    "refitted_on_test",
    "reliability",
    "score_interval",
    "scores_on_test",
    "seed_probabilities",
    "select_ensemble",
    "source_widths",
    "stored_floor",
    "study_metrics",
    "trainer_of",
    "tune_thresholds",
    "values_by_source",
    "winner_on",
    "without_modalities",
    "write_card",
    "write_csv",
    "write_predictions",
    "write_probabilities",
]
