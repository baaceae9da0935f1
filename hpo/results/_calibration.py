"""How far probabilities can be taken at their word, and their correction where that helps."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.results._intervals import Groups, Interval, resampled_weights
from hpo.training import Calibration

__all__ = [
    "BINS",
    "Calibrated",
    "ReliabilityBin",
    "calibrate",
    "calibration_error",
    "kept",
    "reliability",
]

#: Bins of equal width between 0 and 1, as in Guo et al. 2017.
BINS = 15
_FOLDS = 5
_NEWTON = 50
_SMALLEST_SLOPE = 1e-3

Probabilities = NDArray[np.floating]
Truth = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """Cells (a row and a class) whose probability is between two bounds.

    Attributes:
        low: Lower bound, included.
        high: Upper bound, excluded but for 1.
        cells: How many there are.
        probability: Their mean probability; NaN without cells.
        frequency: How many of them are positive, from 0 to 1; NaN without cells.
    """

    low: float
    high: float
    cells: int
    probability: float
    frequency: float


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """A correction that was tried.

    Attributes:
        calibration: Fitted to all rows.
        before: Expected calibration error as it is.
        after: The same where each row is corrected by a fit to other rows.
        gain: By how much that is lower; paired over rows.
        loss: Mean log loss of the corrected cells.
    """

    calibration: Calibration
    before: Interval
    after: Interval
    gain: Interval
    loss: float


def calibration_error(
    models: Sequence[Probabilities], truth: Truth, groups: Groups = None, seed: int = 0
) -> Interval:
    """Return the expected calibration error in percentage points, with a 95% interval.

    The cells of all classes are sorted into 15 bins by their probability. The error is the mean
    over cells of the distance between their bin's mean probability and the frequency of positives
    in it (Guo et al. 2017, equation 3, for the probability of each label). The interval is by
    bootstrap over rows; since resampling raises a mean of distances, it is centred on the value.

    Args:
        models: Probabilities [rows, K] of models that differ by their seed; pooled.
        truth: [rows, K].
        groups: The picture of each row: pictures are drawn then, with all their rows.
        seed: Of the resampling.
    """
    gaps = _gaps(models, truth)
    return _centred(_error(gaps), _drawn(gaps, groups, seed), lowest=0.0)


def reliability(models: Sequence[Probabilities], truth: Truth) -> list[ReliabilityBin]:
    """Return the bins of the calibration error.

    Args:
        models: See ``calibration_error``; likewise ``truth``.
    """
    p = np.concatenate([model.ravel() for model in models]).astype(np.float64)
    y = np.concatenate([truth.ravel()] * len(models))
    place = _place(p)
    cells = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        probability = np.bincount(place, weights=p, minlength=BINS) / cells
        frequency = np.bincount(place, weights=y, minlength=BINS) / cells
    return [
        ReliabilityBin(b / BINS, (b + 1) / BINS, int(cells[b]), probability[b], frequency[b])
        for b in range(BINS)
    ]


def calibrate(
    models: Sequence[Probabilities], truth: Truth, groups: Groups = None, seed: int = 0
) -> list[Calibrated]:
    """Return what temperature scaling and Platt scaling do to rows that they were not fitted to.

    Args:
        models: Probabilities [rows, K] of models that were not trained on these rows.
        truth: [rows, K].
        groups: The picture of each row, all rows of which are in one fold.
        seed: Of the folds for cross-fitting, and of the resampling.

    Returns:
        One for each method; none if there are fewer rows, or pictures, than folds.
    """
    pictures, place = np.unique(
        np.arange(len(truth)) if groups is None else groups, return_inverse=True
    )
    if len(pictures) < _FOLDS:
        return []
    fold = (np.random.default_rng(seed).permutation(len(pictures)) % _FOLDS)[place]
    before = _gaps(models, truth)
    tried = []
    for fit in (_temperature, _platt):
        corrected = [np.empty(model.shape, np.float32) for model in models]
        for held in (fold == f for f in range(_FOLDS)):
            calibration = fit([model[~held] for model in models], truth[~held])
            for model, out in zip(models, corrected, strict=True):
                out[held] = calibration.apply(model[held])
        after = _gaps(corrected, truth)
        drawn, drawn_after = _drawn(before, groups, seed), _drawn(after, groups, seed)
        error, error_after = _error(before), _error(after)
        tried.append(
            Calibrated(
                fit(models, truth),
                _centred(error, drawn, lowest=0.0),
                _centred(error_after, drawn_after, lowest=0.0),
                _centred(error - error_after, drawn - drawn_after),
                float(np.mean([_log_loss(model, truth) for model in corrected])),
            )
        )
    return tried


def kept(tried: Sequence[Calibrated]) -> Calibrated | None:
    """Return the correction to use: that of the lowest log loss among those that surely gain."""
    sure = [one for one in tried if one.gain.low > 0]
    return min(sure, key=lambda one: one.loss) if sure else None


def _temperature(models: Sequence[Probabilities], truth: Truth) -> Calibration:
    """Fit one slope for all classes by maximum likelihood (Newton; the loss is convex)."""
    z = np.concatenate([_logits(model) for model in models])
    y = np.concatenate([truth] * len(models)).astype(np.float64)
    slope = _newton(z.reshape(1, -1), y.reshape(1, -1), offset=False)[0]
    classes = truth.shape[1]
    return Calibration("temperature", (float(slope[0]),) * classes, (0.0,) * classes)


def _platt(models: Sequence[Probabilities], truth: Truth) -> Calibration:
    """Fit slope and offset of each class to Platt's smoothed targets."""
    z = np.concatenate([_logits(model) for model in models])
    y = np.concatenate([truth] * len(models))
    positives = y.sum(axis=0)
    high = (positives + 1) / (positives + 2)
    low = 1 / (len(y) - positives + 2)
    targets = np.where(y, high, low)
    found = _newton(z.T, targets.T, offset=True)
    return Calibration("platt", tuple(found[:, 0].tolist()), tuple(found[:, 1].tolist()))


def _newton(
    z: NDArray[np.float64], targets: NDArray[np.float64], *, offset: bool
) -> NDArray[np.float64]:
    """Return slope and offset of each problem [problems, 2] that minimise the log loss.

    Args:
        z: Logits, [problems, cells].
        targets: Between 0 and 1, [problems, cells].
        offset: Whether there is an offset; 0 otherwise.
    """
    slope, shift = np.ones(len(z)), np.zeros(len(z))
    for _ in range(_NEWTON):
        p = 1 / (1 + np.exp(-(slope[:, None] * z + shift[:, None])))
        slack, curve = p - targets, p * (1 - p)
        g_slope, g_shift = (slack * z).mean(axis=1), slack.mean(axis=1)
        # a little ridge keeps the system solvable where all cells are alike
        aa = (curve * z * z).mean(axis=1) + 1e-9
        if offset:
            ab, bb = (curve * z).mean(axis=1), curve.mean(axis=1) + 1e-9
            determinant = np.maximum(aa * bb - ab * ab, 1e-18)
            step_slope = (bb * g_slope - ab * g_shift) / determinant
            step_shift = (aa * g_shift - ab * g_slope) / determinant
        else:
            step_slope, step_shift = g_slope / aa, np.zeros_like(shift)
        # the loss is convex; bounded steps keep Newton's method from jumping past its minimum
        slope = np.maximum(slope - np.clip(step_slope, -0.5, 0.5), _SMALLEST_SLOPE)
        shift = shift - np.clip(step_shift, -1.0, 1.0)
        if max(np.abs(step_slope).max(), np.abs(step_shift).max()) < 1e-7:
            break
    return np.stack([slope, shift], axis=1)


def _logits(probabilities: Probabilities) -> NDArray[np.float64]:
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    logits: NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return logits


def _log_loss(probabilities: Probabilities, truth: Truth) -> float:
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    return float(-np.where(truth, np.log(p), np.log1p(-p)).mean())


def _gaps(models: Sequence[Probabilities], truth: Truth) -> NDArray[np.float64]:
    """Return the sum of p − y of each row in each bin, over classes and models, [rows, bins].

    Divided by the number of cells a row has.
    """
    rows, classes = truth.shape
    sums = np.zeros(rows * BINS)
    for model in models:
        p = model.astype(np.float64)
        place = _place(p) + BINS * np.arange(rows)[:, None]
        sums += np.bincount(place.ravel(), weights=(p - truth).ravel(), minlength=rows * BINS)
    gaps: NDArray[np.float64] = sums.reshape(rows, BINS) / (classes * len(models))
    return gaps


def _place(p: NDArray[np.float64]) -> NDArray[np.int64]:
    place: NDArray[np.int64] = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    return place


def _error(gaps: NDArray[np.float64]) -> float:
    return float(100 * np.abs(gaps.mean(axis=0)).sum())


def _drawn(gaps: NDArray[np.float64], groups: Groups, seed: int) -> NDArray[np.float64]:
    """Return the error on resampled rows, [resamples]."""
    parts = [
        100 * np.abs(weights @ gaps).sum(axis=1) / _rows_drawn(weights, groups)
        for weights in resampled_weights(len(gaps), seed, groups)
    ]
    return np.concatenate(parts)


def _rows_drawn(weights: NDArray[np.float32], groups: Groups) -> int | NDArray[np.float32]:
    """Return how many rows each resample has: always as many, unless pictures are drawn."""
    if groups is None:
        return int(weights.shape[1])
    drawn: NDArray[np.float32] = weights.sum(axis=1)
    return drawn


def _centred(value: float, drawn: NDArray[np.float64], lowest: float = -np.inf) -> Interval:
    low, high = np.percentile(drawn - drawn.mean() + value, [2.5, 97.5])
    return Interval(value, max(float(low), lowest), float(high))
