"""Trials that are not at their end, as samplers learn from them."""

import copy
import math
from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial, TrialState

__all__ = ["as_pruned", "at_one_step", "last_scored"]

#: What samplers learn from; a failed trial was taken up again as another one.
_LEARNED = (TrialState.COMPLETE, TrialState.PRUNED)


def last_scored(trial: FrozenTrial) -> int | None:
    """Return the last step that a trial has a score of; None if it has none."""
    scored = [step for step, value in trial.intermediate_values.items() if math.isfinite(value)]
    return max(scored, default=None)


def as_pruned(trial: FrozenTrial, step: int) -> FrozenTrial:
    """Return a trial that goes on later, or now, as one that was pruned at a step.

    Samplers leave out trials that wait, since those of Optuna's own have not begun, and what is
    known of running ones.
    """
    seen = copy.copy(trial)
    seen.state = TrialState.PRUNED
    seen.intermediate_values = {s: v for s, v in trial.intermediate_values.items() if s <= step}
    seen.values = [seen.intermediate_values[step]]
    return seen


def at_one_step(trials: Sequence[FrozenTrial], enough: int) -> list[FrozenTrial]:
    """Return trials as complete with their scores at one step, so that they can be compared.

    It is the furthest step that enough trials have a score of, as BOHB chooses the budget that its
    model is of (Falkner et al. 2018, "BOHB: Robust and Efficient Hyperparameter Optimization at
    Scale", section 3.2), or else the one that most have. Samplers such as Optuna's GP, which learn
    from complete trials alone, would otherwise see the few finalists only.

    Args:
        trials: As samplers see them.
        enough: So many scores are enough.
    """
    scores = [_scores(trial) for trial in trials if trial.state in _LEARNED]
    counts: dict[int, int] = {}
    for values in scores:
        for step in values:
            counts[step] = counts.get(step, 0) + 1
    if not counts:
        return list(trials)
    chosen = max((step for step, n in counts.items() if n >= enough), default=None)
    if chosen is None:
        chosen = max(counts, key=lambda step: (counts[step], step))
    found = []
    for trial in trials:
        values = _scores(trial)
        if trial.state in _LEARNED and chosen in values:
            seen = copy.copy(trial)
            seen.state = TrialState.COMPLETE
            seen.values = [values[chosen]]
            found.append(seen)
        elif trial.state is TrialState.RUNNING or (
            # it broke a constraint, so that it was never trained
            trial.state is TrialState.PRUNED and not values
        ):
            found.append(trial)
    return found


def _scores(trial: FrozenTrial) -> Mapping[int, float]:
    return {s: v for s, v in trial.intermediate_values.items() if math.isfinite(v)}
