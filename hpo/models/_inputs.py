"""Embeddings that a row lacks: taken away in training, and missing in prediction."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hpo.models._dropout import Seeded

__all__ = ["ModalityDropout", "without_nan_rows"]


class ModalityDropout(Seeded):
    """Take a modality away from some rows, in training only, so that the model can do without it.

    With probability ``p`` a row loses one of its modalities, each with equal chance: its embedding
    is 0, as that of a row which lacks it (Neverova et al. 2016, "ModDrop").

    Args:
        p: Probability that a row loses a modality, in [0, 1).
        inner: Maps embeddings to logits.
    """

    def __init__(self, p: float, inner: nn.Module) -> None:
        super().__init__()
        self.p = p
        self.inner = inner
        self._generator: np.random.Generator | None = None

    def seed(self, *entropy: int) -> None:
        """Restart the stream of draws, one a row, from ``entropy``."""
        self._generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map embeddings, modality → [rows, D_m], to logits [rows, K]."""
        if self.training and self.p > 0:
            inputs = self._without_some(inputs)
        logits: Tensor = self.inner(inputs)
        return logits

    def _without_some(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self._generator is None:
            raise RuntimeError("ModalityDropout.seed() must be called before the first step.")
        first = next(iter(inputs.values()))
        draws = torch.from_numpy(self._generator.random(len(first))).to(first.device)
        # [0, p) is cut into as many parts as there are modalities; a draw beyond it loses nothing.
        lost = torch.floor(draws / self.p * len(inputs))
        return {
            name: x * (lost != index).to(x.dtype).unsqueeze(1)
            for index, (name, x) in enumerate(inputs.items())
        }

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows."""
        return f"p={self.p}"


def without_nan_rows(x: Tensor) -> Tensor:
    """Put 0 for the rows of scaled embeddings, [rows, D], that are NaN as a whole.

    That is what ``ModalityDropout`` shows a module of a modality that a row lacks.
    """
    return x.masked_fill(x.isnan().all(dim=1, keepdim=True), 0.0)
