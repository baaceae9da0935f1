"""The training loop of a head: batches, gradients, Adam and averaged weights."""

import sys
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hpo.models import seed_dropout, sees_whole_batches
from hpo.training._classes import Oversampling, make_criterion
from hpo.training._data import RunData
from hpo.training._device import compiled, precise
from hpo.training._forward import forward, split_rows
from hpo.training._spec import RunSpec

__all__ = ["GradientLearner"]


class GradientLearner:
    """Module, optimizer and EMA of a run at one epoch: the training loop itself.

    Args:
        spec: The run.
        module: With its initial weights.
        data: Its rows, on the device.

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
        whole = sees_whole_batches(config.loss)
        self._at_once = sys.maxsize if whole else spec.numerics.micro_batch
        self._criterion = make_criterion(config, data.train.targets)
        self._oversampling = (
            Oversampling(config.oversample, data.train.targets) if config.oversample > 0 else None
        )
        self.epoch = 0
        self.whole = False
        self.module = module.to(data.train.targets.device)
        self._forward = compiled(self.module, self._numerics.compiler)
        optimizer = {"adam": Adam, "adamw": AdamW}[config.optimizer]
        self._optimizer: Optimizer = optimizer(
            self.module.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        # Eq. 6; PyTorch's starts from the weights after the first step.
        self._ema = (
            AveragedModel(
                self.module,
                multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay),  # type: ignore[no-untyped-call]
            )
            if config.ema_decay is not None
            else None
        )

    def train_epoch(self, poll: Callable[[], None]) -> Tensor:
        """Train on every row once and return the mean loss; see ``Learner``."""
        train = self._data.train
        single_step = self._config.batch_size >= train.rows
        before = None if single_step else {n: x.clone() for n, x in self.state().items()}
        total = torch.zeros((), dtype=torch.float64, device=train.targets.device)
        trained = 0
        seed_dropout(self.module, self._seed, self.epoch + 1)
        self.module.train()
        try:
            for batch in self._batches():
                trained += batch.stop if isinstance(batch, slice) else len(batch)
                self._optimizer.zero_grad()
                for rows in split_rows(batch, self._at_once):
                    poll()
                    total += self._accumulate(rows)
                self.whole = False  # until the epoch is counted, what stands here belongs to none
                self._optimizer.step()
                if self._ema is not None:
                    self._ema.update_parameters(self.module)
        except BaseException:
            if before is not None:
                self.restore(self.epoch, before)
            raise
        self.epoch += 1
        self.whole = True
        return total / (trained * train.targets.shape[1])

    def _accumulate(self, rows: slice | Tensor) -> Tensor:
        """Add to the gradient that of the loss over some rows, and return the loss.

        It is a sum over rows, so that micro-batches add up to the gradient of the whole batch.
        """
        train = self._data.train
        inputs = {name: x[rows] for name, x in train.inputs.items()}
        with precise(train.targets.device, self._numerics.precision) as mixed:
            with mixed:
                logits = self._forward(inputs)
            loss = self._criterion(logits.float(), train.targets[rows])
            loss.backward()  # type: ignore[no-untyped-call]
        total: Tensor = loss.detach()
        return total

    def state(self) -> dict[str, Tensor]:
        """Return everything that the next epoch depends on."""
        tensors = {f"module/{name}": x for name, x in self.module.state_dict().items()}
        for index, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": x for name, x in values.items()}
        if self._ema is not None:
            tensors |= {f"ema/{name}": x for name, x in self._ema.state_dict().items()}
        return tensors

    def restore(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Take over a state that ``state`` returned after ``epoch`` epochs."""
        self.epoch = epoch
        self.whole = epoch > 0
        self.module.load_state_dict(_below("module/", tensors))
        values: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below("optimizer/", tensors).items():
            index, _, key = name.partition("/")
            values.setdefault(int(index), {})[key] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": values})
        if self._ema is not None:
            self._ema.load_state_dict(_below("ema/", tensors))

    def evaluated_weights(self) -> dict[str, Tensor]:
        """Return the weights that are scored: the averaged ones if there are."""
        return dict(self._evaluated().state_dict())

    def _evaluated(self) -> nn.Module:
        module: nn.Module = self.module if self._ema is None else self._ema.module
        return module

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
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
        order = torch.from_numpy(generator.permutation(drawn))
        device = self._data.train.targets.device
        yield from split_rows(order.to(device), size if size < rows else len(order))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
