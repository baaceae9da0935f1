"""A worker: claims tasks of a study, trains them on its device, and commits what comes out."""

import os
import socket
import time

from hpo.features import Bundle
from hpo.queue import Patience
from hpo.study import StoredStudy, StudyGoneError, adopt_enqueued
from hpo.training import Interrupted, tune_allocator
from hpo.worker._assignment import Assignment
from hpo.worker._bench import Workbench
from hpo.worker._settings import Stopping, WorkerSettings
from hpo.worker._tied import StopWhenTied

__all__ = ["Worker"]

_POLL_S = 0.2
_ADOPT_EVERY_S = 2.0


class Worker:
    """Works on one study until it is complete, its limits are reached, or it is asked to stop.

    Args:
        study: The study; a store that is away is waited for as long as this one waits.
        settings: See there.
        bundle: The study's features, labels and split, where somebody loaded them already; by
            default they are read from the study's cache.

    Raises:
        InputError: The device doesn't exist here, or can't do the study's arithmetic; or the
            study's space meant something else when it was made.
    """

    def __init__(
        self, study: StoredStudy, settings: WorkerSettings, bundle: Bundle | None = None
    ) -> None:
        study.definition.check_meaning(study.name)
        self._study = study.plain
        self._settings = settings
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = Stopping()
        self._assignment: Assignment | None = None
        self._rationed = False
        self._adopted = 0.0
        patience = Patience(self._poll, study.wait)
        self._patient = study.patient(patience)
        self._bench = Workbench(study.definition, settings, bundle, patience, self._poll)
        self._tied = StopWhenTied(self._patient, self._bench)

    def run(self) -> bool:
        """Work; return True if the study is complete, False if it was left before.

        Raises:
            NoCandidateError: All candidates of a stage failed.
            StudyGoneError: The study was deleted.
            StoreAwayError: The store was away for longer than the study waits for it.
            WorkerTroubleError: Something of this worker's own keeps it from working: its files,
                its device, what is installed. The task was handed back; others may go on.
            KeyboardInterrupt: Ctrl-C, where the process has Python's own handler; the task that
                was worked on is handed back.
        """
        if self._settings.own_process:
            tune_allocator()
        with self._bench.device.in_use():
            try:
                return self._work_in_time()
            except KeyError:
                self._check_there()  # Optuna finds nothing of a study that was deleted
                raise

    def stop(self) -> None:
        """Ask ``run``, from any thread, to checkpoint, hand the trial back and return."""
        self._stopping.ask()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.asked

    @property
    def hangs(self) -> str | None:
        """Why its training won't come back, if it hangs in a thread, which can't be ended."""
        return self._stopping.hangs

    def _work_in_time(self) -> bool:
        while True:
            try:
                return self._work()
            except Interrupted:
                if self._stopping.asked or self._time_is_over():
                    return False

    def _time_is_over(self) -> bool:
        """Ask the store; the deadline may have been moved since the last heartbeat."""
        try:
            self._limits_reached()
        except Interrupted:  # the store is away, so that nobody can tell
            return True
        return self._stopping.due

    def _work(self) -> bool:
        while True:
            if self._limits_reached():
                return False
            self._stopping.check()
            self._adopt()
            self._tied.check()
            if (self._study.strategy.eager or self._rationed) and self._patient.open_next():
                return True
            task = self._patient.ledger.claim(self._study.name, self._owner, self._settings.grace)
            if task is not None:
                self._assignment = Assignment(self._study, task, self._settings, self._stopping)
                try:
                    self._assignment.carry_out(self._bench)
                finally:
                    self._assignment = None
            elif self._patient.open_next():
                return True
            else:
                self._stopping.wait(_POLL_S)

    def _adopt(self) -> None:
        """Take up what was done with Optuna's tools; looking now and then will do."""
        if time.monotonic() - self._adopted > _ADOPT_EVERY_S:
            self._check_there()
            adopt_enqueued(self._patient)
            self._adopted = time.monotonic()

    def _limits_reached(self) -> bool:
        row = self._patient.ledger.study(self._study.name)
        if row is None:
            raise StudyGoneError(self._study.name, self._study.url)
        self._stopping.leave(row.seconds_left, row.deadline)
        self._rationed = row.epochs is not None
        if self._rationed and row.seconds_left is not None:
            return False  # while there is time, the budget may still grow
        return self._patient.strategy.is_exhausted(self._patient.board(row))

    def _check_there(self) -> None:
        self._patient.check_there()

    def _poll(self) -> None:
        """Called by the training loop, and while the store or the disk is waited for."""
        if self._assignment is not None:
            self._assignment.poll()
        else:
            self._stopping.check()
