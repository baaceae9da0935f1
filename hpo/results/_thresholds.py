"""Thresholds by class, chosen on rows that the model was not trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["tune_thresholds"]

_GRID = np.linspace(0.05, 0.95, 91)
#: Grid points on either side that a smoothed score averages over: 0.04 of probability.
_SMOOTH = 4
#: Positives of a class at which its own threshold and the shared one weigh the same: docs/log.md.
_PRIOR = 500.0
_ROUNDS = 3


def tune_thresholds(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.bool_],
    metrics: Sequence[str],
    *,
    prior: float = _PRIOR,
    towards: float | None = None,
) -> NDArray[np.float64]:
    """Return a threshold for each class that raises a metric, or the sum of several.

    The best threshold of a class that has few positives is mostly chance: chosen as it is, it can
    be worse on other rows than one for all classes (Lin and Lin 2023, "On the Thresholding Strategy
    for Infrequent Labels in Multi-label Classification", doi 10.1145/3583780.3614996). So the
    score is smoothed over neighbouring thresholds before the best one is taken, and that is drawn
    towards the best one that all classes share: its own weight is n / (n + prior), with n the
    positives of the class.

    Args:
        probabilities: [rows, K].
        truth: [rows, K].
        metrics: Of ``micro_f1``, ``macro_f1`` and ``samples_f1``.
        prior: Positives at which a class's own threshold and ``towards`` weigh the same.
        towards: What the thresholds of rare classes are drawn to; by default the best shared one.
    """
    search = _Search(probabilities, truth, metrics)
    if towards is None:
        towards = search.shared()
    for _ in range(_ROUNDS):
        for k in range(truth.shape[1]):
            search.improve(k)
    weight = search.positives / np.maximum(search.positives + prior, 1)
    chosen: NDArray[np.float64] = weight * _GRID[search.place] + (1 - weight) * towards
    return chosen


class _Search:
    """Coordinate ascent: the best threshold of one class while the others stay.

    Attributes:
        positives: Of each class, [K].
        place: Where in the grid each class's threshold is, [K].
    """

    def __init__(
        self, probabilities: NDArray[np.floating], truth: NDArray[np.bool_], metrics: Sequence[str]
    ) -> None:
        self._metrics = metrics
        self._truth = truth
        self.positives = truth.sum(axis=0).astype(np.float64)
        # a label is given at the first so many thresholds of the grid, [rows, K]
        self._above = np.searchsorted(_GRID, probabilities.astype(np.float64), side="left")
        self._given = self._at_thresholds(np.ones_like(truth))  # [grid, K]
        self._hits = self._at_thresholds(truth)
        classes = len(self.positives)
        self._by_class = 2 * self._hits / np.maximum(self._given + self.positives, 1)
        self.place = np.full(classes, int(np.abs(_GRID - 0.5).argmin()))

    def shared(self) -> float:
        """Return the one threshold of all classes with the highest smoothed score."""
        score = np.zeros(len(_GRID))
        if "macro_f1" in self._metrics:
            score += self._by_class.mean(axis=1)
        if "micro_f1" in self._metrics:
            given, hits = self._given.sum(axis=1), self._hits.sum(axis=1)
            score += 2 * hits / np.maximum(given + self.positives.sum(), 1)
        if "samples_f1" in self._metrics:
            score += [self._samples_at(j) for j in range(len(_GRID))]
        return float(_GRID[int(_smoothed(score).argmax())])

    def improve(self, k: int) -> None:
        """Move the threshold of class ``k`` to where the smoothed score is highest."""
        score = np.zeros(len(_GRID))
        if "macro_f1" in self._metrics:
            score += self._by_class[:, k] / len(self.place)
        if "micro_f1" in self._metrics:
            score += self._micro(k)
        if "samples_f1" in self._metrics:
            score += self._samples(k)
        self.place[k] = int(_smoothed(score).argmax())

    def _micro(self, k: int) -> NDArray[np.float64]:
        """Return micro-F1 at each threshold of class ``k``."""
        others = np.arange(len(self.place)) != k
        index = np.flatnonzero(others)
        hits = self._hits[:, k] + self._hits[self.place[others], index].sum()
        given = self._given[:, k] + self._given[self.place[others], index].sum()
        scores: NDArray[np.float64] = 2 * hits / np.maximum(given + self.positives.sum(), 1)
        return scores

    def _samples(self, k: int) -> NDArray[np.float64]:
        """Return samples-F1 at each threshold of class ``k``."""
        given = self._above > self.place
        given[:, k] = False
        hits = (given & self._truth).sum(axis=1)
        both = given.sum(axis=1) + self._truth.sum(axis=1)
        without = 2 * hits / np.maximum(both, 1)
        gain = 2 * (hits + self._truth[:, k]) / (both + 1) - without
        # at threshold j those rows have the label that are above it
        sums = np.bincount(self._above[:, k], weights=gain, minlength=len(_GRID) + 1)
        gained = sums.sum() - np.cumsum(sums)[:-1]
        scores: NDArray[np.float64] = (without.sum() + gained) / len(given)
        return scores

    def _samples_at(self, j: int) -> float:
        """Return samples-F1 with all classes at one threshold of the grid."""
        given = self._above > j
        hits = (given & self._truth).sum(axis=1)
        both = given.sum(axis=1) + self._truth.sum(axis=1)
        return float((2 * hits / np.maximum(both, 1)).mean())

    def _at_thresholds(self, counted: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return how many counted cells of each class are above each threshold, [grid, K]."""
        columns = []
        for above, chosen in zip(self._above.T, counted.T, strict=True):
            sums = np.bincount(above[chosen], minlength=len(_GRID) + 1)
            columns.append(sums.sum() - np.cumsum(sums)[:-1])
        return np.stack(columns, axis=1).astype(np.float64)


def _smoothed(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores [grid], each the mean of its neighbours."""
    padded = np.pad(scores, _SMOOTH, mode="edge")
    smooth: NDArray[np.float64] = np.convolve(padded, np.ones(2 * _SMOOTH + 1), mode="valid")
    return smooth / (2 * _SMOOTH + 1)
