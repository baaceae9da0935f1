"""Classification heads (section 3.5 of the paper): embeddings in, logits out."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hpo.models._dropout import Dropout
from hpo.models._linear import Linear

__all__ = ["ACTIVATIONS", "GatedHead", "MLPHead", "linear"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
}


def linear(width_in: int, width_out: int, generator: torch.Generator) -> Linear:
    """Return a layer initialised as ``nn.Linear`` does, from an explicit generator."""
    # nn.utils.skip_init would spare the first initialisation, but brings in sympy, for a second.
    layer = Linear(width_in, width_out)
    bound = 1 / math.sqrt(width_in)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


class _Head(nn.Sequential):
    """Hidden blocks, then Linear to the classes: [rows, width] → logits [rows, classes].

    Args:
        width: Of the embeddings.
        hidden: Widths of the hidden layers.
        classes: Number of labels.
        activation: A key of ``ACTIVATIONS``.
        dropout: Probability that a hidden unit is dropped.
        generator: Source of the initial weights.
    """

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        classes: int,
        *,
        activation: str,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        layers: list[nn.Module] = []
        for units in hidden:
            layers += [linear(width, units, generator), ACTIVATIONS[activation]()]
            width = self._extend(layers, units, generator)
            layers.append(Dropout(dropout))
        super().__init__(*layers, linear(width, classes, generator))

    @staticmethod
    def _extend(layers: list[nn.Module], units: int, generator: torch.Generator) -> int:
        """Add what comes between activation and dropout; return the width after it."""
        return units


class MLPHead(_Head):
    """Linear → activation → dropout for each hidden width, then Linear to the classes (Eq. 7)."""


class GatedUnit(nn.Module):
    """s(Z) = Z₁ ⊙ (W Z₂ + b): [rows, width] → [rows, width/2] (Liu et al. 2021; Eq. 8 and 9).

    W starts near 0 and b at 1, so that the unit starts as Z₁.
    """

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.gate = linear(width // 2, width // 2, generator)
        with torch.no_grad():
            self.gate.weight.uniform_(-1e-3, 1e-3, generator=generator)
            self.gate.bias.fill_(1.0)

    def forward(self, z: Tensor) -> Tensor:
        """Gate the first half of the channels by the second."""
        z1, z2 = z.chunk(2, dim=1)
        gated: Tensor = z1 * self.gate(z2)
        return gated


class GatedHead(_Head):
    """gMLP: Z = act(XU), gate s(Z), dropout, for each hidden width; then V to the classes.

    Raises:
        ValueError: A hidden width is odd, so that it has no halves.
    """

    @staticmethod
    def _extend(layers: list[nn.Module], units: int, generator: torch.Generator) -> int:
        if units % 2:
            raise ValueError(f"A hidden width of gmlp is {units}, but must be even.")
        layers.append(GatedUnit(units, generator))
        return units // 2
