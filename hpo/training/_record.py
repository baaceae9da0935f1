"""What is known after an epoch, and what a constant prediction would reach."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["CURVE_COLUMNS", "EpochRecord", "constant_micro_f1"]


class EpochRecord(NamedTuple):
    """What is known after one epoch. F1 scores and mAP are in percent, threshold 0.5.

    Attributes:
        train_loss: Mean over rows and classes of the loss while training (dropout active).
        val_loss: The same on the validation rows, in evaluation mode; NaN if there are none.
        micro_f1: 2TP / (2TP + FP + FN) over all rows and classes.
        samples_f1: Mean of the F1 of each row; a row with neither labels nor predictions gives 0.
        macro_f1: Mean of the F1 of each class.
        map: Mean over the classes that occur of the average precision.
    """

    train_loss: float
    val_loss: float
    micro_f1: float
    samples_f1: float
    macro_f1: float
    map: float


CURVE_COLUMNS = EpochRecord._fields


def constant_micro_f1(labels: ArrayLike) -> float:
    """Return the micro-F1 in percent of the best constant prediction for 0/1 labels [rows, K].

    With classes ordered by frequency f, predicting the first k for each row has 2TP = 2·Σf and
    2TP + FP + FN = k·rows + Σ all f; the best k is tried out.
    """
    truth = np.asarray(labels, dtype=np.float64)
    frequency = np.sort(truth.sum(axis=0))[::-1]
    total = np.arange(1, len(frequency) + 1) * len(truth) + frequency.sum()
    return float(100 * (2 * frequency.cumsum() / total).max())
