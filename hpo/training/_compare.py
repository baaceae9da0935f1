"""How well two models can be told apart on the same rows."""

import torch
from torch import Tensor

from hpo.training._metrics import MetricFunction

__all__ = ["standard_error"]

_RESAMPLES = 50


def standard_error(
    metric: MetricFunction, first: Tensor, second: Tensor, targets: Tensor, seed: int = 0
) -> float:
    """Return the standard error of the difference of two models' metric, paired over rows.

    By bootstrap: both are scored on the same drawn rows, so that what makes rows easy or hard for
    both falls out (Efron and Tibshirani 1993, chapter 6).

    Args:
        metric: Takes logits and targets.
        first: Logits [rows, K].
        second: Those of the other model.
        targets: 0/1 [rows, K].
        seed: Of the resampling.
    """
    generator = torch.Generator().manual_seed(seed)
    differences = []
    for _ in range(_RESAMPLES):
        rows = torch.randint(len(targets), (len(targets),), generator=generator)
        rows = rows.to(targets.device)
        scores = [float(metric(logits[rows], targets[rows])) for logits in (first, second)]
        differences.append(scores[0] - scores[1])
    return float(torch.tensor(differences, dtype=torch.float64).std())
