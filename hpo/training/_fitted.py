"""Learning in one go: a head that is solved in closed form, or that only remembers its rows."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from hpo.errors import InputError
from hpo.models import load_weights
from hpo.training._classes import make_criterion
from hpo.training._data import RunData
from hpo.training._forward import forward
from hpo.training._rows import RowSource
from hpo.training._spec import RunSpec

__all__ = ["FittedLearner"]


class FittedLearner:
    """A module whose first epoch fits it, and whose further epochs change nothing.

    Args:
        spec: The run.
        module: Maps embeddings to logits; the head in it has ``fit(x, targets)``, which takes the
            embeddings of all training rows, float32 [rows, width], and their 0/1 targets
            [rows, K].
        data: The rows.

    Raises:
        InputError: The training rows are not held in memory, where such a head needs all at once.

    Attributes:
        epoch: Epochs done.
        whole: Whether it is fitted.
    """

    def __init__(self, spec: RunSpec, module: nn.Module, data: RunData) -> None:
        _check_held(spec, data)
        self._micro_batch = spec.numerics.micro_batch
        self._criterion = make_criterion(spec.config, data.train)
        self._data = data
        self.module = module.to(data.train.device)
        self.epoch = 0
        self.whole = False

    @torch.no_grad()
    def train_epoch(self, poll: Callable[[], None]) -> Tensor:
        """Fit the module, and return the mean loss on the training rows; see ``Learner``."""
        poll()
        train = self._data.train
        if self.epoch == 0:
            self.module.fit(train.inputs, train.targets)  # type: ignore[operator]
        loss: Tensor = self._criterion(self.logits(train.inputs), train.labels()).double()
        self.epoch += 1
        self.whole = True
        return loss / train.entries

    def state(self) -> dict[str, Tensor]:
        """Return the fitted weights."""
        return self.evaluated_weights()

    def restore(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Take over fitted weights."""
        load_weights(self.module, tensors)
        self.module.to(self._data.train.device)
        self.epoch = epoch
        self.whole = epoch > 0

    def evaluated_weights(self) -> dict[str, Tensor]:
        """Return the fitted weights."""
        return dict(self.module.state_dict())

    def logits(self, inputs: Mapping[str, RowSource]) -> Tensor:
        """Return the logits [rows, K]."""
        return forward(self.module, inputs, self._micro_batch)


def _check_held(spec: RunSpec, data: RunData) -> None:
    gigabytes = sum(4 * math.prod(x.shape) for x in data.train.inputs.values()) / 1e9
    if not all(isinstance(x, Tensor) for x in (*data.train.inputs.values(), data.train.targets)):
        raise InputError(
            f"The head '{spec.config.head}' is fitted to all training rows at once, but "
            f"{data.train.rows:,} rows are {gigabytes:.3g} GB as float32, and the worker may not "
            "hold so many: allow more (--memory-gb, or memory_gb in Python), or choose a head that "
            "is trained in steps."
        )
