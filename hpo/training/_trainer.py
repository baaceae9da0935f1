"""One worker's trainer: opens runs on its device and puts heads and meta-classifier together."""

import functools
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from hpo.features import Bundle
from hpo.models import Config, build_meta, build_module, check_fusion, load_weights
from hpo.training._curve import METRICS, STANDING_METRICS, EpochRecord, constant_micro_f1
from hpo.training._data import Part, RunData, TrainingData
from hpo.training._device import Device
from hpo.training._fits import check_fits
from hpo.training._forward import forward
from hpo.training._learner import make_learner
from hpo.training._metrics import metric_functions
from hpo.training._rows import RowSource
from hpo.training._session import Session
from hpo.training._spec import RunSpec, plan_model
from hpo.training._store import RunStore

__all__ = ["ModelRun", "Trainer"]

#: Choices of encoders whose rows are held at a time; each may take all the memory there is for it.
_KEPT_CHOICES = 1


class Trainer:
    """Trains models on the rows of a bundle, on one device.

    Args:
        bundle: Features, labels and split.
        device: Where, and how it computes.
        store: The run store.
        metrics: Names of what is measured after each epoch, beside ``STANDING_METRICS``; by
            default all that are registered.
        scored: The epochs after which runs are scored on the validation rows; by default all.
        micro_batch: Rows in flight at once; by default those of the device.
        memory_gb: What training and validation rows may take; see ``TrainingData``.
        checkpoint_every: Epochs between resumable states.
        milestones: Lengths that the search may ask for; the weights of heads are kept there, since
            meta-classifiers of each length need them.
        poll: Called before every micro-batch; may raise to stop.

    Attributes:
        bundle: The one given.
        epochs_trained: Epochs of single runs trained so far, those of the run store not counted.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: Device,
        store: RunStore,
        *,
        metrics: Sequence[str] | None = None,
        scored: Iterable[int] | None = None,
        micro_batch: int | None = None,
        memory_gb: float | None = None,
        checkpoint_every: int = 50,
        milestones: Iterable[int] = (),
        poll: Callable[[], None] = lambda: None,
    ) -> None:
        self.device = device
        self.bundle = bundle
        self._memory_gb = memory_gb
        self._open_data = functools.lru_cache(maxsize=_KEPT_CHOICES)(self._data_of)
        self.store = store
        self.numerics = device.numerics(micro_batch)
        named = METRICS if metrics is None else metrics
        self.metrics = metric_functions(tuple(dict.fromkeys((*STANDING_METRICS, *named))))
        self._scored = None if scored is None else tuple(scored)
        self._checkpoint_every = checkpoint_every
        self._milestones = frozenset(milestones)
        self._poll = poll
        self.epochs_trained = 0
        self._counting = threading.Lock()  # models may be trained in several threads
        self._constant_score: float | None = None

    @property
    def data(self) -> TrainingData:
        """The embeddings that a configuration reads which doesn't choose an encoder."""
        return self.data_of(Config())

    def data_of(self, config: Config) -> TrainingData:
        """Return the embeddings that a configuration reads, and the labels.

        Raises:
            InputError: Its encoder is none of the sources that there are.
        """
        return self._open_data(config.encoder)

    def _data_of(self, encoder: str | None) -> TrainingData:
        with self.device.in_use():
            return TrainingData(self.bundle.choosing(encoder), self.device, self._memory_gb)

    def model(self, config: Config, seed: int, rows: str = "train") -> "ModelRun":
        """Return the model of ``config`` and ``seed``, at its first step.

        Args:
            config: Its batch size may exceed the rows, which means all of them.
            seed: Of weights, masks and order.
            rows: ``train``, ``all`` for the refit, or what ``TrainingData.define`` has named.

        Raises:
            InputError: The features lack a modality that the fusion reads, or the model can't be
                trained in the memory that is free.
        """
        data = self.data_of(config)
        check_fits(config, data.widths, data.classes, str(self.device.torch))
        return ModelRun(self, config.epochs, *self._plan(config, seed, rows))

    def _plan(
        self, config: Config, seed: int, rows: str
    ) -> tuple[tuple[RunSpec, ...], RunSpec | None]:
        data = self.data_of(config)
        check_fusion(config.fusion, data.modalities)
        return plan_model(
            config.capped(data.rows(rows)),
            data.modalities,
            bundle=data.bundle.key,
            rows=rows,
            seed=seed,
            numerics=self.numerics,
            metrics=tuple(self.metrics),
            scored=self._scored,
            alone=data.bundle.keys_alone,
        )

    def addresses(self, config: Config, seed: int) -> tuple[str, ...]:
        """Return the addresses of the runs that a model of ``config`` and ``seed`` is made of."""
        heads, meta = self._plan(config, seed, "train")
        return tuple(spec.address for spec in (*heads, *([] if meta is None else [meta])))

    def stored_logits(
        self,
        config: Config,
        seed: int,
        epochs: int,
        part: str,
        trained_on: str = "train",
        without: str | None = None,
    ) -> Tensor | None:
        """Return the logits [rows, K] of a trained model on a part of the split.

        Args:
            config: As it was trained.
            seed: Of the run.
            epochs: How many it was trained for; each of a two-step fusion's steps for so many.
            part: Such as ``val``.
            trained_on: The part that it was trained on.
            without: A modality that is taken away from all rows, as modality dropout does.

        Returns:
            None if the run store has neither the weights nor the state after so many epochs (any
            more); nothing is trained.
        """
        heads, meta = self._plan(config, seed, trained_on)
        read = self.data_of(config).part(part, config.feature_scaling, trained_on)
        inputs = dict(read.inputs)
        if without is not None:
            there = inputs[without]
            inputs[without] = torch.zeros((), device=there.device).expand(*there.shape)
        outputs: Tensor | None = None
        with self.device.in_use():
            for spec in heads:
                logits = self._stored(spec, epochs, inputs)
                if logits is None:
                    return None
                outputs = logits if outputs is None else outputs + logits
            assert outputs is not None  # there is a head
            return outputs if meta is None else self._stored(meta, epochs, {"outputs": outputs})

    def _stored(self, spec: RunSpec, epoch: int, inputs: Mapping[str, RowSource]) -> Tensor | None:
        stored = self.store.weights(spec.address, epoch)
        if stored is None:
            # They may be damaged; the state of that epoch has them, too.
            state = self.store.state(spec.address, at_most=epoch)
            if state is None or state.epoch < epoch:
                return None
        tensors = self.weights(spec, epoch) if stored is None else stored.tensors
        module = self.build(spec, torch.Generator().manual_seed(0))
        load_weights(module, tensors)
        return forward(module.to(self.device.torch), inputs, self.numerics.micro_batch)

    def constant_score(self) -> float:
        """Return the validation micro-F1, in percent, of the best constant prediction."""
        if self._constant_score is None:
            self._constant_score = constant_micro_f1(self.bundle.labels_of("val"))
        return self._constant_score

    def open(self, spec: RunSpec) -> Session:
        """Return the run at its first epoch."""
        meta = spec.inputs == "meta"
        with self.device.in_use():
            data = (
                self._meta_data(spec)
                if meta
                else self.data_of(spec.config).run_data(spec.config.feature_scaling, spec.rows)
            )
        return Session(
            spec,
            data,
            self.device,
            lambda: make_learner(spec, data, partial(self.build, spec)),
            self.metrics,
            self.store,
            checkpoint_every=self._checkpoint_every,
            milestones=frozenset() if meta else self._milestones,
            poll=self._poll,
            on_trained=self._count,
        )

    def _count(self) -> None:
        with self._counting:
            self.epochs_trained += 1

    def build(self, spec: RunSpec, generator: torch.Generator) -> nn.Module:
        """Return the module of a run with its initial weights, on the CPU."""
        if spec.inputs == "meta":
            return build_meta(len(self.bundle.classes))
        data = self.data_of(spec.config)
        return build_module(spec.inputs, spec.config, data.widths, data.classes, generator)

    def _meta_data(self, spec: RunSpec) -> RunData:
        """Return the summed outputs of the source runs, and the targets."""
        config = spec.sources[0][0].config
        data = self.data_of(config).run_data(config.feature_scaling, spec.rows)
        sums: dict[str, Tensor] = {}
        parts = {"train": data.train} | ({"val": data.val} if data.val is not None else {})
        for source, epoch in spec.sources:
            module = self.build(source, torch.Generator().manual_seed(0))
            load_weights(module, self.weights(source, epoch))
            module.to(self.device.torch)
            for name, part in parts.items():
                logits = forward(module, part.inputs, self.numerics.micro_batch)
                sums[name] = sums[name] + logits if name in sums else logits
        made = {name: Part({"outputs": sums[name]}, part.targets) for name, part in parts.items()}
        return RunData(made["train"], made.get("val"))

    def weights(self, spec: RunSpec, epoch: int) -> Mapping[str, Tensor]:
        """Return the evaluated weights of a run, from the store or by training it again."""
        stored = self.store.weights(spec.address, epoch)
        if stored is not None:
            return stored.tensors
        session = self.open(spec)
        try:
            while session.epoch < epoch:
                session.advance()
            return session.weights()
        except BaseException:
            session.checkpoint()
            raise


class ModelRun:
    """A configuration with one seed in progress: its heads in lockstep, then its meta-classifier.

    A step is one epoch. A single head has ``epochs`` steps. A two-step fusion has twice as many:
    while the heads are trained its record is that of the better head, afterwards that of the
    meta-classifier, which starts as the plain sum.

    Attributes:
        steps: Steps to the end, unless the run ends early.
        step: Steps done.
        record: Of the last step.
        ended: Why it ended before its last step; None otherwise.
    """

    def __init__(
        self, trainer: Trainer, epochs: int, heads: tuple[RunSpec, ...], meta: RunSpec | None
    ) -> None:
        self._trainer = trainer
        self._epochs = epochs
        self._specs = heads
        self._meta = meta
        self._sessions = [trainer.open(spec) for spec in heads]
        self.steps = epochs if meta is None else 2 * epochs
        self.step = 0
        self.record: EpochRecord | None = None
        self.ended: str | None = None

    @property
    def specs(self) -> tuple[RunSpec, ...]:
        """The runs that the model is made of, the meta-classifier last."""
        return self._specs if self._meta is None else (*self._specs, self._meta)

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.ended is not None or self.step == self.steps

    def advance(self) -> EpochRecord:
        """Do one step and return its record."""
        if self._meta is not None and self.step == self._epochs:
            self._close()
            self._sessions = [self._trainer.open(self._meta)]
        records = [session.advance() for session in self._sessions]
        self.step += 1
        reasons = [session.ended for session in self._sessions if session.ended is not None]
        if reasons:
            self.ended = reasons[0]
            self.record = min(records, key=_micro_f1)
        else:
            self.record = max(records, key=_micro_f1)
        return self.record

    def checkpoint(self) -> None:
        """Store resumable states of the runs in progress."""
        for session in self._sessions:
            session.checkpoint()

    def finish(self) -> None:
        """Store states and weights where the runs stand, and give the memory back."""
        self._close()

    def _close(self) -> None:
        for session in self._sessions:
            session.finish()
        self._sessions = []


def _micro_f1(record: EpochRecord) -> float:
    """Return by which number the better head of a two-step fusion is told."""
    value = record["micro_f1"]
    return value if math.isfinite(value) else -math.inf  # after an epoch that wasn't scored
