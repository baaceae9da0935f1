"""How far a study is, for somebody who doesn't run it."""

from collections.abc import Sequence
from typing import Any

from hpo.search import Task, TaskState, format_params, format_score
from hpo.study._concerns import concerns
from hpo.study._so_far import best_so_far, epochs_trained
from hpo.study._study import StoredStudy

__all__ = ["status_lines", "study_status"]

_WORDS = {TaskState.CLAIMED: "in progress"}


def study_status(study: StoredStudy, tasks: Sequence[Task]) -> dict[str, Any]:
    """Return how far a study is, JSON-ready.

    Args:
        study: The study.
        tasks: As they were just read.

    Returns:
        ``study``, ``complete``, ``configurations`` (by state, and ``planned``), ``epochs_trained``
        (of single runs) and ``epochs_planned``, ``in_progress`` (for each trial: its number, step,
        steps, value, parameters, worker, and seconds since its worker was heard of), ``best``
        (``trial``, ``value``, ``std``, ``params``; None before there is one) and ``concerns``.
    """
    plan, best = study.plan(), study.best(list(tasks))
    shown = best or best_so_far(study, tasks)
    states = [task.state for task in tasks]
    return {
        "study": study.name,
        "complete": best is not None,
        "configurations": {
            **{_WORDS.get(s, s.value): states.count(s) for s in TaskState if s in states},
            "planned": max(len(tasks), sum(stage.new for stage in plan.stages)),
        },
        "epochs_trained": epochs_trained(study, tasks),
        "epochs_planned": plan.trained * plan.seeds,
        "in_progress": [_progress(study, t) for t in tasks if t.state is TaskState.CLAIMED],
        "best": None if shown is None or shown.outcome is None else _best(study, shown),
        "concerns": concerns(study, tasks),
    }


def status_lines(status: dict[str, Any]) -> list[str]:
    """Return what ``study_status`` found, in words."""
    counts = dict(status["configurations"])
    planned = counts.pop("planned")
    counted = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none begun"
    complete = ", complete" if status["complete"] else ""
    lines = [f"CAUTION: {line}" for line in status["concerns"]]
    lines.append(f"study {status['study']}: {counted} of {planned} configurations{complete}")
    lines.append(
        f"epochs of single runs: {status['epochs_trained']:,} trained, about "
        f"{status['epochs_planned']:,} planned"
    )
    for trial in status["in_progress"]:
        number = "a trial that begins" if trial["trial"] is None else f"trial {trial['trial']}"
        step = "" if trial["step"] is None else f", step {trial['step']} of {trial['steps']}"
        value = "" if trial["value"] is None else f", {trial['value']:.3f}"
        params = f" ({trial['params']})" if trial["params"] else ""
        heard = f"{trial['worker']}, heard of {trial['seconds_silent']:.0f} s ago"
        lines.append(f"  {number}{step}{value}{params}: {heard}")
    best = status["best"]
    if best is None:
        lines.append("no result yet")
    else:
        called = "best" if status["complete"] else "best so far"
        score = format_score(best["value"], best["std"])
        lines.append(f"{called}: trial {best['trial']}, {score} ({best['params']})")
    return lines


def _progress(study: StoredStudy, task: Task) -> dict[str, Any]:
    done = task.progress
    return {
        "trial": task.trial,
        "step": None if done is None else done.step,
        "steps": None if done is None else done.steps,
        "value": None if done is None else done.value,
        "params": "" if task.config is None else format_params(study.strategy.params(task.config)),
        "worker": task.owner,
        "seconds_silent": None if task.age is None else round(task.age, 1),
    }


def _best(study: StoredStudy, task: Task) -> dict[str, Any]:
    assert task.outcome is not None and task.config is not None  # it has a result
    return {
        "trial": task.trial,
        "value": task.outcome.value,
        "std": task.outcome.std,
        "params": format_params(study.strategy.params(task.config)),
    }
