"""Which models to average, and whether that is better than the best of them."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.results._intervals import Groups, Interval, f1_differences, f1_scores

__all__ = ["Comparison", "compare", "forward_selection", "weighted_mean"]

#: Rounds of the selection for each member that there may be.
_ROUNDS = 3

Probabilities = NDArray[np.float32]
Truth = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What the average gains over the best single model, on rows that chose neither.

    Attributes:
        gain: By metric, average minus single, with 95% intervals; paired over rows.
        metric: The one that decides.
    """

    gain: dict[str, Interval]
    metric: str

    @property
    def keeps(self) -> bool:
        """Whether it gains more than its interval."""
        return self.gain[self.metric].low > 0


def forward_selection(
    candidates: Sequence[Probabilities],
    truth: Truth,
    metric: str,
    *,
    members: int,
    sizes: Sequence[float],
    size_limit: float,
) -> tuple[float, ...]:
    """Return a weight for each candidate, 0 for those that are left out; they sum to 1.

    Greedy selection with replacement (Caruana et al. 2004, "Ensemble Selection from Libraries of
    Models", doi 10.1145/1015330.1015432): starting from the best one, add the candidate that makes
    the average best, again and again. One that is added twice weighs twice. Of all averages on the
    way the best is taken, the first of equal ones.

    Args:
        candidates: What each predicts, [rows, K].
        truth: [rows, K].
        metric: An F1 score, at a probability of 0.5.
        members: At most so many different ones.
        sizes: Of each candidate.
        size_limit: Of the members together.
    """
    counts = np.zeros(len(candidates), int)
    total = np.zeros(truth.shape, np.float32)
    best_score, best_counts = -np.inf, counts
    for size in range(1, _ROUNDS * members + 1):
        scores = [
            f1_scores((total + candidate) / size > 0.5, truth)[metric]
            if _is_allowed(counts, index, members, sizes, size_limit)
            else -np.inf
            for index, candidate in enumerate(candidates)
        ]
        chosen = int(np.argmax(scores))
        if scores[chosen] == -np.inf:
            break
        counts = counts + (np.arange(len(counts)) == chosen)
        total += candidates[chosen]
        if scores[chosen] > best_score:
            best_score, best_counts = scores[chosen], counts
    return tuple(float(count) for count in best_counts / max(best_counts.sum(), 1))


def _is_allowed(
    counts: NDArray[np.int_], index: int, members: int, sizes: Sequence[float], limit: float
) -> bool:
    if counts[index]:
        return True
    size = sum(s for s, count in zip(sizes, counts, strict=True) if count) + sizes[index]
    return int((counts > 0).sum()) < members and size <= limit


def weighted_mean(candidates: Sequence[Probabilities], weights: Sequence[float]) -> Probabilities:
    """Return the mean probabilities, [rows, K]."""
    mean = np.zeros_like(candidates[0])
    for candidate, weight in zip(candidates, weights, strict=True):
        if weight > 0:
            mean += np.float32(weight) * candidate
    return mean


def compare(
    candidates: Sequence[Probabilities],
    truth: Truth,
    metric: str,
    select: Callable[[Sequence[Probabilities], Truth], Sequence[float]],
    groups: Groups = None,
    seed: int = 0,
) -> Comparison:
    """Compare an average with the best single candidate, both chosen on other rows.

    The rows are cut into two halves at random. On each half the members and their weights are
    chosen, and so is the best single candidate; both predict the other half, at a probability of
    0.5. Else the choice among many averages would look like a gain where there is none.

    Args:
        candidates: What each predicts, [rows, K], by models that were not trained on these rows.
        truth: [rows, K].
        metric: Decides, and chooses the single candidate.
        select: Returns the weight of each candidate from what they predict and the truth.
        groups: The picture of each row, all rows of which are in one half.
        seed: Of the halves.
    """
    pictures, place = np.unique(
        np.arange(len(truth)) if groups is None else groups, return_inverse=True
    )
    half = np.zeros(len(pictures), bool)
    half[np.random.default_rng(seed).permutation(len(half))[: len(half) // 2]] = True
    first = half[place]
    average, single = np.zeros_like(truth), np.zeros_like(truth)
    for chosen in (first, ~first):
        seen = [candidate[chosen] for candidate in candidates]
        scores = [f1_scores(p > 0.5, truth[chosen])[metric] for p in seen]
        alone = candidates[int(np.argmax(scores))]
        mean = weighted_mean(candidates, select(seen, truth[chosen]))
        average[~chosen] = mean[~chosen] > 0.5
        single[~chosen] = alone[~chosen] > 0.5
    (gain,) = f1_differences([average], [[single]], truth, groups)
    return Comparison(gain, metric)
