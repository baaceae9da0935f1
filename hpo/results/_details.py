"""What ``metrics.json`` says of the winner by class, and with each modality taken away."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hpo.results._judge import Judgement
from hpo.results._untouched import UntouchedScores

__all__ = ["by_class", "without_modalities"]


def by_class(
    judgement: Judgement | None, untouched: UntouchedScores | None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return precision, recall, F1 and support of each class: part → class → scores.

    The parts are ``validation`` (of the judged winner, at 0.5), ``validation_tuned`` (at the
    thresholds that were chosen there), ``test`` (of the refitted model, at its thresholds) and
    ``test_at_half``; those that there are.
    """
    parts = {}
    if judgement is not None:
        parts["validation"] = judgement.classes
        parts["validation_tuned"] = judgement.classes_tuned
    if untouched is not None:
        parts["test"] = untouched.classes
        parts["test_at_half"] = untouched.classes_at_half
    return {
        part: {name: dataclasses.asdict(score) for name, score in scores.items()}
        for part, scores in parts.items()
    }


def without_modalities(
    judgement: Judgement | None, untouched: UntouchedScores | None
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the scores with each modality taken away: modality → part → metric → percent.

    The parts are ``validation`` (of the judged winner, at 0.5) and ``test`` (of the refitted
    model, at its thresholds); those that there are.
    """
    parts: dict[str, Mapping[str, dict[str, float]]] = {}
    if judgement is not None:
        parts["validation"] = judgement.without
    if untouched is not None:
        parts["test"] = untouched.without
    found: dict[str, dict[str, dict[str, float]]] = {}
    for part, without in parts.items():
        for name, scores in without.items():
            found.setdefault(name, {})[part] = scores
    return found
