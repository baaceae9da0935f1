"""The contract of a ledger: who trains what, decided atomically for all processes of a study."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.errors import InputError
from hpo.search import NewTask, Progress, Task, TaskState, TrialOutcome
from hpo.trials import NewTrial, TrialEnd

__all__ = [
    "FIRST_ENQUEUED",
    "MAX_ATTEMPTS",
    "Fenced",
    "Ledger",
    "PositionTakenError",
    "StudyRow",
]

#: Failures of one configuration after which it is not tried again.
MAX_ATTEMPTS = 2
#: Position of the task of the first trial that Optuna's ``enqueue_trial`` made, if it is taken up;
#: that of trial n is n below. What hpo itself adds is between this and 0.
FIRST_ENQUEUED = -1_000_000


class Fenced(RuntimeError):  # noqa: N818 - what happened to the worker, not a mistake of its
    """The task was taken over by another worker; nothing was written."""


class PositionTakenError(InputError):
    """A place in the study's queue has another configuration than the one that was to go there."""


@dataclasses.dataclass(frozen=True)
class StudyRow:
    """What all workers of a study must agree on.

    Attributes:
        definition: Space, bundle and settings, as JSON.
        seconds_left: Until the study's deadline, negative after it; None without one.
        max_tasks: No more tasks than this are claimed; None for all.
        epochs: Budget of the trials in epochs of single runs; None without one.
        allotted: So many tasks may be begun by the budget, for now; None without one.
        revision: Grows whenever ``epochs`` or ``allotted`` is written.
        stopped: Why no more tasks are begun although there could be; None otherwise.
        identity: What the study in Optuna's storage has as well, as no other one of this name
            does; None until that is there.
        deadline: What ``seconds_left`` counts to, by the store's clock, which may be set: good to
            tell whether it was moved; None without one.
    """

    definition: Mapping[str, Any]
    seconds_left: float | None
    max_tasks: int | None
    epochs: int | None = None
    allotted: int | None = None
    revision: int = 0
    stopped: str | None = None
    identity: str | None = None
    deadline: float | None = None


class Ledger(abc.ABC):
    """Claims, heartbeats and outcomes of all studies in one store.

    A task is

        open     → claimed   by one worker, in one transaction; its token grows by one
        claimed  → done      by the holder of the latest token only
        claimed  → open      handed back
        claimed  → claimed   taken from a worker whose heartbeat stopped; its token grows by one
        claimed  → paused    at a rung
        paused   → open      when the strategy wants it to go on
        claimed  → failed    after too many failed attempts
        failed   → open      by ``retry``

    A worker that was taken for dead holds an old token, so that it can neither begin a trial nor
    complete one. Two tasks whose models share a run (``runs`` overlaps) are not claimed at the
    same time: the second would train the same epochs, and finds them in the run store a moment
    later.

    Positions from 0 up are those of the study's own tasks. Below 0 are tasks that were added by
    hand: they come first, and no limit on the number of tasks counts them.

    Safe for any number of processes, each of which makes its own; one object may be used from
    several threads. Every method is one short transaction: it is carried out as a whole or not at
    all. Where the store goes away in the middle of a call, the caller can't know which; what a
    second call then does is said at each method that writes.

    Every method may raise the errors of the store's driver (``Patience`` tells which of them
    pass).
    """

    @property
    @abc.abstractmethod
    def writes_trials(self) -> bool:
        """Whether the Optuna trial of a task can be written in the transactions of the ledger.

        It can where Optuna's tables are those that this package knows. Elsewhere ``begin`` and
        ``append`` must not be called, and ``complete`` not with a trial: trials are written by
        Optuna's public calls then. Callers need not ask; ``Trials`` does the one or the other.

        It is found out when it is first asked for, after Optuna's storage was opened, and does
        not change.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close all connections."""

    # --- studies

    @abc.abstractmethod
    def define(self, study: str, definition: Mapping[str, Any]) -> Mapping[str, Any]:
        """Store what a study is, unless it is defined already; return what is stored.

        Args:
            study: Its name.
            definition: JSON-ready.
        """

    @abc.abstractmethod
    def limit(
        self,
        study: str,
        timeout: float | None,
        max_tasks: int | None,
        epochs: int | None = None,
    ) -> None:
        """Set how far the study may go on; a study that was stopped may go on again.

        Args:
            study: Its name.
            timeout: Seconds from now.
            max_tasks: Tasks that may be begun, those of before included.
            epochs: Budget of the trials. With one no further task is begun until ``allot`` says
                how many may be.
        """

    @abc.abstractmethod
    def ration(self, study: str, timeout: float | None, epochs: int | None) -> None:
        """Change how long the study may go on, and its budget, and leave the rest as it is.

        A deadline that is about the same stays the same, so that nobody takes it for a new one.
        """

    @abc.abstractmethod
    def allot(
        self, study: str, revision: int, allotted: int, positions: Sequence[int] = ()
    ) -> bool:
        """Let so many tasks be begun in all, and resume those at ``positions``.

        What may be begun or resumed follows from what all tasks have cost. So of processes that
        come to a decision at the same time one succeeds, and the others have to look again.

        Args:
            study: Its name.
            revision: Of the row that the decision was made from.
            allotted: Tasks that may be begun, those of before included.
            positions: Of paused tasks; one that isn't paused is left alone.

        Returns:
            False, and nothing is written, if the study has another revision.
        """

    @abc.abstractmethod
    def stop(self, study: str, reason: str) -> None:
        """Let no further tasks be begun, but those that were added by hand.

        The limit on the number of tasks becomes that of those that were begun. A second call
        changes nothing. ``limit`` lets the study go on.
        """

    @abc.abstractmethod
    def study(self, study: str) -> StudyRow | None:
        """Return what is stored of a study; None if it is unknown."""

    @abc.abstractmethod
    def studies(self) -> list[str]:
        """Return the names of all studies, in alphabetical order."""

    @abc.abstractmethod
    def identify(self, study: str, identity: str) -> str | None:
        """Give a study its identity unless it has one; return the one it has.

        Of racing processes all get the same one. None if there is no such study.
        """

    @abc.abstractmethod
    def rename(self, study: str, name: str) -> bool:
        """Give a study and all of its tasks another name; return False if that is taken.

        Workers that are on one of its tasks are ``Fenced`` by their next call. The study in
        Optuna's storage is left alone.
        """

    @abc.abstractmethod
    def delete(self, study: str, identity: str | None = None) -> None:
        """Delete a study's definition and all of its tasks; harmless where there is none.

        Workers that are on one of its tasks are ``Fenced`` by their next call. The study in
        Optuna's storage is left alone.

        Args:
            study: Its name.
            identity: Delete it only if it has this identity; None for any.
        """

    # --- the queue

    @abc.abstractmethod
    def open_tasks(self, study: str, tasks: Sequence[NewTask]) -> int:
        """Open all of ``tasks`` that are not there yet, all at once; return how many were new.

        A task is there if its configuration is anywhere in the study, or if it has no
        configuration and its position is taken. So of several processes that open the same tasks
        one succeeds and the others find them open, and a second call opens none.

        Raises:
            PositionTakenError: A position holds another configuration; nothing was opened.
        """

    @abc.abstractmethod
    def tasks(self, study: str) -> list[Task]:
        """Return all tasks of a study, by position."""

    @abc.abstractmethod
    def counts(self, study: str, added: bool = False) -> dict[TaskState, int]:
        """Return the number of tasks of a study in each state, 0 included.

        Args:
            study: Its name.
            added: Count those only that were added by hand.
        """

    @abc.abstractmethod
    def claim(self, study: str, owner: str, grace: float) -> Task | None:
        """Claim the first task that can be worked on, or return None.

        That is an open one, or one whose owner has not been heard of for ``grace`` seconds, which
        shares no run with a task that somebody else is working on. Once as many tasks as the
        study's limit allows were claimed, only those can be claimed again.

        A task whose claim was written although the store went away before it said so is free
        again after ``grace`` seconds.
        """

    @abc.abstractmethod
    def heartbeat(self, study: str, task: Task, progress: Progress | None) -> None:
        """Say that the owner is alive, and how far it is.

        Raises:
            Fenced: The task was taken over.
        """

    @abc.abstractmethod
    def settle(self, study: str, task: Task) -> bool:
        """Make the configuration of ``task`` that of the claimed row.

        It may have been drawn since the task was claimed. Without a key it may be one that
        another task has as well. A second call changes nothing.

        Returns:
            False, and nothing is written, if another task of the study has this key.

        Raises:
            Fenced: The task was taken over.
        """

    @abc.abstractmethod
    def attach(self, study: str, task: Task, trial: int) -> None:
        """Note the number of the Optuna trial that the claimed task is trained as.

        Raises:
            Fenced: The task was taken over.
        """

    @abc.abstractmethod
    def release(self, study: str, task: Task) -> None:
        """Hand a claimed task back, to be gone on with by anybody.

        Raises:
            Fenced: The task was taken over, or handed back before.
        """

    @abc.abstractmethod
    def pause(self, study: str, task: Task, progress: Progress) -> None:
        """Pause a claimed task, which nobody can claim until it is resumed.

        It keeps its token. Its ``progress`` is what is given here, until it is claimed again; all
        of those that a task was paused with are kept for ``pauses``.

        Raises:
            Fenced: The task was taken over, or paused before.
        """

    @abc.abstractmethod
    def resume(self, study: str, positions: Sequence[int], ending: str | None = None) -> int:
        """Open those of the tasks at ``positions`` that are paused; return how many.

        Whoever claims one gets its next token. Of racing processes each task is opened by one.

        Args:
            study: Its name.
            positions: Of the tasks.
            ending: Why they are to be ended where they are, for good; None to go on.
        """

    @abc.abstractmethod
    def retry(self, study: str) -> int:
        """Open all failed tasks again, with as many attempts as new ones have; return how many.

        Whoever claims one gets its next token. A second call finds none.
        """

    @abc.abstractmethod
    def pauses(self, study: str) -> dict[int, tuple[Progress, ...]]:
        """Return how far each task was whenever it was paused, oldest first, by position.

        Those that never were paused are left out; those that went on since are in it.
        """

    @abc.abstractmethod
    def fail(self, study: str, task: Task, reason: str) -> bool:
        """Count a failed attempt and hand the task back; return True if it was the last attempt.

        Raises:
            Fenced: The task was taken over, or handed back before.
        """

    @abc.abstractmethod
    def complete(
        self, study: str, task: Task, outcome: TrialOutcome, trial: TrialEnd | None = None
    ) -> None:
        """Commit the outcome of a claimed task.

        Harmless if that was done before under the same token.

        Args:
            study: The study's name.
            task: As it was claimed.
            outcome: The result.
            trial: How the task's Optuna trial ends, in the same transaction; None where the
                caller ends it by itself.

        Raises:
            Fenced: The task was taken over, or the trial isn't running any more; nothing was
                written, and the outcome does not count.
        """

    # --- trials, where writes_trials holds

    @abc.abstractmethod
    def begin(self, study: str, task: Task, trial: NewTrial) -> tuple[int, int] | None:
        """Do what ``settle`` does, and create the running trial of the task.

        A second call creates a second trial; see ``Trials.begin``.

        Returns:
            Optuna's id of the trial, and its number; None, and nothing is written, if another
            task of the study has this key.

        Raises:
            Fenced: The task was taken over; nothing was written.
            KeyError: The study is not in Optuna's storage.
        """

    @abc.abstractmethod
    def append(
        self, trial_id: int, values: Sequence[tuple[int, float]], noted: Mapping[str, Any]
    ) -> bool:
        """Add intermediate values and system attributes to a running trial.

        A second call changes nothing.

        Args:
            trial_id: Optuna's id, not the number.
            values: Steps and their values; NaN becomes a gap in the curve. Of a step that is
                there already the first value stays, as in Optuna.
            noted: What a pruner noted, JSON-ready; a key that is there already is replaced.

        Returns:
            False if the trial isn't running any more, and nothing was written.
        """
