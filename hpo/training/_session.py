"""One run in progress: trained epoch by epoch, stopped and resumed after any of them."""

import logging
import math
import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hpo.models import LOSSES, seed_dropout
from hpo.training._data import RunData
from hpo.training._device import compiled, precise
from hpo.training._metrics import multilabel_metrics
from hpo.training._record import EpochRecord
from hpo.training._spec import RunSpec
from hpo.training._store import RunStore

__all__ = ["Session", "forward"]

_log = logging.getLogger(__name__)


class Session:
    """A run, replayed from the store as far as it is known there and trained from then on.

    Everything random in an epoch follows from the seed and the epoch's number, so that weights,
    optimizer and EMA are the whole state: a session that is opened where another one stopped ends
    with the same bits.

    Args:
        spec: The run.
        data: Its rows, on the device.
        build: Makes the module with its initial weights, given a generator, on the CPU.
        store: Where curve, state and weights are kept.
        checkpoint_every: At most this many epochs are lost when the process is killed.
        milestones: Epochs whose weights are kept since other runs will be asked for them.
        poll: Called before every micro-batch. What it raises ends the epoch without a trace, so
            that ``checkpoint`` still has the state before it.
        on_trained: Called after every epoch that was trained, not replayed.
    """

    def __init__(
        self,
        spec: RunSpec,
        data: RunData,
        build: Callable[[torch.Generator], nn.Module],
        store: RunStore,
        *,
        checkpoint_every: int,
        milestones: frozenset[int] = frozenset(),
        poll: Callable[[], None] = lambda: None,
        on_trained: Callable[[], None] = lambda: None,
    ) -> None:
        self.spec = spec
        self.epoch = 0
        self.trained = 0
        self._data = data
        self._build = build
        self._store = store
        self._checkpoint_every = checkpoint_every
        self._milestones = milestones
        self._poll = poll
        self._on_trained = on_trained
        history = store.history(spec.address)
        self._records = list(history.records)
        self._reason = history.ended
        self._live: _Live | None = None

    @property
    def ended(self) -> str | None:
        """Why the run can't go on after the current epoch; None while it can."""
        return self._reason if self.epoch == len(self._records) else None

    @property
    def known(self) -> int:
        """Epochs whose records are known without training."""
        return len(self._records)

    def advance(self) -> EpochRecord:
        """Go on by one epoch and return its record: from the store if it is known, else trained.

        Raises:
            RuntimeError: The run has ended.
            OSError: A checkpoint could not be written.
        """
        if self.ended is not None:
            raise RuntimeError(f"The run {self.spec.address} has ended: {self.ended}")
        if self.epoch == len(self._records):
            self._train_epoch(self._materialise(self.epoch))
        self.epoch += 1
        return self._records[self.epoch - 1]

    def weights(self) -> Mapping[str, Tensor]:
        """Return the evaluated weights after the current epoch, training again if it must.

        Raises:
            RuntimeError: The run ended with this epoch, whose weights are no use to anybody.
            OSError: They could not be written.
        """
        if self.ended is not None:
            raise RuntimeError(f"The run {self.spec.address} has ended: {self.ended}")
        stored = self._store.weights(self.spec.address, self.epoch)
        if stored is not None:
            return stored.tensors
        live = self._materialise(self.epoch)
        self._save("weights", live)
        # Copies, since training goes on in place.
        return {name: tensor.clone() for name, tensor in live.evaluated_weights().items()}

    def checkpoint(self) -> None:
        """Store the resumable state of what was trained so far; nothing if nothing was."""
        if self._live is not None and self._live.whole and self._reason is None:
            self._save("state", self._live)

    def finish(self) -> None:
        """Store state and weights of the current epoch and give the memory back."""
        if self._reason is None:
            if self._live is not None and self._live.whole and self._live.epoch == self.epoch:
                self._save("weights", self._live)
            self.checkpoint()
        self._live = None

    def _train_epoch(self, live: "_Live") -> None:
        record = live.train_epoch(self._poll)
        self.trained += 1
        self._on_trained()
        if live.epoch > len(self._records):
            self._records.append(record)
        if not math.isfinite(record.train_loss) or (
            self._data.val is not None and not math.isfinite(record.val_loss)
        ):
            self._reason = f"the loss was not finite in epoch {live.epoch}"
            self._records[-1] = record._replace(micro_f1=0.0, samples_f1=0.0, macro_f1=0.0, map=0.0)
            self._save("ended", live)
            return
        if live.epoch in self._milestones:
            self._save("weights", live)
        if live.epoch % self._checkpoint_every == 0:
            self.checkpoint()

    def _materialise(self, epoch: int) -> "_Live":
        """Return the module and optimizer as they are after ``epoch`` epochs."""
        # What an exception left between two epochs (not whole) can't be trained from.
        if self._live is None or not self._live.whole or self._live.epoch > epoch:
            self._live = _Live(self.spec, self._data, self._build)
            state = self._store.state(self.spec.address, at_most=epoch)
            if state is not None:
                self._live.restore(state.epoch, state.tensors)
        while self._live.epoch < epoch:
            self._train_epoch(self._live)
        return self._live

    def _save(self, kind: str, live: "_Live") -> None:
        records = tuple(self._records[: live.epoch])
        if kind == "state":
            self._store.save(self.spec, "state", live.epoch, records, live.state())
        elif kind == "weights":
            self._store.save(self.spec, "weights", live.epoch, records, live.evaluated_weights())
        else:
            self._store.save(self.spec, "ended", live.epoch, records, {}, self._reason)


class _Live:
    """Module, optimizer and EMA of a run at one epoch: the training loop itself.

    Attributes:
        epoch: Epochs done.
        whole: Whether the state is that after ``epoch`` epochs, and there is at least one.
    """

    def __init__(
        self, spec: RunSpec, data: RunData, build: Callable[[torch.Generator], nn.Module]
    ) -> None:
        config = spec.config
        # Heads on different inputs start from different weights and draw different masks.
        self._seed = int(
            np.random.SeedSequence((spec.seed, zlib.crc32(spec.inputs.encode()))).generate_state(1)[
                0
            ]
        )
        device = data.train.targets.device
        self._data = data
        self._config = config
        self._numerics = spec.numerics
        self._criterion = LOSSES[config.loss]
        self.epoch = 0
        self.whole = False
        self.module = build(torch.Generator().manual_seed(self._seed)).to(device)
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

    def train_epoch(self, poll: Callable[[], None]) -> EpochRecord:
        """Train on every row once, then score; ``poll`` may raise before any micro-batch."""
        train = self._data.train
        single_step = self._config.batch_size >= train.rows
        before = None if single_step else {n: x.clone() for n, x in self.state().items()}
        total = torch.zeros((), dtype=torch.float64, device=train.targets.device)
        seed_dropout(self.module, self._seed, self.epoch + 1)
        self.module.train()
        try:
            for batch in self._batches():
                self._optimizer.zero_grad()
                for rows in _split(batch, self._numerics.micro_batch):
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
        train_loss = (total / train.targets.numel()).unsqueeze(0)
        record = EpochRecord(*torch.cat([train_loss, self._evaluate()]).tolist())
        self.epoch += 1
        self.whole = True
        return record

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
            loss.backward()
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

    def _evaluate(self) -> Tensor:
        """Return validation loss and metrics, float64 [5]; NaN without validation rows."""
        val = self._data.val
        if val is None:
            device = self._data.train.targets.device
            return torch.full((5,), math.nan, dtype=torch.float64, device=device)
        logits = forward(self._evaluated(), val.inputs, self._numerics.micro_batch)
        loss = self._criterion(logits, val.targets).double() / val.targets.numel()
        return torch.cat([loss.unsqueeze(0), multilabel_metrics(logits, val.targets)])

    def _batches(self) -> "Iterator[slice | Tensor]":
        """Yield the rows of each step: all of them in order, or a shuffled share."""
        rows, size = self._data.train.rows, self._config.batch_size
        if size >= rows:
            yield slice(0, rows)
            return
        order = np.random.default_rng((self._seed, self.epoch + 1)).permutation(rows)
        device = self._data.train.targets.device
        yield from _split(torch.from_numpy(order).to(device), size)


@torch.no_grad()
def forward(module: nn.Module, inputs: Mapping[str, Tensor], micro_batch: int) -> Tensor:
    """Return the logits [rows, K] of ``module`` in evaluation mode."""
    module.eval()
    rows = len(next(iter(inputs.values())))
    return torch.cat(
        [
            module({name: x[part] for name, x in inputs.items()})
            for part in _split(slice(0, rows), micro_batch)
        ]
    )


def _split(rows: slice | Tensor, size: int) -> "Iterator[slice | Tensor]":
    """Cut rows, given as a slice from 0 or as indices, into pieces of at most ``size``."""
    if isinstance(rows, slice):
        for start in range(0, rows.stop, size):
            yield slice(start, min(start + size, rows.stop))
    else:
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
