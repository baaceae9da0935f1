"""What more trials can be expected to gain, from the scores of those there are."""

import dataclasses
import math
from collections.abc import Sequence

from hpo.models import Config

__all__ = ["StopQuestion", "expected_best", "expected_gain"]


@dataclasses.dataclass(frozen=True)
class StopQuestion:
    """Whether more trials are worth it: their gain, and the models whose differences decide.

    Attributes:
        gain: What the trials that are still to begin can be expected to gain, in the metric.
        trials: How many scores it follows from.
        step: At which step they are.
        configs: The best ones there, the best first.
    """

    gain: float
    trials: int
    step: int
    configs: tuple[Config, ...]


def expected_best(scores: Sequence[float], count: int) -> float:
    """Return the expected best of so many of the scores, drawn without replacement.

    The unbiased estimate of Tang et al. 2020 ("Showing Your Work Doesn't Always Work", equation 3)
    of what Dodge et al. 2019 ("Show Your Work") call the expected validation performance: the sum
    over the scores in order, the i-th smallest weighed by C(i − 1, k − 1) / C(n, k).

    Args:
        scores: n of them.
        count: k, from 1 to n.
    """
    ordered = sorted(scores)
    total = math.comb(len(ordered), count)
    weights = (math.comb(place, count - 1) / total for place in range(len(ordered)))
    return sum(weight * score for weight, score in zip(weights, ordered, strict=True))


def expected_gain(scores: Sequence[float], more: int) -> float:
    """Return an upper bound of what more trials like these are expected to add to the best score.

    The expected best of n independent trials is concave in n. So k more add at most what the last
    j ≤ n of them added in expectation, times k / j. Noise of the scores only makes it larger.

    Args:
        scores: Of the trials so far, two or more.
        more: How many trials more, above 0.
    """
    back = min(more, len(scores) // 2)
    added = expected_best(scores, len(scores)) - expected_best(scores, len(scores) - back)
    return added * more / back
