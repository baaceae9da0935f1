"""What a study has before it is complete: its best trial, and what was trained for the rest."""

import dataclasses
import math
from collections.abc import Sequence

from hpo.search import Task, TrialOutcome, last_step, reached_length
from hpo.study._study import StoredStudy
from hpo.trials import last_scored

__all__ = ["TRAINED", "as_far_as_it_got", "best_so_far", "epochs_trained", "epochs_unfinished"]

#: System attribute of a trial: epochs that were trained for it before it was handed back.
TRAINED = "hpo:epochs_trained"


def best_so_far(study: StoredStudy, tasks: Sequence[Task]) -> Task | None:
    """Return the best task of a study that is ended before it is decided; None without any.

    Where no trial is whole, it is the one that got furthest, the best of those. It is given an
    outcome then, whose ``pruned`` says how far it is. In the queue it stands as before.

    Args:
        study: The study.
        tasks: All its tasks.
    """
    best = study.strategy.best_so_far(tasks)
    if best is not None:
        return best
    found = [task for task in tasks if task.outcome is not None and task.outcome.is_scored]
    by_position = {task.position: task for task in tasks}
    for trial in study.trials.unfinished():
        task = by_position.get(trial.user_attrs.get("task", math.nan))
        step = last_scored(trial)
        if task is None or task.config is None or task.outcome is not None or step is None:
            continue
        value = trial.intermediate_values[step]
        outcome = TrialOutcome(
            value=value,
            std=0.0,
            scores=(value,),
            metrics={study.space.metric: value},
            steps=step,
            epochs_trained=0,
            runs=(),
            pruned=f"not trained to its end: step {step} of {last_step(study.space, task.config)}",
        )
        found.append(dataclasses.replace(task, trial=trial.number, outcome=outcome))
    return max(found, key=_how_far, default=None)


def as_far_as_it_got(study: StoredStudy, task: Task) -> Task:
    """Return a task that isn't whole with a configuration of the length that it was scored at.

    No schedule depends on the length, so its runs are those of that configuration.
    """
    assert task.config is not None and task.outcome is not None
    length = reached_length(study.space, task.config, task.outcome.steps)
    return dataclasses.replace(task, config=task.config.replace(epochs=length))


def epochs_trained(study: StoredStudy, tasks: Sequence[Task]) -> int:
    """Return the epochs of single runs that were trained for all trials, ended or not.

    Args:
        study: The study.
        tasks: All its tasks.
    """
    ended = sum(task.outcome.epochs_trained for task in tasks if task.outcome is not None)
    return ended + epochs_unfinished(study, tasks)


def epochs_unfinished(study: StoredStudy, tasks: Sequence[Task]) -> int:
    """Return the epochs of single runs that were trained for trials that have no end yet.

    Args:
        study: The study.
        tasks: All its tasks.
    """
    waiting = {task.position for task in tasks if task.outcome is None}
    if not waiting:
        return 0  # of thousands of trials it takes time to see that
    pauses = study.pauses()
    paused = sum(past.trained for position in waiting for past in pauses.get(position, ()))
    handed_back = sum(
        int(trial.system_attrs.get(TRAINED, 0))
        for trial in study.trials.unfinished()
        if trial.user_attrs.get("task") in waiting
    )
    return paused + handed_back


def _how_far(task: Task) -> tuple[int, float]:
    assert task.outcome is not None
    value = task.outcome.value
    return task.outcome.steps, value if math.isfinite(value) else -math.inf
