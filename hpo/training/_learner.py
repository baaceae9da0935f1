"""What a session needs of the thing that learns."""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from hpo.models import is_fitted
from hpo.training._data import RunData
from hpo.training._fitted import FittedLearner
from hpo.training._gradient import GradientLearner
from hpo.training._rows import RowSource
from hpo.training._spec import RunSpec

__all__ = ["Learner", "make_learner"]


class Learner(Protocol):
    """A module in training, as a session sees it.

    It starts before its first epoch. Everything random in an epoch must follow from the run's seed
    and the epoch's number: a learner that takes over the ``state`` of another one must go on with
    the same bits.

    Attributes:
        epoch: Epochs done.
        whole: Whether the state is that after ``epoch`` epochs, and there is at least one. False
            after ``train_epoch`` was left by an exception in the middle of a step.
    """

    epoch: int
    whole: bool

    def train_epoch(self, poll: Callable[[], None]) -> Tensor:
        """Do one epoch and return its mean loss over rows and classes, a float64 scalar.

        Args:
            poll: Called before every piece of work, at least a few times a second. It may raise to
                end the epoch, and the state is then still that before it, unless ``whole`` says
                otherwise.
        """

    def state(self) -> dict[str, Tensor]:
        """Return everything that the next epoch depends on, by name."""

    def restore(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Take over what ``state`` returned after ``epoch`` epochs."""

    def evaluated_weights(self) -> dict[str, Tensor]:
        """Return the weights that are scored and kept, by their names in the module."""

    def logits(self, inputs: Mapping[str, RowSource]) -> Tensor:
        """Return the logits [rows, K] of the evaluated weights for embeddings by modality."""


def make_learner(
    spec: RunSpec, data: RunData, build: Callable[[torch.Generator], nn.Module]
) -> Learner:
    """Return the learner of a run before its first epoch.

    Args:
        spec: The run.
        data: Its rows.
        build: Makes the module with its initial weights, given a generator, on the CPU.
    """
    module = build(torch.Generator().manual_seed(spec.stream))
    if is_fitted(module):
        return FittedLearner(spec, module, data)
    return GradientLearner(spec, module, data)
