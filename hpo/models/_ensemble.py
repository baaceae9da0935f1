"""Several models that answer as one."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hpo.models._assembled import AssembledModel

__all__ = ["EnsembleModel"]

#: Logits are kept finite: that of a probability of 1e-7, and of 1 less that.
_LIMIT = math.log(1e7)


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
        answers = [member(inputs).double() for member in self.members]
        # Next to 1 a probability says little of its logit, so both sides are averaged.
        logits = self._mean(answers).log() - self._mean([-x for x in answers]).log()
        return logits.clamp(-_LIMIT, _LIMIT).float()

    def _mean(self, logits: Sequence[Tensor]) -> Tensor:
        """Return the weighted mean of the probabilities, float64 [rows, K]."""
        shares = [weight * x.sigmoid() for x, weight in zip(logits, self.weights, strict=True)]
        return torch.stack(shares).sum(dim=0)

    def megabytes(self) -> float:
        """Return the size of all weights in 10⁶ bytes."""
        tensors: list[Tensor] = list(self.state_dict().values())
        return sum(x.numel() * x.element_size() for x in tensors) / 1e6
