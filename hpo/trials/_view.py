"""A study as Optuna's samplers and pruners see it when they are asked about one trial."""

import copy
from collections.abc import Container, Sequence
from typing import Any, cast

import optuna
from optuna.storages import BaseStorage
from optuna.study.study import _ThreadLocalStudyAttribute
from optuna.trial import FrozenTrial, TrialState

__all__ = ["StudyView"]


class StudyView(optuna.Study):
    """A study whose trials stay as they were read, whatever other workers do meanwhile.

    The trial in question is held by this process and is seen as it is here, even if less of it is
    in the storage yet, or nothing at all. What the algorithm notes on it goes nowhere but to
    ``noted``. Everything else is as in the study: all that other workers have written before the
    history is read is in it.

    Args:
        study: The study.
        trial: The trial in question.
        trials: The history; by default it is read once, when the algorithm asks for it.

    Attributes:
        noted: System attributes of the trial, by key.
    """

    def __init__(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        trials: Sequence[FrozenTrial] | None = None,
    ) -> None:
        self.__dict__.update(study.__dict__)
        # in it, Optuna keeps trials
        self._thread_local = _ThreadLocalStudyAttribute()
        self.noted: dict[str, Any] = {}
        self._storage = cast(BaseStorage, _StorageView(self, study._storage, trial, trials))


class _StorageView:
    """What stands between the algorithm and the storage."""

    def __init__(
        self,
        study: StudyView,
        storage: BaseStorage,
        trial: FrozenTrial,
        trials: Sequence[FrozenTrial] | None,
    ) -> None:
        self._study = study
        self._storage = storage
        self._trial = trial
        self._trials = trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Answer what Hyperband asks, which makes a study of its own for each decision."""
        return self._study._study_id

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the history, with the trial in question as it is here."""
        if self._trials is None:
            trials = self._storage.get_all_trials(study_id, deepcopy=False)
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

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep a note on the trial in question, which is the only one that algorithms write to."""
        self._study.noted[key] = value
