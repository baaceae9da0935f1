"""Thresholds by class, chosen on rows that the model was not trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["tune_thresholds"]

_GRID = np.linspace(0.05, 0.95, 91)
#: Grid points on either side that a smoothed score averages over: 0.04 of probability.
_SMOOTH = 4
#: Positives of a class at which its own threshold and the shared one weigh the same.
_PRIOR = 200.0
_ROUNDS = 3


def tune_thresholds(
    probabilities: NDArray[np.floating], truth: NDArray[np.bool_], metrics: Sequence[str]
) -> NDArray[np.float64]:
    """Return a threshold for each class that raises a metric, or the sum of two.

    The best threshold of a class that has few positives is mostly chance: chosen as it is, it is
    worse on other rows than 0.5 (Lin and Lin 2023, "On the Thresholding Strategy for Infrequent
    Labels in Multi-label Classification", doi 10.1145/3583780.3614996). So the score is smoothed
    over neighbouring thresholds before the best one is taken, and that is drawn towards 0.5 by
    n / (n + 200), with n the positives of the class.

    Args:
        probabilities: [rows, K].
        truth: [rows, K].
        metrics: ``micro_f1``, ``macro_f1`` or both.
    """
    positives = truth.sum(axis=0).astype(np.float64)
    # [grid, K]: predicted positives and hits at each threshold
    given = np.stack([(probabilities > t).sum(axis=0) for t in _GRID]).astype(np.float64)
    hits = np.stack([((probabilities > t) & truth).sum(axis=0) for t in _GRID]).astype(np.float64)
    classes = len(positives)
    by_class = 2 * hits / np.maximum(given + positives, 1)
    index = np.arange(classes)
    place = np.full(classes, int(np.abs(_GRID - 0.5).argmin()))
    for _ in range(_ROUNDS):
        for k in range(classes):
            others = index != k
            score = np.zeros(len(_GRID))
            if "macro_f1" in metrics:
                score += by_class[:, k] / classes
            if "micro_f1" in metrics:
                all_hits = hits[:, k] + hits[place[others], index[others]].sum()
                all_given = given[:, k] + given[place[others], index[others]].sum()
                score += 2 * all_hits / np.maximum(all_given + positives.sum(), 1)
            place[k] = int(_smoothed(score).argmax())
    weight = positives / (positives + _PRIOR)
    chosen: NDArray[np.float64] = weight * _GRID[place] + (1 - weight) * 0.5
    return chosen


def _smoothed(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores [grid], each the mean of its neighbours."""
    padded = np.pad(scores, _SMOOTH, mode="edge")
    smooth: NDArray[np.float64] = np.convolve(padded, np.ones(2 * _SMOOTH + 1), mode="valid")
    return smooth / (2 * _SMOOTH + 1)
