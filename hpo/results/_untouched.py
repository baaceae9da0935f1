"""The refitted model on the rows that no decision has seen."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from hpo.features import Bundle
from hpo.results._class_scores import ClassScore, class_scores
from hpo.results._intervals import Interval, f1_intervals, f1_scores
from hpo.training import TrainedModel, open_device

__all__ = ["UntouchedScores", "probabilities_on_test", "scores_on_test"]


@dataclasses.dataclass(frozen=True)
class UntouchedScores:
    """A model's scores on the test part.

    Attributes:
        tuned: At its thresholds.
        at_half: At a probability of 0.5.
        classes: The scores of each class, at its thresholds.
        classes_at_half: Likewise at 0.5.
        without: For each modality that it reads, its scores where all rows lack it, at its
            thresholds; empty if it reads one only.
    """

    tuned: dict[str, Interval]
    at_half: dict[str, Interval]
    classes: dict[str, ClassScore]
    classes_at_half: dict[str, ClassScore]
    without: dict[str, dict[str, float]]


def scores_on_test(model: TrainedModel, bundle: Bundle, device: str) -> UntouchedScores | None:
    """Return a model's scores on the test part.

    Args:
        model: The refitted model, which was trained on all other rows; not calibrated, since 0.5
            is meant of the probabilities that the study has searched with.
        bundle: With the test part; None is returned without one.
        device: Where to compute.
    """
    if "test" not in bundle.split:
        return None
    rows = bundle.split["test"]
    inputs = bundle.choosing(model.config.encoder).features.train
    truth = bundle.labels_of("test") > 0
    opened = open_device(device)
    thresholds, groups = np.asarray(model.thresholds), bundle.groups_of("test")
    probabilities = probabilities_on_test(model, bundle, device)
    without = {}
    for name in model.modalities if len(model.modalities) > 1 else ():
        lacking = np.broadcast_to(np.float16(np.nan), inputs[name].shape)
        found = model.probabilities({**inputs, name: lacking}, opened, rows)
        without[name] = f1_scores(found > thresholds, truth)
    return UntouchedScores(
        tuned=f1_intervals([probabilities > thresholds], truth, groups),
        at_half=f1_intervals([probabilities > 0.5], truth, groups),
        classes=class_scores([probabilities], truth, model.classes, model.thresholds),
        classes_at_half=class_scores([probabilities], truth, model.classes),
        without=without,
    )


def probabilities_on_test(model: TrainedModel, bundle: Bundle, device: str) -> NDArray[np.float32]:
    """Return a model's probabilities of the test part, which there must be, [rows, K]."""
    features = bundle.choosing(model.config.encoder).features
    return model.probabilities(features.train, open_device(device), bundle.split["test"])
