"""One run in progress: trained epoch by epoch, stopped and resumed after any of them."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hpo.training._classes import make_criterion
from hpo.training._curve import EpochRecord, curve_columns
from hpo.training._data import RunData
from hpo.training._device import Device
from hpo.training._learner import Learner
from hpo.training._metrics import MetricFunction, measure
from hpo.training._spec import RunSpec
from hpo.training._store import RunStore

__all__ = ["Session"]


class Session:
    """A run, replayed from the store as far as it is known there and trained from then on.

    Everything random in an epoch follows from the seed and the epoch's number, so that what the
    learner calls its state is all there is: a session that is opened where another one stopped ends
    with the same bits.

    Args:
        spec: The run.
        data: Its rows.
        device: The device, inside whose ``in_use`` everything is computed.
        learn: Makes the learner before its first epoch.
        metrics: What is measured on the validation rows after each epoch, by name.
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
        device: Device,
        learn: Callable[[], Learner],
        metrics: Mapping[str, MetricFunction],
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
        self._device = device
        self._learn = learn
        self._metrics = metrics
        self._columns = curve_columns(tuple(metrics))
        self._criterion = make_criterion(spec.config, data.train)
        self._store = store
        self._checkpoint_every = checkpoint_every
        self._milestones = milestones
        self._poll = poll
        self._on_trained = on_trained
        history = store.history(spec.address)
        self._records = list(history.records)
        self._reason = history.ended
        self._live: Learner | None = None

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
            with self._device.in_use():
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
        with self._device.in_use():
            live = self._materialise(self.epoch)
        self._save("weights", live)
        # Copies, since training goes on in place.
        return {name: tensor.clone() for name, tensor in live.evaluated_weights().items()}

    def checkpoint(self) -> None:
        """Store the resumable state of what was trained so far; nothing if nothing was."""
        live = self._live
        # An epoch whose record was never made, since measuring it failed, is not to be kept.
        if live is not None and live.whole and live.epoch <= self.known and self._reason is None:
            self._save("state", live)

    def finish(self) -> None:
        """Store state and weights of the current epoch and give the memory back."""
        if self._reason is None:
            if self._live is not None and self._live.whole and self._live.epoch == self.epoch:
                self._save("weights", self._live)
            self.checkpoint()
        self._live = None

    def _train_epoch(self, live: Learner) -> None:
        loss = live.train_epoch(self._poll)
        # one transfer for all numbers of the epoch
        numbers = torch.stack([loss, *self._measure(live)]).tolist()
        record = dict(zip(self._columns, numbers, strict=True))
        self.trained += 1
        self._on_trained()
        if live.epoch > len(self._records):
            self._records.append(record)
        scored = self._data.val is not None and self.spec.is_scored(live.epoch)
        if not math.isfinite(record["train_loss"]) or (
            scored and not math.isfinite(record["val_loss"])
        ):
            self._reason = f"the loss was not finite in epoch {live.epoch}"
            self._records[-1] = {**record, **dict.fromkeys(self._metrics, 0.0)}
            self._save("ended", live)
            return
        if live.epoch in self._milestones:
            self._save("weights", live)
        if live.epoch % self._checkpoint_every == 0:
            self.checkpoint()

    def _measure(self, live: Learner) -> list[Tensor]:
        """Return validation loss and metrics, float64 scalars; NaN where it isn't scored."""
        val = self._data.val
        if val is None or not self.spec.is_scored(live.epoch):
            device = self._data.train.device
            nothing = torch.full((), math.nan, dtype=torch.float64, device=device)
            return [nothing] * (1 + len(self._metrics))
        logits, targets = live.logits(val.inputs), val.labels()
        with torch.no_grad():
            loss = self._criterion(logits, targets).double() / val.entries
            return [loss, *measure(self._metrics, logits, targets)]

    def _materialise(self, epoch: int) -> Learner:
        """Return the learner as it is after ``epoch`` epochs."""
        # What an exception left between two epochs (not whole) can't be trained from.
        if self._live is None or not self._live.whole or self._live.epoch > epoch:
            self._live = self._learn()
            state = self._store.state(self.spec.address, at_most=epoch)
            if state is not None:
                self._live.restore(state.epoch, state.tensors)
        while self._live.epoch < epoch:
            self._train_epoch(self._live)
        return self._live

    def _save(self, kind: str, live: Learner) -> None:
        records = tuple(self._records[: live.epoch])
        if kind == "state":
            self._store.save(self.spec, "state", live.epoch, records, live.state())
        elif kind == "weights":
            self._store.save(self.spec, "weights", live.epoch, records, live.evaluated_weights())
        else:
            self._store.save(self.spec, "ended", live.epoch, records, {}, self._reason)
