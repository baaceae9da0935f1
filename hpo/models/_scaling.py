"""Scaling of embeddings before the head: a hyperparameter, and part of the model that is kept."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FeatureScaling"]


class FeatureScaling(nn.Module):
    """Scale the embeddings of one modality.

    ``none`` leaves them. ``auto`` multiplies all by one factor, which brings those of the training
    rows to a norm of √width (root mean square), so that each column is about 1. ``l2`` brings each
    embedding to that norm by itself. ``standard`` subtracts ``mean`` and divides by ``std``, by
    column.

    Adam's steps don't depend on the scale of the inputs, but the weights that it starts from do:
    on embeddings of norm 1 and width 768 a head starts almost at 0 and learns for hundreds of
    epochs what it otherwise learns in ten.

    Embeddings of several encoders side by side are scaled each by itself.

    Args:
        kind: ``none``, ``auto``, ``l2`` or ``standard``.
        width: Embedding width D.
        parts: The width of each encoder's part of it; by default it is all of one.
    """

    factor: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, kind: str, width: int, parts: Sequence[int] = ()) -> None:
        super().__init__()
        self.kind = kind
        self.parts = list(parts) or [width]
        if kind in ("auto", "l2"):
            factors = torch.tensor([math.sqrt(part) for part in self.parts])
            self.register_buffer("factor", self._by_column(factors))
        if kind == "standard":
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("std", torch.ones(width))

    def fit(self, x: Tensor) -> "FeatureScaling":
        """Take what is needed from training embeddings [rows, D]; return self.

        Sums run in float64. A constant column is left at its own scale, and so are embeddings
        that are all 0.
        """
        if self.kind == "auto":
            factors = torch.stack(
                [self._factor(part) for part in torch.split(x, self.parts, dim=1)]
            )
            self.factor.copy_(self._by_column(factors))
        if self.kind == "standard":
            std, mean = torch.std_mean(x.double(), dim=0, correction=0)
            self.mean.copy_(mean)
            self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map [rows, D] of any float type to float32 [rows, D]."""
        x = x.float()
        if self.kind == "auto":
            return x * self.factor
        if self.kind == "l2":
            unit = [
                nn.functional.normalize(part, dim=1) for part in torch.split(x, self.parts, dim=1)
            ]
            return (unit[0] if len(unit) == 1 else torch.cat(unit, dim=1)) * self.factor
        if self.kind == "standard":
            return (x - self.mean) / self.std
        return x

    @staticmethod
    def _factor(x: Tensor) -> Tensor:
        """Return what brings embeddings [rows, D] to a norm of √D, or 1 where all are 0."""
        square = x.double().square().sum(dim=1).mean()
        factor = math.sqrt(x.shape[1]) / square.sqrt()
        return torch.where(square > 0, factor, torch.ones_like(factor))

    def _by_column(self, factors: Tensor) -> Tensor:
        """Return the factor of each column, [D], or of all, a scalar, where there is one part."""
        if len(self.parts) == 1:
            return factors[0]
        return factors.repeat_interleave(torch.tensor(self.parts, device=factors.device))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take over stored buffers; models that were kept without a factor have norm 1."""
        if self.kind == "l2":
            state.setdefault(f"{prefix}factor", torch.tensor(1.0))
        super()._load_from_state_dict(state, prefix, *rest)
