"""Task and trial one after the other, the trial by Optuna's public calls alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from hpo.queue._contract import Fenced
from hpo.queue._study_trials import StudyTrials
from hpo.search import Task, TrialOutcome
from hpo.trials import Draw, LiveTrial

__all__ = ["PublicTrials"]


class PublicTrials(StudyTrials):
    """Writes a task in a transaction of the ledger, and then its trial.

    What the ledger says is true. A worker that dies between the two leaves a trial that is still
    running, or none, and ``reconcile`` or the next owner (``close_former``) makes it good. One that
    lost its task may still write to its trial until the next owner fails that.
    """

    #: Position and token of the latest task whose outcome is in the ledger.
    _committed: tuple[int, int] | None = None

    def close_former(self, task: Task) -> None:
        if task.token > 1:
            self.reconcile()
        super().close_former(task)

    def take_up(self, task: Task) -> LiveTrial | None:
        trial = super().take_up(task)
        if trial is not None:
            self._break_seal(trial.id, trial.frozen)
        return trial

    def begin(
        self, task: Task, attributes: Mapping[str, Any], draw: Draw | None = None
    ) -> LiveTrial | None:
        config = task.config
        assert config is not None
        if not self._ledger.settle(self._name, task):
            return None
        frozen = self._new_trial(task, config, attributes, draw)
        storage = self._source.storage
        begun = self._begun(task)
        if begun is None:
            trial_id = storage.create_new_trial(self._source.id, frozen)
            begun = trial_id, storage.get_trial_number_from_id(trial_id)
        self._ledger.attach(self._name, task, begun[1])
        return self._live(begun, config, frozen)

    def append(
        self, trial: LiveTrial, values: Sequence[tuple[int, float]], noted: Mapping[str, Any]
    ) -> bool:
        storage = self._source.storage
        stored = storage.get_trial(trial.id)
        if stored.state != TrialState.RUNNING:
            return False
        try:
            for step, value in values:
                if step not in stored.intermediate_values:
                    shown = value if math.isfinite(value) else math.nan
                    storage.set_trial_intermediate_value(trial.id, step, shown)
            for key, note in noted.items():
                storage.set_trial_system_attr(trial.id, key, note)
        except UpdateFinishedTrialError:
            return False
        return True

    def complete(
        self,
        task: Task,
        trial: LiveTrial,
        outcome: TrialOutcome,
        values: Sequence[tuple[int, float]],
    ) -> None:
        claim = (task.position, task.token)
        if self._committed != claim:
            # While the task is claimed, so that the curve is whole whenever there is an outcome.
            if not self.append(trial, values, {}):
                raise Fenced(f"The trial of task {task.position} was ended by somebody else.")
            self._ledger.complete(self._name, task, outcome)
            self._committed = claim
        self._finish(trial.id, outcome)
