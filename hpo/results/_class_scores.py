"""Precision, recall and F1 of each class: what the averages hide."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClassScore", "class_rows", "class_scores"]


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """How well one class is told, as scikit-learn with ``zero_division=0``.

    Attributes:
        precision: Of the rows that are given the class, how many have it, in percent.
        recall: Of the rows that have it, how many are given it, in percent.
        f1: 2TP / (2TP + FP + FN), in percent.
        support: How many rows have it.
        threshold: The probability above which it is given.
    """

    precision: float
    recall: float
    f1: float
    support: int
    threshold: float


def class_scores(
    probabilities: Sequence[NDArray[np.floating]],
    truth: NDArray[np.bool_],
    classes: Sequence[str],
    thresholds: Sequence[float] | float = 0.5,
) -> dict[str, ClassScore]:
    """Return the scores of each class, the mean over models that differ by their seed.

    Args:
        probabilities: One for each seed, [rows, K].
        truth: Which labels are right, [rows, K].
        classes: K names.
        thresholds: One for each class, or one for all.
    """
    limits = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), len(classes))
    support = truth.sum(axis=0)
    sums = np.zeros((3, len(classes)))
    for values in probabilities:
        given = values > limits
        hits, predicted = (given & truth).sum(axis=0), given.sum(axis=0)
        sums += [
            _share(hits, predicted),
            _share(hits, support),
            _share(2 * hits, predicted + support),
        ]
    means = 100 * sums / len(probabilities)
    return {
        name: ClassScore(precision, recall, f1, int(support[k]), float(limits[k]))
        for k, (name, (precision, recall, f1)) in enumerate(
            zip(classes, means.T.tolist(), strict=True)
        )
    }


def class_rows(parts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what ``metrics.json`` has of classes (part → class → scores) as rows of a table."""
    return [
        {"part": part, "class": name, **scores}
        for part, classes in parts.items()
        for name, scores in classes.items()
    ]


def _share(part: NDArray[np.integer], whole: NDArray[np.integer]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
