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
            self.register_buffer("factor", factors if len(self.parts) > 1 else factors[0])
        if kind == "standard":
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("std", torch.ones(width))

    def fit(self, x: Tensor) -> "FeatureScaling":
        """Take what is needed from training embeddings [rows, D]; return self.

        Sums run in float64. A constant column is left at its own scale, and so are embeddings
        that are all 0.
        """
        if self.kind == "auto":
            factors = torch.stack([self._fitted(part) for part in self._split(x)])
            self.factor.copy_(factors if len(self.parts) > 1 else factors[0])
        if self.kind == "standard":
            std, mean = torch.std_mean(x.double(), dim=0, correction=0)
            self.mean.copy_(mean)
            self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map [rows, D] of any float type to float32 [rows, D]."""
        x = x.float()
        if self.kind == "auto":
            return self._times_factor(self._split(x))
        if self.kind == "l2":
            return self._times_factor([nn.functional.normalize(y, dim=1) for y in self._split(x)])
        if self.kind == "standard":
            return (x - self.mean) / self.std
        return x

    def _split(self, x: Tensor) -> list[Tensor]:
        """Return the part of each encoder, [rows, D_i]."""
        return [x] if len(self.parts) == 1 else list(torch.split(x, self.parts, dim=1))

    def _times_factor(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the parts side by side, each multiplied by its factor."""
        if len(parts) == 1:
            return parts[0] * self.factor
        return torch.cat([x * f for x, f in zip(parts, self.factor, strict=True)], dim=1)

    @staticmethod
    def _fitted(x: Tensor) -> Tensor:
        """Return what brings embeddings [rows, D] to a norm of √D, or 1 where all are 0."""
        square = x.double().square().sum(dim=1).mean()
        factor = math.sqrt(x.shape[1]) / square.sqrt()
        return torch.where(square > 0, factor, torch.ones_like(factor))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take over stored buffers; models that were kept without a factor have norm 1."""
        if self.kind == "l2":
            state.setdefault(f"{prefix}factor", torch.tensor(1.0))
        super()._load_from_state_dict(state, prefix, *rest)
