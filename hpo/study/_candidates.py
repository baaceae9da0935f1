"""Candidates that no sampler suggested: added by hand, taken from another study, or enqueued."""

import logging
from collections.abc import Mapping
from typing import Any

from hpo.errors import InputError
from hpo.models import Config
from hpo.queue import FIRST_ENQUEUED, PositionTakenError
from hpo.search import NewTask, SampledStrategy, format_params, param_value
from hpo.study._study import StoredStudy
from hpo.training import head_runs

__all__ = ["add_candidate", "adopt_enqueued", "warm_start"]

_log = logging.getLogger(__name__)
#: How many configurations a study takes from another one.
_WARM = 3


def add_candidate(study: StoredStudy, values: Mapping[str, Any]) -> bool:
    """Queue a candidate as the next trial, beyond the number of trials that the space asks for.

    A study that is complete is open again.

    Args:
        study: The study.
        values: By name; what they leave out has its fixed value.

    Returns:
        Whether it is new; False if the study has the configuration.

    Raises:
        InputError: It is no point of the space, or the space draws nothing.
    """
    return _open(study, study.strategy.point(values))


def warm_start(study: StoredStudy, other: StoredStudy) -> list[str]:
    """Queue the best configurations of another study first, as far as they fit.

    Args:
        study: The study; if it was begun, nothing is taken.
        other: Has whole trials.

    Returns:
        Lines for people: what is taken from which trial, and what doesn't fit.

    Raises:
        InputError: The other study has no result, or this one's space draws nothing.
    """
    strategy = study.strategy
    if not isinstance(strategy, SampledStrategy):
        strategy.point({})  # says why not
        return []
    if any(task.begun or task.added for task in study.tasks()):
        return [f"warm start from {other.name}: the study was begun before, so it takes nothing"]
    finished = [t for t in other.tasks() if t.outcome is not None and t.outcome.pruned is None]
    if not finished:
        raise InputError(
            f"--warm-start {other.name}: the study has no whole trial yet; let it go on first."
        )
    finished.sort(key=lambda task: -task.outcome.value if task.outcome is not None else 0.0)
    lines, opened = [], []
    for task in finished:
        assert task.config is not None  # it has an outcome
        fit, left = strategy.fitting(task.config)
        try:
            config = strategy.point(fit)
        except InputError:  # a fixed value is no point of the space, and nothing takes its place
            continue
        if not fit or config in opened:
            continue
        opened.append(config)
        out = f"; left out: {format_params(left)}" if left else ""
        lines.append(
            f"warm start from {other.name}: trial {task.trial} ({format_params(fit)}){out}"
        )
        if len(opened) == _WARM:
            break
    for config in reversed(opened):  # what is added last comes first
        _open(study, config)
    if not opened:
        return [
            f"warm start from {other.name}: none of its trials has a value that fits this space"
        ]
    return lines


def adopt_enqueued(study: StoredStudy) -> None:
    """Take up the trials that Optuna's ``enqueue_trial`` made, or fail those that don't fit.

    Each becomes a task, which is trained as a trial of its own, with all that trials have. The one
    that waited is closed and says so. Any number of processes may do it at the same time.
    """
    waiting = study.trials.enqueued()
    if not waiting:
        return
    tasks = {task.position: task for task in study.tasks()}
    numbers = {task.key: task.trial for task in tasks.values()}
    for trial in waiting:
        position = FIRST_ENQUEUED - trial.number
        reason = f"taken up: another trial, whose attribute task is {position}, has its values"
        if position not in tasks:
            try:
                config = study.strategy.point(_typed(study, trial.system_attrs["fixed_params"]))
                if config.key not in numbers:
                    numbers[config.key] = trial.number
                    if study.ledger.open_tasks(study.name, [_task(study, position, config)]):
                        shown = format_params(study.strategy.params(config))
                        _log.warning(
                            "Trial %d, which was waiting since Optuna's enqueue_trial, is next: %s",
                            trial.number,
                            shown,
                        )
                else:
                    twin = numbers[config.key]
                    number = "" if twin is None else f", trial {twin}"
                    reason = f"the study has this configuration{number}"
                    _log.warning("Trial %d was enqueued, but %s.", trial.number, reason)
            except InputError as error:
                reason = " ".join(str(error).split())
                _log.warning("Trial %d was enqueued, but isn't trained: %s", trial.number, reason)
        study.trials.close_enqueued(trial, reason)


def _open(study: StoredStudy, config: Config) -> bool:
    """Open a task at the next free position below 0; return whether it is new."""
    while True:
        taken = [t.position for t in study.tasks() if FIRST_ENQUEUED < t.position < 0]
        position = min(taken, default=0) - 1
        try:
            return study.ledger.open_tasks(study.name, [_task(study, position, config)]) > 0
        except PositionTakenError:  # by another process, a moment ago
            continue


def _task(study: StoredStudy, position: int, config: Config) -> NewTask:
    runs = head_runs(config, study.definition.modalities)
    return NewTask(position, 0, config, runs)


def _typed(study: StoredStudy, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as configurations have them, from what Optuna shows, such as ``2048-512``."""
    search = study.space.search
    typed = {}
    for name, value in values.items():
        shown = {param_value(choice): choice for choice in search.values_of(name)}
        typed[name] = shown.get(value, value)
    return typed
