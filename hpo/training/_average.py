"""The exponential moving average of weights, which is evaluated instead of them."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """W̄ ← d W̄ + (1 − d) W after each step (Eq. 6 of the paper), from the weights after the first.

    What ``torch.optim.swa_utils.AveragedModel`` does, with its bits and state, in one call for all
    weights.

    Args:
        module: In training.
        decay: d.

    Attributes:
        module: A copy of it, with the averaged weights. Its buffers are those of the original.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module)
        self._weight = 1 - decay
        self._averaged = 0
        self._mine = [parameter.detach() for parameter in self.module.parameters()]
        self._theirs = [parameter.detach() for parameter in module.parameters()]
        self._buffers = list(zip(self.module.buffers(), module.buffers(), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Take the present weights in."""
        if self._averaged == 0:
            torch._foreach_copy_(self._mine, self._theirs)
        else:
            torch._foreach_lerp_(self._mine, self._theirs, self._weight)
        for mine, theirs in self._buffers:
            mine.copy_(theirs)
        self._averaged += 1

    def state(self) -> dict[str, Tensor]:
        """Return averaged weights and the number of updates."""
        tensors = {f"module.{name}": x for name, x in self.module.state_dict().items()}
        return {"n_averaged": torch.tensor(self._averaged), **tensors}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over copies of what ``state`` returned."""
        self._averaged = int(tensors["n_averaged"])
        weights = {name: x for name, x in tensors.items() if name != "n_averaged"}
        self.module.load_state_dict({n.removeprefix("module."): x for n, x in weights.items()})
