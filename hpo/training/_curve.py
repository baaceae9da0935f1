"""What is known after each epoch, by name, and what a constant prediction would reach."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hpo.models import Registry

__all__ = [
    "METRICS",
    "STANDING_METRICS",
    "EpochRecord",
    "constant_micro_f1",
    "curve_columns",
    "metric_label",
]

#: One epoch's row of a curve, by column: ``train_loss``, the mean over rows and classes while
#: training (dropout active); ``val_loss``, the same on the validation rows in evaluation mode; and
#: every metric on them. NaN where there are no validation rows.
EpochRecord = Mapping[str, float]

_LOSSES = ("train_loss", "val_loss")

#: ``metric(logits, targets, **own)`` → number, of float32 logits [rows, K] and 0/1 targets
#: [rows, K]; larger is better. The trait ``unit`` is shown behind the name.
METRICS: Registry[Callable[..., Any]] = Registry("metric")

#: What is measured in every run, so that it is in the curve of every address. Any other metric,
#: one that the package gets later included, is a part of the addresses of the runs that have it.
STANDING_METRICS = ("micro_f1", "samples_f1", "macro_f1", "map")
for _name in STANDING_METRICS:
    METRICS.declare(_name, f"hpo.training._metrics:{_name}", unit="%")


def curve_columns(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a curve with these metrics."""
    return (*_LOSSES, *metrics)


def metric_label(name: str) -> str:
    """Return a metric's name with its unit, such as ``micro_f1 (%)``."""
    unit = METRICS[name].traits.get("unit")
    return f"{name} ({unit})" if unit else name


def constant_micro_f1(labels: ArrayLike) -> float:
    """Return the micro-F1 in percent of the best constant prediction for 0/1 labels [rows, K].

    With classes ordered by frequency f, predicting the first k for each row has 2TP = 2·Σf and
    2TP + FP + FN = k·rows + Σ all f; the best k is tried out.
    """
    truth = np.asarray(labels, dtype=np.float64)
    frequency = np.sort(truth.sum(axis=0))[::-1]
    total = np.arange(1, len(frequency) + 1) * len(truth) + frequency.sum()
    return float(100 * (2 * frequency.cumsum() / total).max())
