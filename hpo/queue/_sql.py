"""The ledger: who trains what, decided atomically in the same database as the study.

Optuna's storage is what people look at. What must hold over all processes at once is kept in two
tables of ours beside its own (``_tables.py``): a row for each study, and a row for each task, that
is each configuration that is to be trained. A task is

    open     → claimed   by one worker, in one transaction; its token grows by one
    claimed  → done      by the holder of the latest token only, in the one transaction that
                         completes the Optuna trial as well
    claimed  → open      handed back, or taken from a worker whose heartbeat stopped
    claimed  → failed    after too many failed attempts

A worker that was taken for dead holds an old token, so it can neither begin a trial nor complete
one. What a task and its trial have in common is written in one transaction, so that there is
nothing to make good wherever a worker dies.

Two tasks whose models share a run (``runs`` overlaps) are not claimed at the same time: the second
would train the same epochs, and finds them in the run store a moment later.
"""

import dataclasses
import heapq
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    Table,
    cast,
    create_engine,
    event,
    extract,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from hpo.service._storage import engine_arguments, reporting_failure, retry_creation, tune
from hpo.service._tables import Fenced, NewTask, NewTrial, StudyRow, Task, metadata
from hpo.service._tables import studies as _studies
from hpo.service._tables import tasks as _tasks
from hpo.service._trials import append_to_trial, create_trial, finish_trial
from hpo.service._url import check_url

__all__ = ["MAX_ATTEMPTS", "Ledger"]

#: Failures of one configuration after which it is not tried again.
MAX_ATTEMPTS = 3
#: Open tasks that a claim looks at; more than can share runs with those being worked on.
_LOOK_AHEAD = 256
_TASK_FIELDS = [column for column in _tasks.columns if column.name != "study"]


class Ledger:
    """Claims, heartbeats and outcomes of all studies in one database.

    Safe for any number of processes; each makes its own. Every method is one short transaction;
    those that write trials need the study to be in Optuna's storage.

    Args:
        url: The storage URL; SQLite or PostgreSQL.

    Raises:
        InputError: See ``check_url``; or the database can't be opened.
    """

    def __init__(self, url: str) -> None:
        parsed = check_url(url)
        self._engine = create_engine(parsed, **engine_arguments(parsed))
        if self._engine.dialect.name == "sqlite":
            _begin_immediate(self._engine)
        tune(self._engine)
        with reporting_failure(url):
            retry_creation(lambda: metadata.create_all(self._engine, checkfirst=True))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def define(self, study: str, definition: dict[str, Any]) -> dict[str, Any]:
        """Store what a study is, unless it is defined already; return the one that is stored."""
        with self._transaction() as connection:
            connection.execute(
                self._insert(_studies)
                .values(study=study, definition=json.dumps(definition))
                .on_conflict_do_nothing()
            )
        row = self.study(study)
        assert row is not None
        return row.definition

    def limit(self, study: str, timeout: float | None, max_tasks: int | None) -> None:
        """Set how long from now, in seconds, and for how many tasks, the study may go on."""
        deadline = None if timeout is None else self._now_sql() + timeout
        with self._transaction() as connection:
            connection.execute(
                update(_studies)
                .where(_studies.c.study == study)
                .values(deadline=deadline, max_tasks=max_tasks)
            )

    def study(self, study: str) -> StudyRow | None:
        """Return what is stored of a study; None if it is unknown."""
        with self._reading() as connection:
            row = connection.execute(
                select(
                    _studies.c.definition,
                    (_studies.c.deadline - self._now_sql()).label("left"),
                    _studies.c.max_tasks,
                ).where(_studies.c.study == study)
            ).one_or_none()
        return None if row is None else StudyRow(json.loads(row[0]), row[1], row[2])

    def studies(self) -> list[str]:
        """Return the names of all studies."""
        with self._reading() as connection:
            return list(connection.execute(select(_studies.c.study)).scalars())

    def open_tasks(self, study: str, tasks: Sequence[NewTask]) -> int:
        """Open all of ``tasks`` that are not there yet, all at once; return how many were new.

        Position and configuration key are unique within a study, so that of several workers that
        open the same stage one succeeds and the others find it open.
        """
        opened = 0
        with self._transaction() as connection:
            for task in tasks:
                result = connection.execute(
                    self._insert(_tasks)
                    .values(
                        study=study,
                        position=task.position,
                        stage=task.stage,
                        config_key=task.config_key,
                        config=None if task.config is None else json.dumps(task.config),
                        runs=json.dumps(task.runs),
                        state="open",
                        token=0,
                        attempts=0,
                    )
                    .on_conflict_do_nothing()
                    # counted by what comes back: not every driver gives an insert's row count
                    .returning(_tasks.c.position)
                )
                opened += len(result.all())
        return opened

    def tasks(self, study: str) -> list[Task]:
        """Return all tasks of a study, by position."""
        with self._reading() as connection:
            return list(self._tasks(connection, study))

    def counts(self, study: str) -> dict[str, int]:
        """Return the number of tasks of a study by state."""
        query = (
            select(_tasks.c.state, func.count())
            .where(_tasks.c.study == study)
            .group_by(_tasks.c.state)
        )
        with self._reading() as connection:
            return {str(state): int(count) for state, count in connection.execute(query)}

    def claim(self, study: str, owner: str, grace: float) -> Task | None:
        """Claim the first task that can be worked on, or return None.

        That is an open one, or one whose owner has not been heard of for ``grace`` seconds, which
        shares no run with a task that somebody else is working on. Once as many tasks as the
        study's limit allows were claimed, only those can be claimed again.
        """
        with self._transaction() as connection:
            # With the lock, whoever claims sees all earlier claims; SQLite, which ignores it, has
            # one writer at a time anyway.
            limit = connection.execute(
                select(_studies.c.max_tasks).where(_studies.c.study == study).with_for_update()
            ).scalar_one_or_none()
            full = limit is not None and self._claimed_once(connection, study) >= limit
            # Not the finished ones, so that a claim takes as long in a study of any size.
            begun = list(self._tasks(connection, study, _tasks.c.state == "claimed"))
            ready = self._tasks(connection, study, _tasks.c.state == "open", limit=_LOOK_AHEAD)
            busy = {run for task in begun if _held(task, grace) for run in task.runs}
            for task in heapq.merge(begun, ready, key=lambda task: task.position):
                if _held(task, grace) or busy & set(task.runs) or (full and task.token == 0):
                    continue
                ready.close()
                return self._take(connection, study, task, owner)
        return None

    def heartbeat(self, study: str, task: Task, progress: dict[str, Any] | None) -> None:
        """Say that the owner is alive, and how far it is.

        Raises:
            Fenced: The task was taken over.
        """
        shown = None if progress is None else json.dumps(progress)
        with self._transaction() as connection:
            self._write(connection, study, task, heartbeat=self._now_sql(), progress=shown)

    def begin(self, study: str, task: Task, trial: NewTrial) -> tuple[int, int] | None:
        """Create the trial that a claimed task is trained as; return its id and number.

        The configuration that ``task`` holds, which may have been drawn since it was claimed,
        becomes that of the row; without a key it may be one that another task has as well.

        Returns:
            None, and nothing is written, if another task of the study has this key.

        Raises:
            Fenced: The task was taken over; nothing was written.
        """
        try:
            with self._transaction() as connection:
                trial_id, number = create_trial(connection, trial)
                self._write(
                    connection,
                    study,
                    task,
                    config_key=task.config_key,
                    config=json.dumps(task.config),
                    runs=json.dumps(task.runs),
                    trial=number,
                )
        except IntegrityError:
            return None
        return trial_id, number

    def attach(self, study: str, task: Task, trial: int) -> None:
        """Note the number of an Optuna trial with which the claimed task is gone on.

        Raises:
            Fenced: The task was taken over.
        """
        with self._transaction() as connection:
            self._write(connection, study, task, trial=trial)

    def append(
        self, trial_id: int, values: Sequence[tuple[int, float]], attributes: Mapping[str, Any]
    ) -> bool:
        """Add intermediate values and system attributes to a running trial.

        Args:
            trial_id: Optuna's id, not the number.
            values: Steps and their values; NaN becomes a gap in the curve. Of a step that is
                there already the first value stays, as in Optuna.
            attributes: What a pruner noted, JSON-ready.

        Returns:
            False if the trial isn't running any more, and nothing was written.
        """
        with self._transaction() as connection:
            return append_to_trial(connection, trial_id, values, attributes)

    def complete(
        self,
        study: str,
        task: Task,
        trial_id: int,
        outcome: dict[str, Any],
        attributes: Mapping[str, Any],
        values: Sequence[tuple[int, float]],
    ) -> None:
        """Commit the outcome of a claimed task, on the task and on its trial.

        Harmless if that was done before, which a worker may not know if the store went away.

        Args:
            study: The study's name.
            task: As it was claimed.
            trial_id: Optuna's id of the task's trial.
            outcome: The result; ``value`` and ``pruned`` in it are also those of the trial.
            attributes: User attributes of the trial, JSON-ready.
            values: Steps that are still to be written, and their values.

        Raises:
            Fenced: The task was taken over, or the trial isn't running any more; nothing was
                written, and the outcome does not count.
        """
        state = TrialState.PRUNED if outcome["pruned"] else TrialState.COMPLETE
        with self._transaction() as connection:
            try:
                self._write(
                    connection,
                    study,
                    task,
                    state="done",
                    outcome=json.dumps(outcome),
                    progress=None,
                )
            except Fenced:
                if self._is_done(connection, study, task):
                    return
                raise
            if not append_to_trial(connection, trial_id, values, {}):
                raise Fenced(f"The trial of task {task.position} was ended by somebody else.")
            finish_trial(connection, trial_id, state, outcome["value"], attributes)

    def release(self, study: str, task: Task) -> None:
        """Hand a claimed task back, to be gone on with by anybody.

        Raises:
            Fenced: The task was taken over.
        """
        with self._transaction() as connection:
            self._write(connection, study, task, state="open", progress=None)

    def fail(self, study: str, task: Task, reason: str) -> bool:
        """Count a failed attempt and hand the task back; return True if it was the last attempt.

        Raises:
            Fenced: The task was taken over.
        """
        last = task.attempts + 1 >= MAX_ATTEMPTS
        with self._transaction() as connection:
            self._write(
                connection,
                study,
                task,
                state="failed" if last else "open",
                attempts=task.attempts + 1,
                reason=reason,
                progress=None,
            )
        return last

    def _take(self, connection: Connection, study: str, task: Task, owner: str) -> Task | None:
        """Claim a task as it was read; return None if its owner, silent until now, just ended it.

        The lock on the study is among those who claim; an owner that ends its task has none.
        """
        result = connection.execute(
            update(_tasks)
            .where(
                _tasks.c.study == study,
                _tasks.c.position == task.position,
                _tasks.c.token == task.token,
                _tasks.c.state == task.state,
            )
            .values(
                state="claimed",
                owner=owner,
                token=task.token + 1,
                heartbeat=self._now_sql(),
                progress=None,
            )
        )
        if result.rowcount != 1:
            return None
        return dataclasses.replace(
            task, state="claimed", owner=owner, token=task.token + 1, age=0.0, progress=None
        )

    @staticmethod
    def _write(connection: Connection, study: str, task: Task, **values: Any) -> None:
        result = connection.execute(
            update(_tasks)
            .where(
                _tasks.c.study == study,
                _tasks.c.position == task.position,
                _tasks.c.token == task.token,
                _tasks.c.state == "claimed",
            )
            .values(**values)
        )
        if result.rowcount != 1:
            raise Fenced(f"Task {task.position} of the study was taken over.")

    @staticmethod
    def _is_done(connection: Connection, study: str, task: Task) -> bool:
        """Tell whether the task was completed under this token."""
        query = select(_tasks.c.state).where(
            _tasks.c.study == study,
            _tasks.c.position == task.position,
            _tasks.c.token == task.token,
        )
        return connection.execute(query).scalar_one_or_none() == "done"

    def _tasks(
        self,
        connection: Connection,
        study: str,
        *conditions: ColumnElement[bool],
        limit: int | None = None,
    ) -> Generator[Task]:
        columns = [
            (self._now_sql() - column).label("age") if column.name == "heartbeat" else column
            for column in _TASK_FIELDS
        ]
        rows = connection.execute(
            select(*columns)
            .where(_tasks.c.study == study, *conditions)
            .order_by(_tasks.c.position)
            .limit(limit)
        ).mappings()
        # one by one: of the many that a claim looks at, it takes one of the first
        yield from (_task(dict(row)) for row in rows)

    @staticmethod
    def _claimed_once(connection: Connection, study: str) -> int:
        """Return how many tasks were claimed at least once."""
        query = select(func.count()).where(_tasks.c.study == study, _tasks.c.token > 0)
        return int(connection.execute(query).scalar_one())

    def _now_sql(self) -> Any:
        """Return the database's clock in seconds, so that workers' clocks may differ."""
        if self._engine.dialect.name == "postgresql":
            return cast(extract("epoch", func.clock_timestamp()), Float)
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)

    def _insert(self, table: Table) -> Any:
        postgres = self._engine.dialect.name == "postgresql"
        return (postgresql.insert if postgres else sqlite.insert)(table)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.execution_options(hpo_reads_only=True).begin() as connection:
            yield connection


def _held(task: Task, grace: float) -> bool:
    alive = task.age is not None and task.age < grace
    return task.state == "claimed" and alive


def _task(row: dict[str, Any]) -> Task:
    for field in ("config", "progress", "outcome"):
        row[field] = None if row[field] is None else json.loads(row[field])
    row["runs"] = tuple(json.loads(row["runs"]))
    return Task(**row)


def _begin_immediate(engine: Engine) -> None:
    """Take SQLite's write lock at the start, so that what is read can't change before the write.

    See https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable.
    """

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads_only = connection.get_execution_options().get("hpo_reads_only", False)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
