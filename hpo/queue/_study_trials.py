"""What the two ways to keep a task and its trial in step have in common."""

import contextlib
import copy
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.models import Config
from hpo.queue._contract import Ledger
from hpo.queue._trials import Trials
from hpo.search import COSTS, Progress, Task, TaskState, TrialOutcome
from hpo.trials import (
    SEAL,
    Draw,
    LiveTrial,
    OptunaStudy,
    Searched,
    damage,
    sample_config,
    should_prune,
)

__all__ = ["StudyTrials", "shown_of", "state_of"]

#: What of an outcome stands on the Optuna trial as user attributes.
_SHOWN = (
    *("std", "scores", "metrics", "runs", "epochs_trained", "pruned"),
    *("model_mb", "latency_ms"),
)


class StudyTrials(Trials):
    """Trials of a study, but for what concerns task and trial at once.

    Args:
        source: The study in Optuna's storage.
        ledger: Its queue; a plain one, which waits for nothing.
        searched: What is searched.
    """

    def __init__(self, source: OptunaStudy, ledger: Ledger, searched: Searched) -> None:
        self._source = source
        self._ledger = ledger
        self._searched = searched
        self._name = source.study.study_name
        #: Position and token of a claim whose ``begin`` was called and has not answered yet.
        self._beginning: tuple[int, int] | None = None
        #: The same of ``take_up``, with the id of the trial.
        self._taking: tuple[tuple[int, int], int] | None = None

    def draw(self, position: int, attempt: int) -> tuple[Config, Draw]:
        return sample_config(self._source, self._searched, position, attempt)

    def close_former(self, task: Task) -> None:
        if task.token == 1:
            return
        for trial in self._trials_of(task, TrialState.RUNNING):
            self._end_as_failed(self._id_of(trial), "its worker died; another one went on with it")

    def take_up(self, task: Task) -> LiveTrial | None:
        if task.token == 1:
            return None
        claim = (task.position, task.token)
        if self._taking is None or self._taking[0] != claim:
            waiting = self._trials_of(task, TrialState.WAITING)
            if not waiting:
                return None
            self._taking = claim, self._id_of(waiting[-1])
        trial_id = self._taking[1]
        storage = self._source.storage
        try:
            storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:  # somebody ended it, in the dashboard perhaps
            return None
        frozen = copy.deepcopy(storage.get_trial(trial_id))
        config = Config.from_stored(frozen.user_attrs["config"])
        if task.config is not None and config != task.config:
            raise damage(f"what it has of trial {frozen.number}")
        self._ledger.attach(self._name, task, frozen.number)
        self._taking = None
        self._source.hold(trial_id)
        return LiveTrial(trial_id, config, frozen)

    def should_prune(self, trial: LiveTrial) -> tuple[bool, dict[str, Any]]:
        return should_prune(self._source, trial.frozen)

    def fail(
        self, task: Task, trial: LiveTrial | None, reason: str, trace: str | None = None
    ) -> bool:
        if trial is not None:
            self._end_as_failed(trial.id, reason, trace)
        return self._ledger.fail(self._name, task, reason)

    def hand_back(self, task: Task, trial: LiveTrial | None) -> None:
        # The trial first: whoever claims the task finds it waiting.
        if trial is not None:
            self._source.storage.set_trial_state_values(trial.id, TrialState.WAITING)
        self._ledger.release(self._name, task)

    def pause(self, task: Task, trial: LiveTrial, progress: Progress) -> None:
        self._source.storage.set_trial_state_values(trial.id, TrialState.WAITING)
        self._ledger.pause(self._name, task, progress)

    def enqueued(self) -> list[FrozenTrial]:
        return [t for t in self.all((TrialState.WAITING,)) if "fixed_params" in t.system_attrs]

    def close_enqueued(self, trial: FrozenTrial, reason: str) -> None:
        self._end_as_failed(self._id_of(trial), reason)

    def leave(self) -> None:
        self._source.hold(None)

    def all(self, states: Sequence[TrialState] | None = None) -> list[FrozenTrial]:
        return self._source.study.get_trials(deepcopy=False, states=states)

    def unfinished(self) -> list[FrozenTrial]:
        # not through Optuna's cache, which reads all of them the first time that it is asked
        return self._source.backend.get_all_trials(
            self._source.id, deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)
        )

    def reconcile(self) -> None:
        # Tasks first: what has ended there stays so, and its trials are all there then.
        tasks = self._ledger.tasks(self._name)
        ended: set[int] = set()
        unfinished: dict[int, list[FrozenTrial]] = {}
        for trial in self.all():
            position = trial.user_attrs.get("task")
            if position is None:
                continue
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                ended.add(position)
            elif not trial.state.is_finished():
                unfinished.setdefault(position, []).append(trial)
        for task in tasks:
            left = unfinished.get(task.position, [])
            if task.state is TaskState.DONE and task.outcome is not None:
                if task.position not in ended:
                    self._end_as_done(task, task.outcome, left)
            elif task.state is TaskState.FAILED:
                for trial in left:
                    self._end_as_failed(self._id_of(trial), task.reason or "")

    def _end_as_done(
        self, task: Task, outcome: TrialOutcome, unfinished: Iterable[FrozenTrial]
    ) -> None:
        """End the trial that an outcome belongs to, or make one."""
        for trial in unfinished:
            if trial.number == task.trial:
                self._break_seal(self._id_of(trial), trial)
                self._finish(self._id_of(trial), outcome)
                return
        assert task.config is not None
        costs = {cost: getattr(outcome, cost) for cost in COSTS}
        frozen = self._new_trial(task, task.config, costs, None)
        storage = self._source.storage
        self._finish(storage.create_new_trial(self._source.id, frozen), outcome)

    def _break_seal(self, trial_id: int, trial: FrozenTrial) -> None:
        """Take the checksum from a trial that is from now on written one call after the other."""
        if trial.system_attrs.get(SEAL) is not None:
            with contextlib.suppress(UpdateFinishedTrialError):
                self._source.storage.set_trial_system_attr(trial_id, SEAL, None)

    def _finish(self, trial_id: int, outcome: TrialOutcome) -> None:
        """End a trial with an outcome, unless it has ended."""
        storage = self._source.storage
        try:
            for key, value in shown_of(outcome).items():
                storage.set_trial_user_attr(trial_id, key, value)
            values = self._objectives(outcome)
            storage.set_trial_state_values(trial_id, state_of(outcome), values or None)
        except UpdateFinishedTrialError:
            return

    def _objectives(self, outcome: TrialOutcome) -> list[float]:
        """Return what an outcome has of each objective; nothing if nothing was trained."""
        if not outcome.is_scored:
            return []
        against = self._searched.against
        return [outcome.value, *([] if against is None else [getattr(outcome, against)])]

    def _end_as_failed(self, trial_id: int, reason: str, trace: str | None = None) -> None:
        """Fail a trial, unless it has ended."""
        storage = self._source.storage
        try:
            storage.set_trial_user_attr(trial_id, "failed", reason)
            if trace is not None:
                storage.set_trial_user_attr(trial_id, "traceback", trace)
            storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return

    def _new_trial(
        self, task: Task, config: Config, attributes: Mapping[str, Any], draw: Draw | None
    ) -> FrozenTrial:
        """Return a running trial of a configuration, as Optuna will store it."""
        params = self._searched.shown(config)
        domains = self._searched.domains(params)
        drawn = {} if draw is None else {"draw": dataclasses.asdict(draw)}
        excess = {
            cost: attributes[cost] - limit
            for cost, limit in self._searched.limits.items()
            if attributes.get(cost) is not None
        }
        return create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions={name: domains[name] for name in params},
            constraints=excess,
            system_attrs={} if draw is None else dict(draw.noted),
            user_attrs={
                "task": task.position,
                "worker": task.owner,
                "token": task.token,
                **attributes,
                **drawn,
                "config": config.model_dump(mode="json"),
            },
        )

    def _begun(self, task: Task) -> tuple[int, int] | None:
        """Return id and number of the trial that a ``begin`` whose answer was lost has made."""
        claim = (task.position, task.token)
        if self._beginning == claim:
            for trial in self._trials_of(task, TrialState.RUNNING):
                if trial.user_attrs.get("token") == task.token:
                    return self._id_of(trial), trial.number
        self._beginning = claim
        return None

    def _live(self, begun: tuple[int, int], config: Config, frozen: FrozenTrial) -> LiveTrial:
        """Return the trial that was just created."""
        trial_id, frozen.number = begun
        self._beginning = None
        self._source.hold(trial_id)
        return LiveTrial(trial_id, config, frozen)

    def _trials_of(self, task: Task, state: TrialState) -> list[FrozenTrial]:
        trials = self.all((state,))
        return [trial for trial in trials if trial.user_attrs.get("task") == task.position]

    def _id_of(self, trial: FrozenTrial) -> int:
        return self._source.storage.get_trial_id_from_study_id_trial_number(
            self._source.id, trial.number
        )


def shown_of(outcome: TrialOutcome) -> dict[str, Any]:
    """Return the user attributes in which a trial shows an outcome."""
    record = outcome.to_json()
    return {key: record[key] for key in _SHOWN if record.get(key) is not None}


def state_of(outcome: TrialOutcome) -> TrialState:
    """Return the state of a trial that ended with an outcome."""
    return TrialState.COMPLETE if outcome.pruned is None else TrialState.PRUNED
