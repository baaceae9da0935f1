"""Validation metrics, computed where the logits are, brought over in one transfer."""

import torch
from torch import Tensor

__all__ = ["multilabel_metrics"]


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
