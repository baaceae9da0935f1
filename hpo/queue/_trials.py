"""The contract of a study's trials: a task and its trial in Optuna, kept in step."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpo.models import Config
from hpo.search import Progress, Task, TrialOutcome
from hpo.trials import Draw, LiveTrial

__all__ = ["Trials"]


class Trials(abc.ABC):
    """The trials of one study in Optuna's storage, as a worker deals with them.

    One object for each process that works on a study; see ``open_trials``. A worker goes

        task = ledger.claim(…)
        trials.close_former(task)
        trial = trials.take_up(task)  or  trials.begin(task with its configuration, …)
            trial.note(step, value)              each step
            trials.append(trial, values, {})     now and then, from any thread
            trials.should_prune(trial)           where the pruner can decide anything
        trials.complete(…)  or  fail(…)  or  hand_back(…)  or  pause(…)
        trials.leave()                           whatever happened

    There are two implementations of this contract. Where ``Ledger.writes_trials`` holds, what a
    task and its trial have in common is one transaction, so that there is nothing to make good
    wherever a worker dies. Elsewhere only Optuna's public calls are used. The ledger is then
    written first and is the truth; the trial follows, and what a crash left between the two is
    made good by ``reconcile``.

    While a claim holds, its worker is the only one that writes to the trial. So the worker knows
    all of it (``LiveTrial``), and it is never read back.

    ``append`` may be called by a second thread (the pulse) while the first one is in any other
    method. All other methods are called by the thread that works on the task.

    Everything may raise the errors of a store that is away, and may be called again then: see
    ``waiting``, which does that. A call whose answer was lost is not carried out twice: ``begin``
    finds the trial that it made, ``complete`` finds that it is done, ``append`` keeps the first
    value of each step. ``fail``, ``hand_back`` and ``pause`` raise ``Fenced`` then, which a worker
    takes like any other: the task isn't its any more.
    """

    # --- before a trial exists

    @abc.abstractmethod
    def draw(self, position: int, attempt: int) -> tuple[Config, Draw]:
        """Draw a configuration for a task from the study's history, and create nothing.

        The same history, position and attempt give the same configuration.

        Args:
            position: Of the task; a part of the sampler's seed.
            attempt: 0, and one more each time that ``begin`` found the configuration to be
                another task's.

        Returns:
            The configuration, and what it followed from, for ``begin``.
        """

    # --- the beginning

    @abc.abstractmethod
    def close_former(self, task: Task) -> None:
        """Fail the trials that earlier owners of the task left running: they can't write then.

        To be called first of all with every claimed task; does nothing for a token of 1. With
        public calls alone, what earlier owners left half done is made good as well.
        """

    @abc.abstractmethod
    def take_up(self, task: Task) -> LiveTrial | None:
        """Go on with the trial of a task that was handed back or paused.

        It is running then, and noted on the task. Its values, attributes and configuration are as
        they were stored.

        Returns:
            None if the task has no such trial, and ``begin`` is next; always so for a token of 1.

        Raises:
            Fenced: The task was taken over.
        """

    @abc.abstractmethod
    def begin(
        self, task: Task, attributes: Mapping[str, Any], draw: Draw | None = None
    ) -> LiveTrial | None:
        """Create the running trial of a claimed task, whose configuration is decided.

        The configuration, key and runs that ``task`` holds become those of the row in the ledger
        (``Ledger.settle``), and the parameters of the trial follow from the configuration. The
        trial gets the user attributes ``task`` (position), ``worker`` (owner), ``token``,
        ``config`` and, of a drawn one, ``draw``.

        Args:
            task: As it was claimed, with its configuration. A ``key`` of None lets it be one that
                another task has as well, for when few are left to draw.
            attributes: More user attributes, JSON-ready, such as the ``stage``. What a limit of the
                study is about (``model_mb``, ``latency_ms``) gives the trial a constraint: by how
                much it is above the limit.
            draw: What ``draw`` gave with the configuration.

        Returns:
            None, and nothing is written, if another task of the study has this key.

        Raises:
            Fenced: The task was taken over; nothing was written.
            KeyError: The study is not in Optuna's storage (any more).
        """

    # --- while it is trained

    @abc.abstractmethod
    def append(
        self,
        trial: LiveTrial,
        values: Sequence[tuple[int, float]],
        noted: Mapping[str, Any],
    ) -> bool:
        """Write steps of a trial, and what a pruner noted on it.

        What ``should_prune`` decided on, and what it noted, has to be written before anything
        follows from the decision.

        Args:
            trial: The running trial.
            values: Steps and their values, as they were noted on the trial; a value that isn't
                finite becomes a gap. Of a step that is there already the first value stays.
            noted: System attributes, JSON-ready; one that is there already is replaced.

        Returns:
            False if the trial isn't running any more, since somebody else ended it or took the
            task over; nothing was written, and the worker has lost its task.
        """

    @abc.abstractmethod
    def should_prune(self, trial: LiveTrial) -> tuple[bool, dict[str, Any]]:
        """Ask the study's pruner about a trial, as Optuna's ``Trial.should_prune`` would.

        The trial is compared with all that other workers have written until now; it is seen itself
        as it is here, whether its values are written or not. Writes nothing and changes nothing.

        Returns:
            Whether to prune, and what the pruner noted: for ``append``, and then for
            ``LiveTrial.remember``.
        """

    # --- the end

    @abc.abstractmethod
    def complete(
        self,
        task: Task,
        trial: LiveTrial,
        outcome: TrialOutcome,
        values: Sequence[tuple[int, float]],
    ) -> None:
        """Commit the outcome, on the task and on its trial.

        The trial is COMPLETE, or PRUNED if the outcome says why, with the outcome's value, and
        shows the rest of it as user attributes.

        Args:
            task: As it was claimed.
            trial: Its trial.
            outcome: The result.
            values: Steps that were not written yet.

        Raises:
            Fenced: The task was taken over, or somebody else ended the trial; nothing was
                written, and the outcome does not count.
        """

    @abc.abstractmethod
    def fail(
        self, task: Task, trial: LiveTrial | None, reason: str, trace: str | None = None
    ) -> bool:
        """Count a failed attempt, on the task and on its trial.

        Args:
            task: As it was claimed; ``attempts`` is how many there were before.
            trial: Its trial; None if it has none yet.
            reason: In one line; the trial's attribute ``failed``.
            trace: The trial's attribute ``traceback``.

        Returns:
            Whether the task is not tried again.

        Raises:
            Fenced: The task was taken over. The trial may be failed already; whoever took the task
                over would have done the same.
        """

    @abc.abstractmethod
    def hand_back(self, task: Task, trial: LiveTrial | None) -> None:
        """Let anybody go on with the task and, by ``take_up``, with its trial.

        What is still to be written of the curve has to be written before.

        Raises:
            Fenced: The task was taken over.
        """

    @abc.abstractmethod
    def pause(self, task: Task, trial: LiveTrial, progress: Progress) -> None:
        """Let the task wait for its strategy, and then go on with its trial by ``take_up``.

        What is still to be written of the curve has to be written before.

        Args:
            task: As it was claimed.
            trial: Its trial; waits in Optuna as well.
            progress: How far it is; what strategies see of it.

        Raises:
            Fenced: The task was taken over.
        """

    @abc.abstractmethod
    def leave(self) -> None:
        """Forget the trial that was worked on, which from now on others may write to.

        To be called when a task was left in whatever way, ``Fenced`` included; harmless twice.
        """

    # --- trials that Optuna's enqueue_trial made

    @abc.abstractmethod
    def enqueued(self) -> list[FrozenTrial]:
        """Return the trials that wait since somebody called ``optuna.Study.enqueue_trial``."""

    @abc.abstractmethod
    def close_enqueued(self, trial: FrozenTrial, reason: str) -> None:
        """Fail an enqueued trial, with the reason as its attribute ``failed``; harmless twice."""

    # --- the study

    @abc.abstractmethod
    def all(self, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials in these states, or all of them, by number.

        They are shared with a cache and not to be changed. The trial that is worked on may be
        without its parameters, attributes and values.
        """

    @abc.abstractmethod
    def unfinished(self) -> list[FrozenTrial]:
        """Return the trials that run or wait, by number, without reading those that have ended."""

    @abc.abstractmethod
    def reconcile(self) -> None:
        """Give all trials the state and value that their tasks say they have.

        A task that is done has one finished trial with its outcome, which is ended or made here
        if it is missing; the unfinished trials of a task that failed for good are failed. What
        is open, claimed or paused is left to whoever claims it (``close_former``, ``take_up``).

        To be called at the end of a study. With public calls alone, opening the trials does it as
        well. Any number of processes may do it at the same time; a missing trial may then be made
        by each of them.
        """
