"""Learning in one go: a head that is solved in closed form, or that only remembers its rows."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from hpo.models import load_weights
from hpo.training._classes import make_criterion
from hpo.training._data import RunData
from hpo.training._forward import forward
from hpo.training._spec import RunSpec

__all__ = ["FittedLearner"]


class FittedLearner:
    """A module whose first epoch fits it, and whose further epochs change nothing.

    Args:
        spec: The run.
        module: Maps embeddings to logits; the head in it has ``fit(x, targets)``, which takes the
            embeddings of all training rows, float32 [rows, width], and their 0/1 targets
            [rows, K].
        data: The rows, on the device.

    Attributes:
        epoch: Epochs done.
        whole: Whether it is fitted.
    """

    def __init__(self, spec: RunSpec, module: nn.Module, data: RunData) -> None:
        self._micro_batch = spec.numerics.micro_batch
        self._criterion = make_criterion(spec.config, data.train.targets)
        self._data = data
        self.module = module.to(data.train.targets.device)
        self.epoch = 0
        self.whole = False

    @torch.no_grad()
    def train_epoch(self, poll: Callable[[], None]) -> Tensor:
        """Fit the module, and return the mean loss on the training rows; see ``Learner``."""
        poll()
        train = self._data.train
        if self.epoch == 0:
            self.module.fit(train.inputs, train.targets)  # type: ignore[operator]
        loss: Tensor = self._criterion(self.logits(train.inputs), train.targets).double()
        self.epoch += 1
        self.whole = True
        return loss / train.targets.numel()

    def state(self) -> dict[str, Tensor]:
        """Return the fitted weights."""
        return self.evaluated_weights()

    def restore(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Take over fitted weights."""
        load_weights(self.module, tensors)
        self.module.to(self._data.train.targets.device)
        self.epoch = epoch
        self.whole = epoch > 0

    def evaluated_weights(self) -> dict[str, Tensor]:
        """Return the fitted weights."""
        return dict(self.module.state_dict())

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the logits [rows, K]."""
        return forward(self.module, inputs, self._micro_batch)
