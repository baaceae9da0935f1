"""A study as Optuna's samplers and pruners see it when they are asked about one trial."""

import copy
from collections.abc import Container, Sequence
from typing import Any, cast

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hpo.trials._study import OptunaStudy

__all__ = ["StorageView"]


class StorageView:
    """What stands between an algorithm and the storage, for one question about one trial.

    The trial in question is held by this process and is seen as it is here, even if less of it is
    in the storage yet, or nothing at all. What the algorithm notes on it goes nowhere but to
    ``noted``. All other trials stay as they were read, whatever other workers do meanwhile. The
    rest is as in the storage.

    Args:
        source: The study.
        trial: The trial in question.
        trials: The history; by default it is read once, when the algorithm asks for it.

    Attributes:
        noted: System attributes of the trial, by key.
    """

    def __init__(
        self, source: OptunaStudy, trial: FrozenTrial, trials: Sequence[FrozenTrial] | None = None
    ) -> None:
        self.noted: dict[str, Any] = {}
        self._source = source
        self._trial = trial
        self._trials = trials

    def study(self) -> optuna.Study:
        """Return a study that lives in this view."""
        own = self._source.study
        return optuna.load_study(
            study_name=own.study_name,
            storage=cast(BaseStorage, self),
            sampler=own.sampler,
            pruner=own.pruner,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source.storage, name)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Answer what each study asks that is made, and Hyperband makes one for each decision."""
        return self._source.id

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the history, with the trial in question as it is here."""
        if self._trials is None:
            trials = list(self._source.storage.get_all_trials(study_id, deepcopy=False))
            # by number, so that a running one is near the end
            for index in reversed(range(len(trials))):
                if trials[index].number == self._trial.number:
                    trials[index] = self._trial
                    break
            self._trials = trials
        if states is None:
            chosen = list(self._trials)
        else:
            chosen = [trial for trial in self._trials if trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Keep nothing: what a genetic sampler notes, its parents, follows from the history.

        So a suggestion can be drawn again, and processes that draw at the same time don't write
        over each other.
        """

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep a note on the trial in question, which is the only one that algorithms write to."""
        self.noted[key] = value
