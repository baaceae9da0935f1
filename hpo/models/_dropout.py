"""Dropout whose masks depend on (seed, epoch, layer) alone, and cost little on a CPU.

PyTorch's Bernoulli fill on a CPU takes a third of the time of all matrix products of the paper's
epoch. Here 16 random bits a unit come from numpy's SFC64 and are compared with the probability,
which is therefore exact to 2⁻¹⁶. Each layer draws from its own stream, restarted at every epoch,
row by row: a mask depends neither on how a batch is cut into micro-batches nor on what was drawn
in earlier epochs, so a run can be resumed after any epoch without carrying a random state. On
other devices the library's own dropout is used, seeded at every epoch.
"""

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Dropout", "Seeded", "seed_dropout"]

#: By size in bytes, what has the bits of a floating-point number.
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Seeded(nn.Module):
    """A module that draws at random in training, from a stream that every epoch restarts."""

    def seed(self, *entropy: int) -> None:
        """Restart the stream from ``entropy`` (any number of non-negative integers)."""
        raise NotImplementedError


class Dropout(Seeded):
    """Zero each unit with probability ``p`` and scale the others by 1/(1 − p), in training only.

    Args:
        p: Probability of zeroing, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._bits: np.random.SFC64 | None = None

    def seed(self, *entropy: int) -> None:
        """Restart the stream of masks from ``entropy`` (any number of non-negative integers)."""
        self._bits = np.random.SFC64(np.random.SeedSequence(entropy))

    def forward(self, x: Tensor) -> Tensor:
        """Map activations [rows, width] to the same shape."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.p, training=True)
        return x * self.mask(x.shape[0], x.shape[1], x.dtype)

    def mask(self, rows: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw the next ``rows`` rows of the mask: [rows, width] of 0 and 1/(1 − p)."""
        if self._bits is None:
            raise RuntimeError("Dropout.seed() must be called before the first training step.")
        words = -(-width // 4)  # 64 bits hold the draws of four units; a row starts a new word
        bits = self._bits.random_raw(rows * words).reshape(rows, words).view(np.uint16)
        keep = bits[:, :width] >= round(self.p * 65536)
        # The bits of 1/(1 − p), or none: one pass, where a conversion and a product are two.
        kind = _INTEGERS[dtype.itemsize]
        pattern = torch.tensor(1.0 / (1.0 - self.p), dtype=dtype).view(kind).numpy()
        mask = np.multiply(keep.view(np.uint8), pattern, dtype=pattern.dtype)
        return torch.from_numpy(mask).view(dtype)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows."""
        return f"p={self.p}"


def seed_dropout(module: nn.Module, seed: int, epoch: int) -> None:
    """Seed all that is ``Seeded`` in a module for one epoch, and the device's own generator."""
    layers = (layer for layer in module.modules() if isinstance(layer, Seeded))
    for index, layer in enumerate(layers):
        layer.seed(seed, epoch, index)
    if any(parameter.device.type == "cuda" for parameter in module.parameters()):
        torch.cuda.manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))
