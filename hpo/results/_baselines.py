"""Predictors that take no search: the most frequent labels, a linear head, and zero-shot labels."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.features import PROMPT, Bundle
from hpo.results._intervals import f1_scores

__all__ = ["Baseline", "constant_baseline", "linear_baseline", "zero_shot_baseline"]

#: Rows that a baseline is fitted to and chosen by at most, evenly spaced: a second's work.
_ROWS = 10_000
#: The same where the embeddings together are wider than ``_WIDE``: the system is then this large.
_ROWS_WIDE, _WIDE = 2_500, 2_048
#: Ridge penalties, as multiples of the number of rows; columns are about 1.
_PENALTIES = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
#: Scores of a 0/1 target above which a label is given.
_CUTS = np.linspace(0.2, 0.5, 11)
_QUANTILES = 200
_MOST_LABELS = 50
_AT_ONCE = 8192

Arrays = Mapping[str, NDArray[np.floating]]


@dataclasses.dataclass(frozen=True, eq=False)
class Baseline:
    """A linear map from embeddings to scores, and a threshold for each class.

    Attributes:
        name: ``constant``, ``linear`` or ``zero_shot``.
        about: How it was made, in words.
        modalities: What it reads; nothing for ``constant``.
        weights: float32 [sum of widths, K].
        thresholds: Labels are given where the score is above; float64 [K].
        normalised: Whether embeddings are brought to a norm of 1 first.
    """

    name: str
    about: str
    modalities: tuple[str, ...]
    weights: NDArray[np.float32]
    thresholds: NDArray[np.float64]
    normalised: bool = False

    def predict(self, arrays: Arrays, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return the labels of some rows, [rows, K].

        Args:
            arrays: Embeddings by modality, [N, D_m].
            index: The rows of them.
        """
        given = np.empty((len(index), len(self.thresholds)), dtype=bool)
        for start in range(0, len(index), _AT_ONCE):
            rows = index[start : start + _AT_ONCE]
            given[start : start + _AT_ONCE] = self.scores(arrays, rows) > self.thresholds
        return given

    def scores(self, arrays: Arrays, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the scores of some rows, float32 [rows, K]."""
        if not self.modalities:
            return np.zeros((len(index), len(self.thresholds)), np.float32)
        x = _beside(arrays, self.modalities, index)
        if self.normalised:
            x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        scores: NDArray[np.float32] = x @ self.weights
        return scores


def constant_baseline(bundle: Bundle, metric: str) -> Baseline:
    """Return the predictor that gives every row the same most frequent labels of the training rows.

    How many of them is best for the metric is tried out on these rows.

    Args:
        bundle: Features, labels and split.
        metric: ``micro_f1``, ``macro_f1`` or ``samples_f1``.
    """
    truth = bundle.labels[_some(bundle.split["train"], _ROWS)] > 0
    order = np.argsort(-truth.sum(axis=0), kind="stable")
    rank = np.argsort(order, kind="stable")
    tried = range(min(len(order), _MOST_LABELS))
    scores = [f1_scores(np.broadcast_to(rank <= k, truth.shape), truth)[metric] for k in tried]
    given = rank <= int(np.argmax(scores))
    named = ", ".join(bundle.classes[k] for k in order[: given.sum()])
    return Baseline(
        "constant",
        f"the most frequent labels for every row: {named}",
        (),
        np.zeros((0, len(order)), np.float32),
        np.where(given, -math.inf, math.inf),
    )


def linear_baseline(bundle: Bundle, metric: str) -> Baseline:
    """Return a linear head on all embeddings side by side: ridge regression on 0/1 targets.

    Each modality is brought to a norm of √width by one factor, as ``feature_scaling: auto`` does.
    The solution is in closed form (Hoerl and Kennard 1970). Penalty and the one threshold of all
    classes are those with the best score on the validation rows.

    Args:
        bundle: See ``constant_baseline``; likewise ``metric``.
    """
    arrays = bundle.features.train
    names = tuple(arrays)
    widths = [arrays[name].shape[1] for name in names]
    limit = _ROWS if sum(widths) <= _WIDE else _ROWS_WIDE
    fitted, chosen = _some(bundle.split["train"], limit), _some(bundle.split["val"], _ROWS)
    x = _beside(arrays, names, fitted)
    scale = np.concatenate(
        [np.full(part.shape[1], _factor(part), np.float32) for part in _parts(x, widths)]
    )
    mean = x.mean(axis=0)
    x = (x - mean) * scale
    y = (bundle.labels[fitted] > 0).astype(np.float32)
    base = y.mean(axis=0)
    val = (_beside(arrays, names, chosen) - mean) * scale
    truth = bundle.labels[chosen] > 0
    best: tuple[float, float, float, NDArray[np.float32]] | None = None
    ridge = _Ridge(x, y - base)
    for penalty in _PENALTIES:
        weights = ridge.solve(penalty * len(x))
        scores = val @ weights + base
        for cut in _CUTS:
            score = f1_scores(scores > cut, truth)[metric]
            if best is None or score > best[0]:
                best = (score, penalty, float(cut), weights)
    assert best is not None  # there are penalties
    _, penalty, cut, weights = best
    folded = weights * scale[:, None]
    return Baseline(
        "linear",
        f"ridge regression on {len(fitted):,} training rows, penalty {penalty:g} a row, "
        f"threshold {cut:.2f}",
        names,
        folded,
        cut - base + mean @ folded.astype(np.float64),
    )


def zero_shot_baseline(
    bundle: Bundle, metric: str, classes: NDArray[np.float32]
) -> Baseline | None:
    """Return labels by the cosine similarity of rows and class names; None if nothing fits.

    Reads the images, or the captions where there are no images. The thresholds by class are
    chosen on training rows; nothing else is.

    Args:
        bundle: See ``constant_baseline``; likewise ``metric``.
        classes: Embeddings of the class names, [K, D].
    """
    arrays = bundle.features.train
    name = next((name for name in ("image", "text") if name in arrays), None)
    if name is None or arrays[name].shape[1] != classes.shape[1]:
        return None
    norms = np.maximum(np.linalg.norm(classes, axis=1), np.finfo(np.float32).tiny)
    weights = (classes.T / norms).astype(np.float32)
    whole = Baseline("zero_shot", "", (name,), weights, np.zeros(len(classes)), normalised=True)
    rows = _some(bundle.split["train"], _ROWS)
    scores, truth = whole.scores(arrays, rows), bundle.labels[rows] > 0
    about = f"cosine similarity of {name} and '{PROMPT.format('CLASS')}', thresholds by class"
    thresholds = _thresholds(scores, truth, metric)
    return dataclasses.replace(whole, about=about, thresholds=thresholds)


def _thresholds(
    scores: NDArray[np.float32], truth: NDArray[np.bool_], metric: str
) -> NDArray[np.float64]:
    """Return thresholds by class: each with the best F1 of its class, or at one base rate.

    The first are best for macro-F1. For the other scores the better of two is taken: those, and
    thresholds that give each class as often as it occurs, times one factor.
    """
    levels = np.linspace(0, 1, _QUANTILES + 1)
    grid = np.quantile(scores, levels, axis=0).astype(np.float64)
    positives = truth.sum(axis=0)
    own = np.empty(truth.shape[1])
    for k in range(len(own)):
        given = scores[:, k] > grid[:, k, None]
        f1 = 2 * (given & truth[:, k]).sum(axis=1) / np.maximum(given.sum(axis=1) + positives[k], 1)
        own[k] = grid[int(f1.argmax()), k]
    candidates = [own]
    for factor in (0.5, 0.75, 1.0, 1.25, 1.5, 2.0):
        level = 1 - np.minimum(factor * positives / len(truth), 1)
        place = np.rint(level * _QUANTILES).astype(int)
        candidates.append(grid[place, np.arange(len(own))])
    rated = [f1_scores(scores > thresholds, truth)[metric] for thresholds in candidates]
    return candidates[int(np.argmax(rated))]


class _Ridge:
    """Solves min ‖XW − Y‖² + penalty · ‖W‖² for W [D, K], by the smaller of the two systems."""

    def __init__(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        self._x, self._y = x, y
        self._primal = x.shape[1] <= len(x)
        self._gram = x.T @ x if self._primal else x @ x.T
        self._right = x.T @ y if self._primal else y

    def solve(self, penalty: float) -> NDArray[np.float32]:
        system = self._gram + np.float32(penalty) * np.eye(len(self._gram), dtype=np.float32)
        found = np.linalg.solve(system, self._right)
        return found if self._primal else self._x.T @ found


def _some(index: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return at most so many of the rows, evenly spaced."""
    if len(index) <= limit:
        return index
    return index[np.linspace(0, len(index) - 1, limit).astype(np.int64)]


def _beside(arrays: Arrays, names: Sequence[str], index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the embeddings of some rows side by side, float32 [rows, sum of widths]."""
    return np.concatenate([arrays[name][index].astype(np.float32) for name in names], axis=1)


def _parts(x: NDArray[np.float32], widths: Sequence[int]) -> list[NDArray[np.float32]]:
    return np.split(x, np.cumsum(widths)[:-1], axis=1)


def _factor(x: NDArray[np.float32]) -> float:
    """Return what brings rows [rows, D] to a norm of √D (root mean square)."""
    square = float(np.square(x, dtype=np.float64).sum(axis=1).mean())
    return math.sqrt(x.shape[1] / square) if square > 0 else 1.0
