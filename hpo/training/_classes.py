"""Unequal classes: positives that weigh more in the loss, rows that are trained on more often."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.models import Config, build_loss
from hpo.training._data import Part

__all__ = ["Oversampling", "class_weights", "make_criterion"]


def make_criterion(config: Config, train: Part) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of a configuration, with the class weights that training rows give it.

    Args:
        config: Names the loss and the kind of weights.
        train: The training rows.
    """
    if config.class_weight == "none":
        return build_loss(config)
    return build_loss(config, class_weights(config.class_weight, train.labels()))


def class_weights(kind: str, targets: Tensor) -> Tensor:
    """Return how many times a positive of each class counts in the loss.

    ``balanced`` is w = n₋ / n₊, negatives over positives among the training rows, with which both
    sides of a class weigh the same: the ratio of scikit-learn's ``class_weight="balanced"`` for
    one class against the rest. It is 100 for a class on one row in a hundred, which moves all
    probabilities up; ``sqrt`` is √(n₋ / n₊). A class that has only positives or only negatives
    there weighs 1.

    Args:
        kind: ``balanced`` or ``sqrt``.
        targets: Of the training rows, 0/1 [rows, K].

    Returns:
        w, float32 [K] > 0.
    """
    positives = targets.sum(dim=0, dtype=torch.float64)
    negatives = len(targets) - positives
    ratio = torch.where((positives > 0) & (negatives > 0), negatives / positives, 1.0)
    return (ratio if kind == "balanced" else ratio.sqrt()).float()


class Oversampling:
    """Repeat-factor sampling (Gupta et al. 2019, "LVIS"), by row.

    A class on a share f of the training rows has the factor r = max(1, √(t / f)), and a row the
    largest factor of its classes. In each epoch a row is trained on ⌊r⌋ times, and once more with
    the probability of the rest.

    Args:
        threshold: t, the share of the rows below which a class counts as rare.
        targets: Of the training rows, 0/1 [rows, K].
    """

    def __init__(self, threshold: float, targets: Tensor) -> None:
        share = targets.sum(dim=0, dtype=torch.float64) / len(targets)
        factors = (threshold / share).sqrt().clamp_min(1)  # ∞ for a class that no row has
        has = targets > 0
        rows = torch.where(has, factors.float(), 1.0).amax(dim=1)
        self.factors: NDArray[np.float64] = rows.cpu().numpy().astype(np.float64)

    def rows(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Draw the rows of an epoch, ascending, each as often as it is trained on."""
        whole = np.floor(self.factors)
        once_more = generator.random(len(whole)) < self.factors - whole
        return np.repeat(np.arange(len(whole)), whole.astype(np.int64) + once_more)
