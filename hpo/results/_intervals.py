"""F1 scores with confidence intervals, by bootstrap over rows and seeds."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "F1_SCORES",
    "Groups",
    "Interval",
    "f1_compared",
    "f1_differences",
    "f1_intervals",
    "f1_scores",
    "listed",
    "mean_scores",
    "resampled_weights",
]

F1_SCORES = ("micro_f1", "macro_f1", "samples_f1")
_RESAMPLES = 1000
_AT_ONCE = 50

Predictions = NDArray[np.bool_]
#: The number of each row's picture, [rows], where a picture may have several rows; else None.
Groups = NDArray[np.int64] | None


@dataclasses.dataclass(frozen=True)
class Interval:
    """A score and its 95% confidence interval, in percent."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def f1_scores(predicted: Predictions, truth: NDArray[np.bool_]) -> dict[str, float]:
    """Return micro-, macro- and samples-F1 in percent, as scikit-learn with ``zero_division=0``.

    Args:
        predicted: Which labels are predicted, [rows, K].
        truth: Which are right, [rows, K].
    """
    once = np.ones((1, len(truth)), np.float32)
    return {name: float(v[0]) for name, v in _Counts(predicted, truth).scores(once).items()}


def f1_intervals(
    predicted: Sequence[Predictions],
    truth: NDArray[np.bool_],
    groups: Groups = None,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the mean scores over models that differ by their seed, with intervals.

    Rows are drawn with replacement, and so are the models where there are several: the interval
    is that of what other rows, and other seeds, would have given (Efron and Tibshirani 1993,
    percentile method, 1,000 resamples). Where pictures have several rows, pictures are drawn, with
    all rows of each (cluster bootstrap; Field and Welsh 2007, "Bootstrapping clustered data", doi
    10.1111/j.1467-9868.2007.00593.x): what is true of one of its rows is mostly so of the others.

    Args:
        predicted: One for each seed, [rows, K].
        truth: [rows, K].
        groups: The picture of each row.
        seed: Of the resampling.
    """
    scores = mean_scores(predicted, truth)
    (drawn,) = _resampled([predicted], truth, groups, seed)
    return {name: _interval(scores[name], drawn[name]) for name in F1_SCORES}


def f1_differences(
    first: Sequence[Predictions],
    others: Sequence[Sequence[Predictions]],
    truth: NDArray[np.bool_],
    groups: Groups = None,
    seed: int = 0,
) -> list[dict[str, Interval]]:
    """Return how much better the first models are than each of the others, on the same rows.

    The resamples are paired: all are scored on the same drawn rows, so that what makes rows easy
    or hard for both falls out; and, where there are as many, on the same drawn seeds.

    Args:
        first: One for each seed, [rows, K].
        others: Each likewise; the number of seeds may differ.
        truth: [rows, K].
        groups: The picture of each row, see ``f1_intervals``.
        seed: Of the resampling.
    """
    return [difference for _, difference in f1_compared(first, others, truth, groups, seed)]


def f1_compared(
    first: Sequence[Predictions],
    others: Sequence[Sequence[Predictions]],
    truth: NDArray[np.bool_],
    groups: Groups = None,
    seed: int = 0,
) -> list[tuple[dict[str, Interval], dict[str, Interval]]]:
    """Return, for each of the others, its scores, and by how much the first models are better.

    Args:
        first: See ``f1_differences``; likewise ``others``, ``truth``, ``groups`` and ``seed``.
    """
    mine = mean_scores(first, truth)
    drawn, *rest = _resampled([first, *others], truth, groups, seed)
    found = []
    for other, theirs_drawn in zip(others, rest, strict=True):
        theirs = mean_scores(other, truth)
        found.append(
            (
                {n: _interval(theirs[n], theirs_drawn[n]) for n in F1_SCORES},
                {n: _interval(mine[n] - theirs[n], drawn[n] - theirs_drawn[n]) for n in F1_SCORES},
            )
        )
    return found


def listed(scores: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    """Return intervals by name as ``metrics.json`` has them."""
    return {name: dataclasses.asdict(interval) for name, interval in scores.items()}


class _Counts:
    """What F1 scores are made of, for each row and class, to be summed over drawn rows."""

    def __init__(self, predicted: Predictions, truth: NDArray[np.bool_]) -> None:
        hits = (predicted & truth).astype(np.float32)
        # 2TP + FP + FN when summed
        sums = predicted.astype(np.float32) + truth.astype(np.float32)
        self._by_class = np.concatenate([hits, sums], axis=1)
        self._by_row = _f1(hits.sum(axis=1, dtype=np.float64), sums.sum(axis=1, dtype=np.float64))
        self._classes = truth.shape[1]

    def scores(self, weights: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """Return the scores in percent for row weights [resamples, rows].

        Sums of counts are exact in float32 up to 2²⁴, where the last bit is far below an interval.
        """
        sums = (weights @ self._by_class).astype(np.float64)
        hits, both = sums[:, : self._classes], sums[:, self._classes :]
        return {
            "micro_f1": 100 * _f1(hits.sum(axis=1), both.sum(axis=1)),
            "macro_f1": 100 * _f1(hits, both).mean(axis=1),
            "samples_f1": 100 * (weights @ self._by_row) / weights.sum(axis=1),
        }


def _f1(hits: NDArray[np.floating], both: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.where(both > 0, 2 * hits / np.maximum(both, 1), 0.0)


def mean_scores(models: Sequence[Predictions], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Return ``f1_scores`` as the mean over models that differ by their seed."""
    scores = [f1_scores(predicted, truth) for predicted in models]
    return {name: float(np.mean([score[name] for score in scores])) for name in F1_SCORES}


def _resampled(
    sets: Sequence[Sequence[Predictions]], truth: NDArray[np.bool_], groups: Groups, seed: int
) -> list[dict[str, NDArray[np.float64]]]:
    """Return, for each set of models, the mean scores over drawn ones on drawn rows."""
    counts = [[_Counts(predicted, truth) for predicted in models] for models in sets]
    draws = [np.random.default_rng((seed, len(models))) for models in sets]
    parts: list[dict[str, list[NDArray[np.float64]]]] = [{n: [] for n in F1_SCORES} for _ in sets]
    for weights in resampled_weights(len(truth), seed, groups):
        for models, rng, found in zip(counts, draws, parts, strict=True):
            chosen = rng.integers(len(models), size=(len(weights), len(models)))
            scored = [model.scores(weights) for model in models]
            for name in F1_SCORES:
                table = np.stack([scores[name] for scores in scored], axis=1)
                found[name].append(np.take_along_axis(table, chosen, axis=1).mean(axis=1))
    return [{name: np.concatenate(v) for name, v in found.items()} for found in parts]


def resampled_weights(rows: int, seed: int, groups: Groups = None) -> Iterator[NDArray[np.float32]]:
    """Yield how often each row is drawn, some resamples at a time; the same for the same seed.

    Args:
        rows: How many there are.
        seed: Of the draws.
        groups: The picture of each row: pictures are drawn then, with all their rows.
    """
    if groups is not None:
        pictures, place = np.unique(groups, return_inverse=True)
        for weights in resampled_weights(len(pictures), seed):
            yield weights[:, place]
        return
    rng = np.random.default_rng(seed)
    for _ in range(0, _RESAMPLES, _AT_ONCE):
        drawn = rng.integers(rows, size=(_AT_ONCE, rows))
        yield np.stack([np.bincount(row, minlength=rows) for row in drawn]).astype(np.float32)


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value, float(low), float(high))
