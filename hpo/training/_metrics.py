"""Validation metrics, computed where the logits are, brought over in one transfer."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

__all__ = ["CURVE_COLUMNS", "EpochRecord", "constant_micro_f1", "multilabel_metrics"]


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


def multilabel_metrics(logits: Tensor, targets: Tensor) -> Tensor:
    """Return micro-, samples-, macro-F1 and mAP in percent as float64 [4], on the logits' device.

    Args:
        logits: [rows, K]; a label is predicted where the logit is above 0 (probability 0.5).
        targets: 0/1, [rows, K].

    Definitions are scikit-learn's with ``zero_division=0``; classes that never occur are left out
    of mAP, which scikit-learn would count as 0.
    """
    predicted = (logits > 0).double()
    truth = targets.double()
    hits = predicted * truth
    counts = predicted + truth  # 2TP + FP + FN when summed
    micro = _f1(hits.sum(), counts.sum())
    samples = _f1(hits.sum(dim=1), counts.sum(dim=1)).mean()
    macro = _f1(hits.sum(dim=0), counts.sum(dim=0)).mean()
    return 100 * torch.stack([micro, samples, macro, _mean_average_precision(logits, truth)])


def constant_micro_f1(labels: ArrayLike) -> float:
    """Return the micro-F1 in percent of the best constant prediction for 0/1 labels [rows, K].

    With classes ordered by frequency f, predicting the first k for each row has 2TP = 2·Σf and
    2TP + FP + FN = k·rows + Σ all f; the best k is tried out.
    """
    truth = np.asarray(labels, dtype=np.float64)
    frequency = np.sort(truth.sum(axis=0))[::-1]
    total = np.arange(1, len(frequency) + 1) * len(truth) + frequency.sum()
    return float(100 * (2 * frequency.cumsum() / total).max())


def _f1(hits: Tensor, counts: Tensor) -> Tensor:
    return torch.where(counts > 0, 2 * hits / counts.clamp_min(1), torch.zeros_like(hits))


def _mean_average_precision(scores: Tensor, truth: Tensor) -> Tensor:
    """Average precision by class, Σ (R_n − R_{n−1}) P_n over distinct scores, then the mean."""
    rows = scores.shape[0]
    ordered, order = scores.sort(dim=0, descending=True, stable=True)
    hits = truth.gather(0, order)
    rank = torch.arange(1, rows + 1, dtype=torch.float64, device=scores.device).unsqueeze(1)
    precision = hits.cumsum(0) / rank
    # Equal scores enter together: each takes the precision at the last place of its group.
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:-1] = ordered[:-1] != ordered[1:]
    place = torch.arange(rows, device=scores.device).unsqueeze(1).expand_as(order)
    end = torch.where(last, place, rows - 1).flip(0).cummin(0).values.flip(0)
    positives = hits.sum(0)
    by_class = (hits * precision.gather(0, end)).sum(0) / positives.clamp_min(1)
    return by_class.sum() / (positives > 0).sum().clamp_min(1)
