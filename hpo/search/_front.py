"""Two objectives: the front of what no other trial beats in both, and which searches can have one.

The score is raised and a cost of the model lowered. A trial is on the front if no other one is at
least as good in both and better in one of them (Deb 2001, "Multi-Objective Optimization Using
Evolutionary Algorithms", section 2.4).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.search._search import Search
from hpo.search._tables import StageTable, table_row
from hpo.search._task import Task

if TYPE_CHECKING:
    from hpo.search._strategy import Strategy

__all__ = ["FRONT", "best_of_front", "check_against", "cost_of", "front_of", "front_table"]

#: The key of the table of a front.
FRONT = "front"


def check_against(against: str, search: Search) -> None:
    """Check that a search can have a second objective.

    Raises:
        ValueError: It decides by a single score.
    """
    if not search.weighs_two:
        raise ValueError(
            f"against is {against}, but search kind {search.kind} decides by the score alone; use "
            "kind optuna, or leave it out"
        )
    if search.pruner.name != "NopPruner":
        raise ValueError(
            f"against is {against}, but {search.pruner.name} stops trials by the score alone; "
            "leave the pruner out"
        )


def cost_of(task: Task, against: str) -> float | None:
    """Return what a task's model costs; None if that isn't known.

    Args:
        task: The task.
        against: ``model_mb`` or ``latency_ms``.
    """
    cost: float | None = None if task.outcome is None else getattr(task.outcome, against)
    return cost


def front_of(tasks: Sequence[Task], against: str) -> list[Task]:
    """Return the tasks on the front, the cheapest first.

    Only those are compared that were trained to their end. Of equal ones all are on it.

    Args:
        tasks: Of a study.
        against: What is to be small, ``model_mb`` or ``latency_ms``.
    """
    points = [
        (cost, -task.outcome.value, task)
        for task in tasks
        if task.outcome is not None
        and task.outcome.is_whole
        and task.outcome.value == task.outcome.value  # a metric may give no number
        and (cost := cost_of(task, against)) is not None
    ]
    points.sort(key=lambda point: (point[0], point[1], point[2].position))
    front: list[tuple[float, float, Task]] = []
    for point in points:
        # In this order nothing that follows costs less, so that only a better score counts.
        if not front or point[1] < front[-1][1] or point[:2] == front[-1][:2]:
            front.append(point)
    return [task for _, _, task in front]


def best_of_front(front: Sequence[Task]) -> Task | None:
    """Return the task of a front with the best score, the first of equal ones."""

    def value(task: Task) -> float:
        assert task.outcome is not None  # it is on the front
        return task.outcome.value

    return max(front, key=value, default=None)


def front_table(strategy: "Strategy", front: Sequence[Task], against: str) -> StageTable:
    """Return the table of a front, in which the best score wins.

    Args:
        strategy: Of the study.
        front: What ``front_of`` returned.
        against: See ``front_of``.
    """
    best = best_of_front(front)
    rows = tuple(
        table_row(
            strategy.params(task.config) if task.config is not None else {},
            task,
            None,
            winner=task is best,
        )
        for task in front
    )
    name = f"front of {strategy.space.metric} against {against}"
    return StageTable(name, rows, key=FRONT, selected=True)
