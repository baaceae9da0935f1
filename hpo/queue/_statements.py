"""Statements of the SQL ledger that several of its transactions are made of."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, case, func, select, update

from hpo.queue._contract import Fenced, PositionTakenError
from hpo.queue._tables import tasks
from hpo.search import NewTask, Task, TaskState

__all__ = ["check_there", "claimed_once", "is_done", "resume", "retry", "write"]

#: Positions in one statement, of which databases take some ten thousands at most.
_AT_ONCE = 1000


def check_there(connection: Connection, study: str, task: NewTask) -> None:
    """Check that a task which was not inserted is in the study all the same.

    Raises:
        PositionTakenError: It isn't: another one has its place.
    """
    if task.config is None:
        return
    key = task.key
    there = connection.execute(
        select(tasks.c.position, tasks.c.config_key).where(
            tasks.c.study == study,
            (tasks.c.position == task.position) | (tasks.c.config_key == key),
        )
    ).all()
    if key in [row.config_key for row in there]:
        return
    (other,) = [row.config_key for row in there]
    held = "one that isn't drawn yet" if other is None else f"configuration {other}"
    raise PositionTakenError(
        f"--study {study}: position {task.position} of its queue holds {held} and can't take "
        f"configuration {key}; another version of hpo or another space opened it. Go on with "
        "what the study was begun with, or begin a new one under another name "
        "(--study NAME --space FILE)."
    )


def claimed_once(connection: Connection, study: str) -> int:
    """Return how many of the study's own tasks were claimed at least once."""
    claimed = select(func.count()).where(tasks.c.study == study, tasks.c.token > 0)
    # The few that were added are counted apart, so that an index alone gives the first number.
    # The case keeps that index from being used for the second, for which it would be slow.
    added = select(func.count(case((tasks.c.token > 0, 1)))).where(
        tasks.c.study == study, tasks.c.position < 0
    )
    query = select(claimed.scalar_subquery() - added.scalar_subquery())
    return int(connection.execute(query).scalar_one())


def resume(connection: Connection, study: str, positions: Sequence[int], ending: str | None) -> int:
    """Open paused tasks again, or end them for a reason; return how many were still paused."""
    resumed = 0
    for start in range(0, len(positions), _AT_ONCE):
        result = connection.execute(
            update(tasks)
            .where(
                tasks.c.study == study,
                tasks.c.position.in_(positions[start : start + _AT_ONCE]),
                tasks.c.state == TaskState.PAUSED.value,
            )
            .values(state=TaskState.OPEN.value, ending=ending)
            .returning(tasks.c.position)
        )
        resumed += len(result.all())
    return resumed


def retry(connection: Connection, study: str) -> int:
    """Open failed tasks again, as if none of their attempts had been; return how many."""
    result = connection.execute(
        update(tasks)
        .where(tasks.c.study == study, tasks.c.state == TaskState.FAILED.value)
        .values(state=TaskState.OPEN.value, attempts=0, reason=None, progress=None)
        .returning(tasks.c.position)
    )
    return len(result.all())


def write(connection: Connection, study: str, task: Task, **values: Any) -> None:
    """Write columns of a claimed task.

    Raises:
        Fenced: It was taken over.
    """
    result = connection.execute(
        update(tasks)
        .where(
            tasks.c.study == study,
            tasks.c.position == task.position,
            tasks.c.token == task.token,
            # a study that was deleted and begun again has the same tokens once more
            tasks.c.owner == task.owner,
            tasks.c.state == TaskState.CLAIMED.value,
        )
        .values(**values)
    )
    if result.rowcount != 1:
        raise Fenced(f"Task {task.position} of the study was taken over.")


def is_done(connection: Connection, study: str, task: Task) -> bool:
    """Tell whether the task was completed under this token."""
    query = select(tasks.c.state).where(
        tasks.c.study == study,
        tasks.c.position == task.position,
        tasks.c.token == task.token,
    )
    return connection.execute(query).scalar_one_or_none() == TaskState.DONE.value
