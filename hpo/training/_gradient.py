"""The training loop of a head: batches, gradients, Adam and averaged weights."""

import sys
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hpo.models import seed_dropout, sees_whole_batches
from hpo.training._adam import Adam
from hpo.training._average import WeightAverage
from hpo.training._classes import Oversampling, make_criterion
from hpo.training._data import RunData
from hpo.training._device import compiled, keep_gradients, precise
from hpo.training._forward import forward, split_rows
from hpo.training._rows import RowSource, take
from hpo.training._spec import RunSpec

__all__ = ["GradientLearner"]


class GradientLearner:
    """Module, optimizer and EMA of a run at one epoch: the training loop itself.

    Args:
        spec: The run.
        module: With its initial weights.
        data: Its rows.

    Attributes:
        epoch: Epochs done.
        whole: Whether the state is that after ``epoch`` epochs, and there is at least one.
    """

    def __init__(self, spec: RunSpec, module: nn.Module, data: RunData) -> None:
        config = spec.config
        self._seed = spec.stream
        self._data = data
        self._config = config
        self._numerics = spec.numerics
        self._type = torch.bfloat16 if spec.numerics.precision == "bf16" else torch.float32
        whole = sees_whole_batches(config.loss)
        self._at_once = sys.maxsize if whole else spec.numerics.micro_batch
        self._criterion = make_criterion(config, data.train)
        self._oversampling = (
            Oversampling(config.oversample, data.train.labels()) if config.oversample > 0 else None
        )
        self.epoch = 0
        self.whole = False
        self.module = module.to(data.train.device)
        self._forward = compiled(self.module, self._numerics.compiler)
        self._optimizer = Adam(
            self.module.parameters(),
            lr=config.lr,
            weight_decay=config.weight_decay,
            decoupled=config.optimizer == "adamw",
        )
        decay = config.ema_decay
        self._average = None if decay is None else WeightAverage(self.module, decay)
        self._before: dict[str, Tensor] = {}

    def train_epoch(self, poll: Callable[[], None]) -> Tensor:
        """Train on every row once and return the mean loss; see ``Learner``."""
        train = self._data.train
        single_step = self._config.batch_size >= train.rows
        if not single_step:
            self._remember()
        total = torch.zeros((), dtype=torch.float64, device=train.device)
        trained = 0
        seed_dropout(self.module, self._seed, self.epoch + 1)
        self.module.train()
        try:
            for batch in self._batches():
                trained += batch.stop if isinstance(batch, slice) else len(batch)
                self._optimizer.zero_grad()
                for rows in split_rows(batch, self._at_once):
                    poll()
                    keep_gradients(self.module, self._numerics.compiler)
                    total += self._accumulate(rows)
                self.whole = False  # until the epoch is counted, what stands here belongs to none
                self._optimizer.step()
                if self._average is not None:
                    self._average.update()
        except BaseException:
            if not single_step:
                self.restore(self.epoch, self._before)
            raise
        self.epoch += 1
        self.whole = True
        return total / (trained * train.targets.shape[1])

    def _accumulate(self, rows: slice | Tensor) -> Tensor:
        """Add to the gradient that of the loss over some rows, and return the loss.

        It is a sum over rows, so that micro-batches add up to the gradient of the whole batch.
        """
        train = self._data.train
        # in the type that products are computed in: all between them is half the memory in bf16
        inputs = {name: take(x, rows).to(self._type) for name, x in train.inputs.items()}
        with precise(train.device, self._numerics.precision) as mixed:
            with mixed:
                logits = self._forward(inputs)
            loss = self._criterion(logits.float(), take(train.targets, rows))
            loss.backward()  # type: ignore[no-untyped-call]
        total: Tensor = loss.detach()
        return total

    def state(self) -> dict[str, Tensor]:
        """Return everything that the next epoch depends on."""
        tensors = {f"module/{name}": x for name, x in self.module.state_dict().items()}
        tensors |= {f"optimizer/{name}": x for name, x in self._optimizer.state().items()}
        if self._average is not None:
            tensors |= {f"ema/{name}": x for name, x in self._average.state().items()}
        return tensors

    def _remember(self) -> None:
        """Copy the state, to go back to if the epoch is left; into the last epoch's copies."""
        state = self.state()
        if self._before.keys() != state.keys():
            self._before = {name: x.clone() for name, x in state.items()}
        else:
            torch._foreach_copy_(list(self._before.values()), list(state.values()))

    def restore(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Take over a state that ``state`` returned after ``epoch`` epochs."""
        self.epoch = epoch
        self.whole = epoch > 0
        self.module.load_state_dict(_below("module/", tensors))
        self._optimizer.restore(_below("optimizer/", tensors))
        if self._average is not None:
            self._average.restore(_below("ema/", tensors))

    def evaluated_weights(self) -> dict[str, Tensor]:
        """Return the weights that are scored: the averaged ones if there are."""
        return dict(self._evaluated().state_dict())

    def _evaluated(self) -> nn.Module:
        return self.module if self._average is None else self._average.module

    def logits(self, inputs: Mapping[str, RowSource]) -> Tensor:
        """Return the logits [rows, K] of the evaluated weights."""
        return forward(self._evaluated(), inputs, self._numerics.micro_batch)

    def _batches(self) -> Iterator[slice | Tensor]:
        """Yield the rows of each step: all of them in order, or a shuffled share."""
        rows, size = self._data.train.rows, self._config.batch_size
        if size >= rows and self._oversampling is None:
            yield slice(0, rows)
            return
        generator = np.random.default_rng((self._seed, self.epoch + 1))
        drawn = rows if self._oversampling is None else self._oversampling.rows(generator)
        order = torch.from_numpy(generator.permutation(drawn)).to(self._data.train.device)
        yield from split_rows(order, size if size < rows else len(order))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
