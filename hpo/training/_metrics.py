"""Validation metrics, computed where the logits are.

Definitions are scikit-learn's with ``zero_division=0``. A label is predicted where its logit is
above 0, that is its probability above 0.5. All take logits and 0/1 targets, both [rows, K], and
return percent as a float64 scalar on the device of the logits.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from hpo.training._curve import METRICS

__all__ = [
    "MetricFunction",
    "macro_f1",
    "map",
    "measure",
    "metric_functions",
    "micro_f1",
    "samples_f1",
]

MetricFunction = Callable[[Tensor, Tensor], Tensor]


class _Shared(threading.local):
    """What the metrics of one call of ``measure`` have in common, in each thread."""

    of: tuple[Tensor, Tensor] | None = None
    counts: tuple[Tensor, Tensor] | None = None


_shared = _Shared()


def metric_functions(names: Sequence[str]) -> dict[str, MetricFunction]:
    """Return the metrics with their own parameters at their defaults, by name.

    What a user's function returns may be a number; it becomes a float64 scalar.

    Raises:
        InputError: There is no such metric.
    """
    return {
        name: partial(
            _as_scalar,
            METRICS[name].load(),
            {key: p.default for key, p in METRICS[name].parameters.items()},
        )
        for name in names
    }


def measure(
    functions: Mapping[str, MetricFunction], logits: Tensor, targets: Tensor
) -> list[Tensor]:
    """Return the metrics of the same logits and targets, in order; what they share is done once.

    Args:
        functions: What ``metric_functions`` returned.
        logits: [rows, K].
        targets: 0 or 1, [rows, K].
    """
    _shared.of, _shared.counts = (logits, targets), None
    try:
        return [function(logits, targets) for function in functions.values()]
    finally:
        _shared.of, _shared.counts = None, None


def micro_f1(logits: Tensor, targets: Tensor) -> Tensor:
    """2TP / (2TP + FP + FN), counted over all rows and classes."""
    hits, counts = _counts(logits, targets)
    return 100 * _f1(hits.sum(), counts.sum())


def samples_f1(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of the F1 of each row; a row with neither labels nor predictions gives 0."""
    hits, counts = _counts(logits, targets)
    return 100 * _f1(hits.sum(dim=1), counts.sum(dim=1)).mean()


def macro_f1(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of the F1 of each class."""
    hits, counts = _counts(logits, targets)
    return 100 * _f1(hits.sum(dim=0), counts.sum(dim=0)).mean()


def map(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the classes that occur of the average precision, Σ (R_n − R_{n−1}) P_n.

    Classes that never occur are left out, which scikit-learn would count as 0.
    """
    truth = targets.double()
    rows = logits.shape[0]
    ordered, order = logits.sort(dim=0, descending=True, stable=True)
    hits = truth.gather(0, order)
    rank = torch.arange(1, rows + 1, dtype=torch.float64, device=logits.device).unsqueeze(1)
    precision = hits.cumsum(0) / rank
    # Equal scores enter together: each takes the precision at the last place of its group.
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:-1] = ordered[:-1] != ordered[1:]
    place = torch.arange(rows, device=logits.device).unsqueeze(1).expand_as(order)
    end = torch.where(last, place, rows - 1).flip(0).cummin(0).values.flip(0)
    positives = hits.sum(0)
    by_class = (hits * precision.gather(0, end)).sum(0) / positives.clamp_min(1)
    return 100 * (by_class.sum() / (positives > 0).sum().clamp_min(1))


def _counts(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return TP and 2TP + FP + FN of each row and class, to be summed."""
    of = _shared.of
    shared = of is not None and of[0] is logits and of[1] is targets
    if shared and _shared.counts is not None:
        return _shared.counts
    predicted, truth = (logits > 0).double(), targets.double()
    counts = predicted * truth, predicted + truth
    if shared:
        _shared.counts = counts
    return counts


def _f1(hits: Tensor, counts: Tensor) -> Tensor:
    return torch.where(counts > 0, 2 * hits / counts.clamp_min(1), torch.zeros_like(hits))


def _as_scalar(
    function: Callable[..., object], own: dict[str, object], logits: Tensor, targets: Tensor
) -> Tensor:
    value = function(logits, targets, **own)
    if isinstance(value, Tensor) and value.dtype == torch.float64 and value.ndim == 0:
        return value.to(logits.device)
    return torch.as_tensor(value, dtype=torch.float64, device=logits.device).reshape(())
