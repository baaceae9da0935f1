"""Trials that Optuna's samplers would not learn from as they are stored, or could not."""

import copy
import statistics
from collections.abc import Mapping, Sequence, Set

from optuna.trial import FrozenTrial, TrialState

__all__ = ["as_learned_from"]


def as_learned_from(
    trials: Sequence[FrozenTrial], *, limited: bool, against: str | None
) -> list[FrozenTrial]:
    """Return a history as samplers are to see it.

    A trial that broke a constraint was not trained: it is pruned, with no value. Gaussian processes
    and genetic samplers look at completed trials alone, and would draw such a configuration again
    and again. So they see it as completed, with its constraints, and in place of what isn't known
    the median of the trials that have it, which says neither well nor badly of it.

    TPE can't rank pruned trials by their curves where there are two objectives. There a diverged
    trial is seen without its curve, and comes last.

    Gaussian processes want the same constraints of all trials. One that a trial lacks, since it
    could not be measured, is seen as just kept.

    Args:
        trials: As they were read; they are not changed.
        limited: Whether the study has constraints. Without, and with one objective, the history is
            seen as it is: to look at thousands of trials for each suggestion takes its time.
        against: The user attribute that is the second objective; None for one objective.
    """
    if not limited and against is None:
        return list(trials)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    columns = zip(*(trial.values for trial in complete if trial.values), strict=True)
    medians = [statistics.median(column) for column in columns]
    held = [trial.constraints for trial in trials]
    constrained = {key for constraints in held for key in constraints}
    return [
        _seen(trial, constraints, medians, against, constrained)
        for trial, constraints in zip(trials, held, strict=True)
    ]


def _seen(
    trial: FrozenTrial,
    constraints: Mapping[str, float],
    medians: Sequence[float],
    against: str | None,
    constrained: Set[str],
) -> FrozenTrial:
    broke = any(excess > 0 for excess in constraints.values())
    if trial.state is TrialState.PRUNED and broke and medians:
        trial = copy.copy(trial)
        trial.state, trial.values = TrialState.COMPLETE, list(medians)
        if against is not None:
            trial.values = [medians[0], trial.user_attrs.get(against, medians[1])]
    elif trial.state is TrialState.PRUNED and against is not None and trial.intermediate_values:
        trial = copy.copy(trial)
        trial.intermediate_values = {}
    if trial.state is TrialState.COMPLETE and len(constraints) < len(constrained):
        trial = copy.copy(trial)
        trial.system_attrs = dict(trial.system_attrs)
        for key in constrained - constraints.keys():
            trial.set_constraint(key, 0.0)
    return trial
