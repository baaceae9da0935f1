"""What optuna-dashboard is given of trials, so that its page of thousands of them can be used."""

import copy
import math
from collections.abc import Sequence
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

__all__ = ["LeanStorage"]

#: So many trials all have their curve: the page draws each as a line, with an entry in a legend.
_ALL = 200
#: Of more, the best and the latest have one, and those that run.
_BEST = _LATEST = 30
#: User attributes that are for hpo itself: JSON, of which a page shows walls.
_OWN = frozenset({"config", "draw", "runs", "token"})
_METRICS = "metrics"


class LeanStorage:
    """A storage whose trials have what a page can show of them; the rest is as it is.

    Only for answers about a study as a whole: whoever copies trials must not read them here.

    Args:
        storage: All of it. One that keeps finished trials in memory, since the page asks again
            every few seconds.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        #: By study and number, what was made of a finished trial: with its curve, and without.
        self._made: dict[tuple[int, int], tuple[FrozenTrial, FrozenTrial]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(self, study_id: int, deepcopy: bool = True) -> list[FrozenTrial]:
        """Return all trials of a study, of which many may have no curve."""
        trials = self._storage.get_all_trials(study_id, deepcopy=False)
        shown = _with_curve(trials, self._storage.get_study_directions(study_id)[0])
        found = []
        for trial in trials:
            key = study_id, trial.number
            made = self._made.get(key)
            if made is None or made[0].state is not trial.state:
                made = _readable(trial)
                if trial.state.is_finished():
                    self._made[key] = made
            found.append(made[0] if shown is None or trial.number in shown else made[1])
        return copy.deepcopy(found) if deepcopy else found


# optuna-dashboard asks whether it is one
BaseStorage.register(LeanStorage)


def _with_curve(trials: Sequence[FrozenTrial], direction: StudyDirection) -> set[int] | None:
    """Return the numbers of the trials that are given with their curve; None for all."""
    if len(trials) <= _ALL:
        return None
    sign = -1 if direction is StudyDirection.MAXIMIZE else 1
    whole = [
        (sign * trial.values[0], trial.number)
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.values and not math.isnan(trial.values[0])
    ]
    best = [number for _, number in sorted(whole)[:_BEST]]
    latest = [trial.number for trial in trials[-_LATEST:]]
    running = [trial.number for trial in trials if trial.state is TrialState.RUNNING]
    return {*best, *latest, *running}


def _readable(trial: FrozenTrial) -> tuple[FrozenTrial, FrozenTrial]:
    """Return a trial with its curve and without, both with attributes that people can read."""
    shown, bare = copy.copy(trial), copy.copy(trial)
    if _OWN & trial.user_attrs.keys() and "task" in trial.user_attrs:  # it is one of hpo's
        attributes = {k: v for k, v in trial.user_attrs.items() if k not in (*_OWN, _METRICS)}
        shown.user_attrs = bare.user_attrs = attributes | trial.user_attrs.get(_METRICS, {})
    bare.intermediate_values = {}
    return shown, bare
