"""``reliability.csv``: how often what is predicted with some probability is right."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo.results import reliability, write_csv

if TYPE_CHECKING:
    from hpo.results import Decision

__all__ = ["write_reliability"]


def write_reliability(
    path: Path,
    decision: "Decision",
    on_test: Sequence[NDArray[np.float32]] | None,
    truth: NDArray[np.bool_] | None,
) -> None:
    """Write the bins of the expected calibration error.

    Args:
        path: The file. Its columns are part, low, high, cells (a row and a class each), the mean
            probability of the cells, and the frequency of positives among them.
        decision: Holds probabilities of rows that their models were not trained on.
        on_test: Probabilities of the test part, [rows, K]; None without one.
        truth: Of the test part.
    """
    parts = {"validation": (list(decision.held_out), decision.truth)}
    if on_test is not None and truth is not None:
        parts["test"] = (list(on_test), truth)
        if decision.calibration is not None:
            corrected = [decision.calibration.apply(model) for model in on_test]
            parts["test, calibrated"] = (corrected, truth)
    rows = [
        [part, f"{b.low:.4f}", f"{b.high:.4f}", b.cells, _cell(b.probability), _cell(b.frequency)]
        for part, (models, right) in parts.items()
        for b in reliability(models, right)
    ]
    write_csv(path, ["part", "low", "high", "cells", "probability", "frequency"], rows)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.5f}"
