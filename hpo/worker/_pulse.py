"""The sign of life of a worker, and the way of its curves to the store."""

import dataclasses
import logging
import os
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hpo.queue import Fenced, Patience
from hpo.search import Progress, Task
from hpo.study import StoredStudy, StudyGoneError
from hpo.training import Interrupted
from hpo.trials import LiveTrial
from hpo.worker._settings import Stopping, WorkerSettings

__all__ = ["STALLED_EXIT", "Pulse"]

#: Exit status of a worker whose training hung.
STALLED_EXIT = 75
#: A beat that comes so much too late shows that the process was suspended.
_NAP_S = 2.0
_log = logging.getLogger(__name__)


class Pulse:
    """The thread that keeps a claimed task alive and carries its curve to the store.

    Args:
        study: The study; its ledger and trials don't wait for a store that is away.
        task: The claimed task.
        settings: The worker's.
        stopping: Learns how much time the study has.
    """

    def __init__(
        self, study: StoredStudy, task: Task, settings: WorkerSettings, stopping: Stopping
    ) -> None:
        self._study = study
        self._task = task
        self._settings = settings
        self._stopping = stopping
        self._lost = threading.Event()
        self._lock = threading.Lock()
        self._values: dict[int, float] = {}
        self._progress: Progress | None = None
        self._trial: LiveTrial | None = None
        self._touched = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True, name="pulse")
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether the task turned out to have been taken over."""
        return self._lost.is_set()

    def begin(self, trial: LiveTrial) -> None:
        """From now on there is a trial whose curve is to be written."""
        self._trial = trial

    def touch(self) -> None:
        """Note that the training makes progress."""
        self._touched = time.monotonic()

    def advance(self, progress: Progress) -> None:
        """Note a step; it is written with the next beat."""
        self.touch()
        with self._lock:
            self._values[progress.step] = progress.value
            self._progress = progress

    def flush(self, noted: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Write the steps noted so far, and what a pruner noted with them.

        Raises:
            Fenced: The trial isn't running any more.
        """
        with self._lock:
            values, self._values = self._values, {}
        if self._trial is None or not (values or noted):
            return
        try:
            written = self._study.trials.append(self._trial, list(values.items()), noted)
        except BaseException:
            with self._lock:
                self._values = {**values, **self._values}
            raise
        if not written:
            self._lost.set()
            raise Fenced(f"Trial {self._trial.number} isn't running any more.")

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
        patience = Patience(self._raise_if_ended, until="as long as the trial is trained")
        try:
            while not self._rest():
                if time.monotonic() - self._touched > self._settings.stall_timeout:
                    self._give_up()
                patience(self._beat)
        except (Fenced, StudyGoneError, KeyError):  # Optuna's error for what was deleted
            self._lost.set()
        except Interrupted:
            return
        except Exception:
            # Without a heartbeat the task would be taken over while it is still trained here.
            _log.exception("The heartbeat failed; the trial is left to another worker.")
            self._lost.set()

    def _rest(self) -> bool:
        """Wait until the next beat is due; return whether the task has ended.

        A process that was suspended (Ctrl-Z, a paused machine) did nothing in that time, so that it
        is none in which the training should have got on.
        """
        began = time.monotonic()
        ended = self._ended.wait(self._settings.heartbeat)
        beyond = time.monotonic() - began - self._settings.heartbeat
        if beyond > max(_NAP_S, self._settings.heartbeat):
            _log.warning("This process was suspended for %.0f s.", beyond)
            self._touched += beyond
        return ended

    def _beat(self) -> None:
        shown = None
        if self._progress is not None and self._trial is not None:
            shown = dataclasses.replace(self._progress, trial=self._trial.number)
        self._study.ledger.heartbeat(self._study.name, self._task, shown)
        self._study.check_there()
        self.flush()
        row = self._study.ledger.study(self._study.name)
        if row is not None:
            self._stopping.leave(row.seconds_left, row.deadline)

    def _raise_if_ended(self) -> None:
        if self._ended.is_set():
            raise Interrupted

    def _give_up(self) -> None:
        """Fail the attempt, and end the process: a thread that hangs can't be stopped otherwise."""
        reason = f"no progress for {self._settings.stall_timeout:g} s"
        if not self._settings.own_process:
            _log.error("%s; the trial is left to another worker.", reason)
            try:
                self._study.trials.fail(self._task, self._trial, reason)
            finally:
                self._stopping.hangs = reason
            raise Fenced(reason)
        _log.error("%s; the worker ends.", reason)
        try:
            self._study.trials.fail(self._task, self._trial, reason)
        finally:
            os._exit(STALLED_EXIT)
