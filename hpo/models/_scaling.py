"""Scaling of embeddings before the head: a hyperparameter, and part of the model that is kept."""

import torch
from torch import Tensor, nn

__all__ = ["FeatureScaling"]


class FeatureScaling(nn.Module):
    """Scale the embeddings of one modality.

    ``none`` leaves them, ``l2`` divides each by its Euclidean norm, ``standard`` subtracts ``mean``
    and divides by ``std``, by column.

    Args:
        kind: ``none``, ``l2`` or ``standard``.
        width: Embedding width D.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "standard":
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("std", torch.ones(width))

    def fit(self, x: Tensor) -> "FeatureScaling":
        """Take mean and standard deviation from training embeddings [rows, D]; return self.

        Sums run in float64. A constant column is left at its own scale.
        """
        if self.kind == "standard":
            std, mean = torch.std_mean(x.double(), dim=0, correction=0)
            self.mean.copy_(mean)
            self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map [rows, D] of any float type to float32 [rows, D]."""
        x = x.float()
        if self.kind == "l2":
            return nn.functional.normalize(x, dim=1)
        if self.kind == "standard":
            return (x - self.mean) / self.std
        return x
