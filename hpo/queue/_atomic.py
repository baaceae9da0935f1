"""Task and trial in one transaction of the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import distribution_to_json

from hpo.queue._study_trials import StudyTrials, shown_of
from hpo.search import Task, TrialOutcome
from hpo.trials import SEAL, Draw, LiveTrial, NewTrial, TrialEnd, seal_of

__all__ = ["AtomicTrials"]


class AtomicTrials(StudyTrials):
    """Writes a task and its trial together, so that no crash comes between them.

    The ledger has to be one with ``writes_trials``. ``reconcile`` has something to do only where
    processes without it worked on the study as well.
    """

    def begin(
        self, task: Task, attributes: Mapping[str, Any], draw: Draw | None = None
    ) -> LiveTrial | None:
        config = task.config
        assert config is not None
        frozen = self._new_trial(task, config, attributes, draw)
        begun = self._begun(task)
        if begun is None:
            stored = {
                name: (domain.to_internal_repr(frozen.params[name]), distribution_to_json(domain))
                for name, domain in frozen.distributions.items()
            }
            system = {**frozen.system_attrs, SEAL: seal_of(frozen)}
            new = NewTrial(self._source.id, stored, frozen.user_attrs, system)
            begun = self._ledger.begin(self._name, task, new)
        if begun is None:
            self._beginning = None
            return None
        return self._live(begun, config, frozen)

    def append(
        self, trial: LiveTrial, values: Sequence[tuple[int, float]], noted: Mapping[str, Any]
    ) -> bool:
        def carry_out(sealed: Mapping[str, Any]) -> bool:
            return self._ledger.append(trial.id, values, sealed)

        return trial.seal.write(values, noted, carry_out)

    def complete(
        self,
        task: Task,
        trial: LiveTrial,
        outcome: TrialOutcome,
        values: Sequence[tuple[int, float]],
    ) -> None:
        for step, value in values:
            trial.note(step, value)
        objectives, shown = tuple(self._objectives(outcome)), shown_of(outcome)
        noted = {SEAL: seal_of(trial.frozen, objectives, shown)}
        end = TrialEnd(trial.id, tuple(values), shown, objectives, noted)
        self._ledger.complete(self._name, task, outcome, end)
