"""Where a worker trains: the study's bundle on its device, with as many rows at once as fit."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch

from hpo.errors import InputError
from hpo.features import Bundle, load_bundle
from hpo.models import Config, architecture, model_megabytes
from hpo.queue import Patience
from hpo.study import Definition
from hpo.training import Interrupted, RunStore, Trainer, latency_ms, open_device, trim_store
from hpo.worker._settings import WorkerSettings
from hpo.worker._trouble import WorkerTroubleError, own_trouble

__all__ = ["Workbench"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
_TRIM_EVERY_S = 60.0


class Workbench:
    """Holds the trainer of a worker, which is made when it is first needed.

    Args:
        definition: The study's.
        settings: The worker's.
        bundle: The study's, where somebody loaded it already; by default it is read from the
            study's cache.
        patience: Carries out the writes of the run store.
        poll: Called before every micro-batch; may raise to stop.
    """

    def __init__(
        self,
        definition: Definition,
        settings: WorkerSettings,
        bundle: Bundle | None,
        patience: Patience,
        poll: Callable[[], None],
    ) -> None:
        self._definition = definition
        self.device = open_device(settings.device, definition.arithmetic)
        self._memory_gb = settings.memory_gb
        self._bundle = bundle
        self._store = RunStore(definition.run_store, patience)
        self._poll = poll
        self._trainer: Trainer | None = None
        self._trimmed = 0.0
        self._costs: dict[str, dict[str, float]] = {}

    def carry_out(self, job: Callable[[Trainer], T]) -> T:
        """Return what ``job`` returns, with smaller and smaller micro-batches if memory runs out.

        Raises:
            RuntimeError: One row at once is too much; or whatever ``job`` raises.
        """
        micro_batch: int | None = None
        try:
            while True:
                trainer = self._open(micro_batch)
                try:
                    return job(trainer)
                except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                    micro_batch = trainer.numerics.micro_batch // 2
                    if not _out_of_memory(error) or micro_batch < 1:
                        raise
                    _log.warning("Out of memory; trying again with %d rows at once.", micro_batch)
                del trainer
                self._trainer = None
        finally:
            # The size changes last bits, so that of one trial must not reach the next one.
            if micro_batch is not None:
                self._trainer = None

    def costs(self, config: Config) -> Mapping[str, float]:
        """Return what the model of a configuration costs when it is used: ``model_mb`` and so on.

        It is measured once for each architecture. What can't be measured without training, or at
        all, is left out; whatever is wrong with such a model, its training will say.

        Raises:
            WorkerTroubleError: The worker can't read what it needs.
        """
        built = architecture(config)
        if built.key not in self._costs:
            measured: dict[str, float | None] = {}
            try:
                data = self._open(None).data_of(config)
                measured["model_mb"] = model_megabytes(built, data.widths, data.classes)
                measured["latency_ms"] = latency_ms(built, data.widths, data.classes, self.device)
            except Interrupted:
                raise
            except Exception as error:
                trouble = own_trouble(error)
                if trouble is not None:
                    raise WorkerTroubleError(trouble) from error
                _log.debug("The costs of %s can't be measured: %s", built, error)
            self._costs[built.key] = {
                k: value for k, value in measured.items() if value is not None
            }
        return self._costs[built.key]

    def trouble(self) -> str | None:
        """Check whether this worker can train at all; return what is wrong, None if it can.

        The bundle is read again, a file is written to the run store, and the device computes.
        """
        try:
            load_bundle(self._definition.bundle)
            self._store.check_writable()
            with self.device.in_use():
                x = torch.ones(64, 64, device=self.device.torch)
                if float((x @ x).sum()) != 64.0**3:
                    return f"The device {self.device.torch} computes wrong sums."
        except Interrupted:
            raise
        except Exception as error:
            return own_trouble(error) or f"{error}"
        return None

    def tidy(self, waiting: Callable[[], Iterable[Config]]) -> None:
        """Keep the run store within its limit; looking costs time, so once a minute will do.

        Args:
            waiting: Returns what is going to be gone on with, whose states are kept.
        """
        if time.monotonic() - self._trimmed > _TRIM_EVERY_S:
            trainer = self._open(None)
            spared = {
                address
                for config in waiting()
                for seed in range(self._definition.space.seeds)
                for address in trainer.addresses(config, seed)
            }
            self._trimmed = time.monotonic()
            try:
                trim_store(self._store, self._definition.run_store_gb, spared)
            except OSError as error:
                _log.warning("The run store can't be kept within its limit: %s", error)

    def _open(self, micro_batch: int | None) -> Trainer:
        if self._bundle is None:
            try:
                self._bundle = load_bundle(self._definition.bundle)
            except InputError as error:
                raise WorkerTroubleError(f"{error}") from error
        if self._trainer is None:
            self._trainer = Trainer(
                self._bundle,
                self.device,
                self._store,
                metrics=self._definition.metrics,
                scored=self._definition.space.scored_epochs(),
                micro_batch=micro_batch,
                memory_gb=self._memory_gb,
                checkpoint_every=self._definition.checkpoint_every,
                milestones=self._definition.space.lengths(),
                poll=self._poll,
            )
        return self._trainer


def _out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out; on a CPU it is a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error)
