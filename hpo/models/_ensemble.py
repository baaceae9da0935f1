"""Several models that answer as one."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hpo.models._assembled import AssembledModel

__all__ = ["EnsembleModel"]

#: Probabilities are kept so far from 0 and 1, so that their logits are finite.
_EPS = 1e-7


class EnsembleModel(nn.Module):
    """The weighted mean of the members' probabilities.

    Args:
        members: What is averaged; they may read different modalities.
        weights: One for each, positive; they are divided by their sum.
    """

    def __init__(self, members: Sequence[AssembledModel], weights: Sequence[float]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = tuple(weight / sum(weights) for weight in weights)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map embeddings as stored, modality → [rows, D_m], to logits [rows, K] of the mean."""
        shares = [
            weight * member(inputs).sigmoid()
            for member, weight in zip(self.members, self.weights, strict=True)
        ]
        return torch.stack(shares).sum(dim=0).logit(_EPS)

    def megabytes(self) -> float:
        """Return the size of all weights in 10⁶ bytes."""
        tensors: list[Tensor] = list(self.state_dict().values())
        return sum(x.numel() * x.element_size() for x in tensors) / 1e6
