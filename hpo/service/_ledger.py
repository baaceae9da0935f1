"""The ledger: who trains what, decided atomically in the same database as the study.

Optuna's storage is what people look at. What must hold over all processes at once is kept in two
tables of ours beside its own: a row for each study, and a row for each task, that is each
configuration that is to be trained. A task is

    open     → claimed   by one worker, in one transaction; its token grows by one
    claimed  → sealed    its outcome is written here, by the holder of the latest token only
    sealed   → done      the outcome stands on the Optuna trial
    claimed  → open      handed back, or taken from a worker whose heartbeat stopped
    claimed  → failed    after too many failed attempts

Sealing is the point of commit: a worker that was taken for dead holds an old token, so it can't
seal, and only who has sealed completes the trial. If the sealer dies before the trial is complete,
whoever claims the task next finds the outcome and completes it without training.

Two tasks whose models share a run (``runs`` overlaps) are not claimed at the same time: the second
would train the same epochs, and finds them in the run store a moment later.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
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

from hpo.service._storage import (
    engine_arguments,
    reporting_failure,
    retry_creation,
    tune_sqlite,
)
from hpo.service._url import check_url

__all__ = ["MAX_ATTEMPTS", "Fenced", "Ledger", "NewTask", "StudyRow", "Task"]

#: Failures of one configuration after which it is not tried again.
MAX_ATTEMPTS = 3
#: Open tasks that a claim looks at; more than can share runs with those being worked on.
_LOOK_AHEAD = 256

_metadata = MetaData()
_studies = Table(
    "hpo_studies",
    _metadata,
    Column("study", String(200), primary_key=True),
    Column("definition", Text, nullable=False),
    Column("deadline", Float),
    Column("max_tasks", Integer),
)
_tasks = Table(
    "hpo_tasks",
    _metadata,
    Column("study", String(200), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("stage", Integer, nullable=False),
    Column("config_key", String(40)),
    Column("config", Text),
    Column("runs", Text, nullable=False),
    Column("state", String(10), nullable=False, default="open"),
    Column("owner", String(200)),
    Column("token", Integer, nullable=False, default=0),
    Column("heartbeat", Float),
    Column("attempts", Integer, nullable=False, default=0),
    Column("trial", Integer),
    Column("progress", Text),
    Column("outcome", Text),
    Column("reason", Text),
    UniqueConstraint("study", "config_key", name="uq_hpo_tasks_config"),
    Index("ix_hpo_tasks_state", "study", "state", "position"),
)
_TASK_FIELDS = [column for column in _tasks.columns if column.name != "study"]


class Fenced(RuntimeError):  # noqa: N818 - what happened to the worker, not a mistake of its
    """The task was taken over by another worker; nothing was written."""


@dataclasses.dataclass(frozen=True)
class NewTask:
    """A task to be opened; ``config`` is None where the sampler is asked at the claim."""

    position: int
    stage: int
    config_key: str | None = None
    config: dict[str, Any] | None = None
    runs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Task:
    """A row of the ledger, as it was read.

    Attributes:
        position: Place in the study.
        stage: Stage of a greedy study; 0 in a sampled one.
        config_key: Unique within the study; None until the sampler was asked, and for a repeat.
        config: The configuration.
        runs: Addresses of the runs of its heads.
        state: ``open``, ``claimed``, ``sealed``, ``done`` or ``failed``.
        owner: Who claimed it last.
        token: Of the latest claim.
        age: Seconds since the last heartbeat, by the database's clock; None if never claimed.
        attempts: Failures so far.
        trial: Number of the latest Optuna trial.
        progress: What the owner last said of its progress.
        outcome: The result, once sealed.
        reason: Of the last failure.
    """

    position: int
    stage: int
    config_key: str | None
    config: dict[str, Any] | None
    runs: tuple[str, ...]
    state: str
    owner: str | None
    token: int
    age: float | None
    attempts: int
    trial: int | None
    progress: dict[str, Any] | None
    outcome: dict[str, Any] | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class StudyRow:
    """What all workers of a study must agree on.

    Attributes:
        definition: Space, bundle and settings, as JSON.
        seconds_left: Until the study's deadline, negative after it; None without one.
        max_tasks: No more tasks than this are claimed; None for all.
    """

    definition: dict[str, Any]
    seconds_left: float | None
    max_tasks: int | None


class Ledger:
    """Claims, heartbeats and outcomes of all studies in one database.

    Safe for any number of processes; each makes its own. Every method is one short transaction.

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
        tune_sqlite(self._engine)
        with reporting_failure(url):
            retry_creation(lambda: _metadata.create_all(self._engine, checkfirst=True))

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
        deadline = None if timeout is None else self._now() + timeout
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
                    (_studies.c.deadline - self._now()).label("left"),
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
            return self._tasks(connection, study)

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
        shares no run with a task that somebody else is working on. A sealed task that is taken
        over stays sealed: only its trial is to be completed. Once as many tasks as the study's
        limit allows were claimed, only those can be claimed again.
        """
        with self._transaction() as connection:
            # With the lock, whoever claims sees all earlier claims; SQLite, which ignores it, has
            # one writer at a time anyway.
            limit = connection.execute(
                select(_studies.c.max_tasks).where(_studies.c.study == study).with_for_update()
            ).scalar_one_or_none()
            full = limit is not None and self._claimed_once(connection, study) >= limit
            # Not the finished ones, so that a claim takes as long in a study of any size.
            begun = self._tasks(connection, study, _tasks.c.state.in_(("claimed", "sealed")))
            ready = self._tasks(connection, study, _tasks.c.state == "open", limit=_LOOK_AHEAD)
            busy = {run for task in begun if _held(task, grace) for run in task.runs}
            for task in sorted([*begun, *ready], key=lambda task: task.position):
                if _held(task, grace) or busy & set(task.runs) or (full and task.token == 0):
                    continue
                state = "sealed" if task.state == "sealed" else "claimed"
                connection.execute(
                    update(_tasks)
                    .where(_tasks.c.study == study, _tasks.c.position == task.position)
                    .values(
                        state=state,
                        owner=owner,
                        token=task.token + 1,
                        heartbeat=self._now_sql(),
                        progress=None,
                    )
                )
                return dataclasses.replace(
                    task, state=state, owner=owner, token=task.token + 1, age=0.0, progress=None
                )
        return None

    def heartbeat(self, study: str, task: Task, progress: dict[str, Any] | None) -> None:
        """Say that the owner is alive, and how far it is.

        Raises:
            Fenced: The task was taken over.
        """
        self._write(
            study,
            task,
            heartbeat=self._now_sql(),
            progress=None if progress is None else json.dumps(progress),
        )

    def assign(
        self, study: str, task: Task, key: str, config: dict[str, Any], runs: Sequence[str]
    ) -> bool:
        """Give a claimed task the configuration that was drawn for it.

        Returns:
            False, and nothing is written, if another task of the study has this configuration.

        Raises:
            Fenced: The task was taken over.
        """
        try:
            self._write(
                study, task, config_key=key, config=json.dumps(config), runs=json.dumps(runs)
            )
        except IntegrityError:
            return False
        return True

    def assign_repeat(self, study: str, task: Task, config: dict[str, Any]) -> None:
        """Give a claimed task a configuration that another task has as well."""
        self._write(study, task, config=json.dumps(config))

    def attach(self, study: str, task: Task, trial: int) -> None:
        """Note the number of the Optuna trial that the claimed task is trained as.

        Raises:
            Fenced: The task was taken over.
        """
        self._write(study, task, trial=trial)

    def seal(self, study: str, task: Task, outcome: dict[str, Any]) -> None:
        """Commit the outcome of a claimed task.

        Raises:
            Fenced: The task was taken over; the outcome does not count.
        """
        self._write(study, task, state="sealed", outcome=json.dumps(outcome))

    def finish(self, study: str, task: Task) -> None:
        """Mark a sealed task as done: its trial is complete.

        Raises:
            Fenced: Somebody else is completing it.
        """
        self._write(study, task, states=("sealed",), state="done", progress=None)

    def release(self, study: str, task: Task) -> None:
        """Hand a claimed task back, to be gone on with by anybody.

        Raises:
            Fenced: The task was taken over.
        """
        self._write(study, task, state="open", progress=None)

    def fail(self, study: str, task: Task, reason: str) -> bool:
        """Count a failed attempt and hand the task back; return True if it was the last attempt.

        Raises:
            Fenced: The task was taken over.
        """
        last = task.attempts + 1 >= MAX_ATTEMPTS
        self._write(
            study,
            task,
            state="failed" if last else "open",
            attempts=task.attempts + 1,
            reason=reason,
            progress=None,
        )
        return last

    def _write(
        self, study: str, task: Task, states: Sequence[str] = ("claimed", "sealed"), **values: Any
    ) -> None:
        with self._transaction() as connection:
            result = connection.execute(
                update(_tasks)
                .where(
                    _tasks.c.study == study,
                    _tasks.c.position == task.position,
                    _tasks.c.token == task.token,
                    _tasks.c.state.in_(states),
                )
                .values(**values)
            )
            if result.rowcount != 1:
                raise Fenced(f"Task {task.position} of the study was taken over.")

    def _tasks(
        self,
        connection: Connection,
        study: str,
        *conditions: ColumnElement[bool],
        limit: int | None = None,
    ) -> list[Task]:
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
        return [_task(dict(row)) for row in rows]

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

    def _now(self) -> float:
        with self._reading() as connection:
            return float(connection.execute(select(self._now_sql())).scalar_one())

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
    return task.state in ("claimed", "sealed") and alive


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
