"""The sign of life of a worker, and the way of its curves to the store."""

import dataclasses
import logging
import os
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from optuna.trial import TrialState

from hpo.search import TrialProgress
from hpo.service._patience import Patience
from hpo.service._study import Study
from hpo.service._tables import Fenced, Task
from hpo.training import Interrupted

__all__ = ["STALLED_EXIT", "Pulse", "WorkerSettings"]

#: Exit status of a worker whose training hung.
STALLED_EXIT = 75
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class WorkerSettings:
    """How a worker works; nothing here changes a result.

    Attributes:
        device: ``cpu`` or ``cuda:N``.
        heartbeat: Seconds between heartbeats.
        grace: Seconds without a heartbeat after which a worker is taken for dead.
        stall_timeout: Seconds without progress after which a run is ended and counted as failed.
    """

    device: str = "cpu"
    heartbeat: float = 2.0
    grace: float = 20.0
    stall_timeout: float = 600.0


class Pulse:
    """The thread that keeps a claimed task alive and carries its curve to the store.

    Args:
        study: The study.
        task: The claimed task.
        settings: The worker's.
        lost: Set when the task turns out to have been taken over.
        stop: Set when the study's deadline has passed.
    """

    def __init__(
        self,
        study: Study,
        task: Task,
        settings: WorkerSettings,
        lost: threading.Event,
        stop: threading.Event,
    ) -> None:
        self._study = study
        self._task = task
        self._settings = settings
        self._lost = lost
        self._stop = stop
        self._lock = threading.Lock()
        self._values: dict[int, float] = {}
        self._progress: TrialProgress | None = None
        self._trial: tuple[int, int] | None = None
        self._touched = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True, name="pulse")
        self._thread.start()

    def begin(self, trial_id: int, number: int) -> None:
        """From now on there is a trial whose curve is to be written."""
        self._trial = (trial_id, number)

    def touch(self) -> None:
        """Note that the training makes progress."""
        self._touched = time.monotonic()

    def advance(self, progress: TrialProgress) -> None:
        """Note a step; it is written with the next beat."""
        self.touch()
        with self._lock:
            self._values[progress.step] = progress.value
            self._progress = progress

    def flush(self, attributes: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Write the steps noted so far, and system attributes of the trial with them.

        Raises:
            Fenced: The trial isn't running any more.
        """
        with self._lock:
            values, self._values = self._values, {}
        if self._trial is None or not (values or attributes):
            return
        try:
            written = self._study.ledger.append(self._trial[0], list(values.items()), attributes)
        except BaseException:
            with self._lock:
                self._values = {**values, **self._values}
            raise
        if not written:
            self._lost.set()
            raise Fenced(f"Trial {self._trial[1]} was failed by another worker.")

    def take(self) -> list[tuple[int, float]]:
        """End the thread and return the steps that it has not written."""
        self.stop()
        values, self._values = self._values, {}
        return list(values.items())

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _loop(self) -> None:
        patience = Patience(self._raise_if_ended)
        try:
            while not self._ended.wait(self._settings.heartbeat):
                if time.monotonic() - self._touched > self._settings.stall_timeout:
                    self._give_up()
                patience(self._beat)
        except Fenced:
            self._lost.set()
        except Interrupted:
            return
        except Exception:
            # Without a heartbeat the task would be taken over while it is still trained here.
            _log.exception("The heartbeat failed; the trial is left to another worker.")
            self._lost.set()

    def _beat(self) -> None:
        shown = None
        if self._progress is not None and self._trial is not None:
            shown = {**dataclasses.asdict(self._progress), "trial": self._trial[1]}
        self._study.ledger.heartbeat(self._study.name, self._task, shown)
        self.flush()
        row = self._study.ledger.study(self._study.name)
        if row is not None and row.seconds_left is not None and row.seconds_left <= 0:
            self._stop.set()

    def _raise_if_ended(self) -> None:
        if self._ended.is_set():
            raise Interrupted

    def _give_up(self) -> None:
        """Fail the attempt and end the process: a thread that hangs can't be stopped otherwise."""
        reason = f"no progress for {self._settings.stall_timeout:g} s"
        _log.error("%s; the worker ends.", reason)
        try:
            if self._trial is not None:
                storage = self._study.storage
                storage.set_trial_user_attr(self._trial[0], "failed", reason)
                storage.set_trial_state_values(self._trial[0], TrialState.FAIL)
            self._study.ledger.fail(self._study.name, self._task, reason)
        finally:
            os._exit(STALLED_EXIT)
