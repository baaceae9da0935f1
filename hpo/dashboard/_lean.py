"""What optuna-dashboard is given of trials, so that its page of thousands of them can be used."""

import copy
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

__all__ = ["LeanStorage"]

#: With more trials none has its curve: the page draws each trial as a line of a plot, with an entry
#: in its legend, as soon as there is one curve. Of 5,000 that takes a minute.
_MOST_CURVES = 200
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
        #: By study, number, and whether it has the curve: the trial, and what was made of it.
        self._made: dict[tuple[int, int, bool], tuple[FrozenTrial, FrozenTrial]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(self, study_id: int, deepcopy: bool = True) -> list[FrozenTrial]:
        """Return all trials of a study, of which many have no curve."""
        trials = self._storage.get_all_trials(study_id, deepcopy=False)
        curves = len(trials) <= _MOST_CURVES
        found = []
        for trial in trials:
            key = study_id, trial.number, curves
            before, made = self._made.get(key, (None, None))
            # another object is another trial: an id may be given out again
            if made is None or before is not trial or not trial.state.is_finished():
                made = _readable(trial, curves)
                self._made[key] = trial, made
            found.append(made)
        return copy.deepcopy(found) if deepcopy else found


# optuna-dashboard asks whether it is one
BaseStorage.register(LeanStorage)


def _readable(trial: FrozenTrial, curve: bool) -> FrozenTrial:
    """Return a trial with attributes that people can read, and perhaps its curve."""
    shown = copy.copy(trial)
    if _OWN & trial.user_attrs.keys() and "task" in trial.user_attrs:  # it is one of hpo's
        attributes = {k: v for k, v in trial.user_attrs.items() if k not in (*_OWN, _METRICS)}
        shown.user_attrs = attributes | trial.user_attrs.get(_METRICS, {})
    if not curve:
        shown.intermediate_values = {}
    return shown
