"""Learning in one go: a head that is solved in closed form, or that only remembers its rows."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from hpo.training._data import RunData
from hpo.training._forward import forward

__all__ = ["FittedLearner"]

_ROWS_AT_ONCE = 4096


class FittedLearner:
    """A module whose first epoch fits it, and whose further epochs change nothing.

    Args:
        module: Maps embeddings to logits; the head in it has ``fit(x, targets)``, which takes the
            embeddings of all training rows, float32 [rows, width], and their 0/1 targets
            [rows, K].
        data: The rows, on the device.

    Attributes:
        epoch: Epochs done.
        whole: Whether it is fitted.
    """

    def __init__(self, module: nn.Module, data: RunData) -> None:
        self._data = data
        self.module = module.to(data.train.targets.device)
        self.epoch = 0
        self.whole = False

    @torch.no_grad()
    def train_epoch(self, poll: Callable[[], None]) -> Tensor:
        """Fit the module, and return the mean cross-entropy on the training rows."""
        poll()
        train = self._data.train
        if self.epoch == 0:
            self.module.fit(train.inputs, train.targets)  # type: ignore[operator]
        logits = self.logits(train.inputs)
        self.epoch += 1
        self.whole = True
        return nn.functional.binary_cross_entropy_with_logits(
            logits.double(), train.targets.double()
        )

    def state(self) -> dict[str, Tensor]:
        """Return the fitted weights."""
        return self.evaluated_weights()

    def restore(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Take over fitted weights."""
        self.module.load_state_dict(dict(tensors))
        self.epoch = epoch
        self.whole = epoch > 0

    def evaluated_weights(self) -> dict[str, Tensor]:
        """Return the fitted weights."""
        return dict(self.module.state_dict())

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the logits [rows, K]."""
        return forward(self.module, inputs, _ROWS_AT_ONCE)
