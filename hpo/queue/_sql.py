"""The ledger in a database: two tables beside Optuna's own (``_tables.py``)."""

import dataclasses
import functools
import heapq
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import (
    ColumnElement,
    Connection,
    case,
    create_engine,
    func,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from hpo import trials
from hpo.errors import InputError
from hpo.queue import _study_rows as studies
from hpo.queue._contract import MAX_ATTEMPTS, Fenced, Ledger, StudyRow
from hpo.queue._copying import Copied, copy_study
from hpo.queue._rows import (
    config_columns,
    new_row,
    pauses_column,
    pauses_of,
    progress_column,
    task_of,
)
from hpo.queue._schema import migrate
from hpo.queue._sealed import seal
from hpo.queue._statements import check_there, claimed_once, is_done, resume, retry, write
from hpo.queue._tables import studies as _studies
from hpo.queue._tables import tasks as _tasks
from hpo.search import NewTask, Progress, Task, TaskState, TrialOutcome
from hpo.trials import (
    NewTrial,
    TrialEnd,
    check_url,
    dialect_of,
    engine_arguments,
    knows_optuna,
    redact,
    reporting_failure,
    tune,
)

__all__ = ["SqlLedger"]

#: Open tasks that a claim looks at; more than can share runs with those being worked on.
_LOOK_AHEAD = 256
#: Deadlines that are so many seconds apart are the same.
_SAME_S = 0.3
_TASK_FIELDS = [
    column for column in _tasks.columns if column.name not in ("study", "heartbeat", "pauses")
]
#: Tables by whose rows a study decides what to do next.
_DECIDED_BY = ("hpo_tasks", "hpo_studies", "studies", "trials")
_OPEN, _CLAIMED = TaskState.OPEN.value, TaskState.CLAIMED.value
_PAUSED, _DONE, _FAILED = TaskState.PAUSED.value, TaskState.DONE.value, TaskState.FAILED.value


class SqlLedger(Ledger):
    """The ledger in SQLite or PostgreSQL; what each call does and raises is said in ``Ledger``.

    Args:
        url: The storage URL.

    Raises:
        InputError: See ``check_url``; or the database can't be opened, is damaged, or a newer
            version of this package made its tables.
    """

    def __init__(self, url: str) -> None:
        parsed = check_url(url)
        with reporting_failure(url):
            self._engine = create_engine(parsed, **engine_arguments(parsed))
            self._dialect = dialect_of(self._engine)
            self._dialect.lock_at_begin(self._engine)
            tune(self._engine)
            migrate(self._engine, url)
            with self._reading() as connection:
                damaged = self._dialect.damaged(connection, _DECIDED_BY)
        if damaged is not None:
            raise InputError(
                f"--storage {redact(url)}: SQLite says that the file is damaged: {damaged}. "
                "Restore it from a backup; or move it away and run the study again, which finds "
                "its runs in the cache."
            )

    @functools.cached_property
    def writes_trials(self) -> bool:
        with self._reading() as connection:
            return knows_optuna(connection)

    def close(self) -> None:
        self._engine.dispose()

    def define(self, study: str, definition: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._transaction() as connection:
            connection.execute(
                self._dialect.insert(_studies)
                .values(study=study, definition=seal(definition))
                .on_conflict_do_nothing()
            )
        row = self.study(study)
        assert row is not None
        return row.definition

    def limit(
        self,
        study: str,
        timeout: float | None,
        max_tasks: int | None,
        epochs: int | None = None,
    ) -> None:
        with self._transaction() as connection:
            connection.execute(
                update(_studies)
                .where(_studies.c.study == study)
                .values(
                    deadline=self._deadline(timeout),
                    max_tasks=max_tasks,
                    epochs=epochs,
                    allotted=None if epochs is None else claimed_once(connection, study),
                    revision=_studies.c.revision + 1,
                    stopped=None,
                )
            )

    def ration(self, study: str, timeout: float | None, epochs: int | None) -> None:
        deadline = self._deadline(timeout)
        if deadline is not None:
            same = func.abs(_studies.c.deadline - deadline) < _SAME_S
            deadline = case((same, _studies.c.deadline), else_=deadline)
        with self._transaction() as connection:
            begun = claimed_once(connection, study)
            connection.execute(
                update(_studies)
                .where(_studies.c.study == study)
                .values(
                    deadline=deadline,
                    epochs=epochs,
                    allotted=None if epochs is None else func.coalesce(_studies.c.allotted, begun),
                    revision=_studies.c.revision + 1,
                )
            )

    def allot(
        self, study: str, revision: int, allotted: int, positions: Sequence[int] = ()
    ) -> bool:
        with self._transaction() as connection:
            written = connection.execute(
                update(_studies)
                .where(_studies.c.study == study, _studies.c.revision == revision)
                .values(allotted=allotted, revision=revision + 1)
                .returning(_studies.c.study)
            ).all()
            if written:
                resume(connection, study, positions, None)
        return bool(written)

    def stop(self, study: str, reason: str) -> None:
        with self._transaction() as connection:
            # whoever claims has the lock on the row as well
            row = connection.execute(
                select(_studies.c.stopped).where(_studies.c.study == study).with_for_update()
            ).one_or_none()
            if row is None or row.stopped is not None:
                return
            connection.execute(
                update(_studies)
                .where(_studies.c.study == study)
                .values(stopped=reason, max_tasks=claimed_once(connection, study))
            )

    def _deadline(self, timeout: float | None) -> ColumnElement[float] | None:
        return None if timeout is None else self._dialect.now() + timeout

    def study(self, study: str) -> StudyRow | None:
        with self._reading() as connection:
            return studies.read(connection, study, self._dialect.now())

    def studies(self) -> list[str]:
        with self._reading() as connection:
            names = connection.execute(select(_studies.c.study)).scalars()
            return sorted(names)

    def identify(self, study: str, identity: str) -> str | None:
        with self._transaction() as connection:
            return studies.identify(connection, study, identity)

    def rename(self, study: str, name: str) -> bool:
        try:
            with self._transaction() as connection:
                studies.rename(connection, study, name)
        except IntegrityError:
            return False
        return True

    def delete(self, study: str, identity: str | None = None) -> None:
        with self._transaction() as connection:
            studies.drop(connection, study, identity)

    def copy(
        self, study: str, study_id: int, target: "SqlLedger", name: str, identity: str
    ) -> Copied | None:
        """Copy a study to another name or another database, as a whole or not at all.

        Workers may be on it: what is copied is one state of it. Optuna's tables have to be as this
        package knows them, in both databases (``writes_trials``).

        Args:
            study: Its name.
            study_id: Optuna's id of it.
            target: The ledger of the database that it goes to.
            name: The copy's name.
            identity: The copy's identity.

        Returns:
            None, and nothing is written, if the target has a study of that name.

        Raises:
            KeyError: There is no such study.
        """
        engine = self._engine.execution_options(**self._dialect.one_state)
        try:
            with engine.begin() as source, target._transaction() as to:
                return copy_study(source, study, study_id, to, name, identity)
        except IntegrityError:
            return None

    def open_tasks(self, study: str, tasks: Sequence[NewTask]) -> int:
        opened = 0
        with self._transaction() as connection:
            for task in tasks:
                result = connection.execute(
                    self._dialect.insert(_tasks)
                    .values(**new_row(study, task))
                    .on_conflict_do_nothing()
                    # counted by what comes back: not every driver gives an insert's row count
                    .returning(_tasks.c.position)
                )
                if result.all():
                    opened += 1
                else:
                    check_there(connection, study, task)
        return opened

    def tasks(self, study: str) -> list[Task]:
        with self._reading() as connection:
            return list(self._tasks(connection, study))

    def counts(self, study: str, added: bool = False) -> dict[TaskState, int]:
        which = (_tasks.c.study == study, *([_tasks.c.position < 0] if added else []))
        query = select(_tasks.c.state, func.count()).where(*which).group_by(_tasks.c.state)
        with self._reading() as connection:
            found = {TaskState(state): int(count) for state, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in TaskState}

    def claim(self, study: str, owner: str, grace: float) -> Task | None:
        with self._transaction() as connection:
            # With the lock, whoever claims sees all earlier claims; SQLite, which ignores it, has
            # one writer at a time anyway.
            row = connection.execute(
                select(_studies.c.max_tasks, _studies.c.allotted)
                .where(_studies.c.study == study)
                .with_for_update()
            ).one_or_none()
            limits = [limit for limit in row or () if limit is not None]
            full = bool(limits) and claimed_once(connection, study) >= min(limits)
            # Not the finished ones, so that a claim takes as long in a study of any size.
            begun = list(self._tasks(connection, study, _tasks.c.state == _CLAIMED))
            ready = self._tasks(connection, study, _tasks.c.state == _OPEN, limit=_LOOK_AHEAD)
            busy = {run for task in begun if _held(task, grace) for run in task.runs}
            for task in heapq.merge(begun, ready, key=lambda task: task.position):
                beyond = full and task.token == 0 and not task.added
                if beyond or _held(task, grace) or busy & set(task.runs):
                    continue
                ready.close()
                return self._take(connection, study, task, owner)
        return None

    def heartbeat(self, study: str, task: Task, progress: Progress | None) -> None:
        with self._transaction() as connection:
            write(
                connection,
                study,
                task,
                heartbeat=self._dialect.now(),
                progress=progress_column(progress),
            )

    def settle(self, study: str, task: Task) -> bool:
        try:
            with self._transaction() as connection:
                write(connection, study, task, **config_columns(task, task.trial))
        except IntegrityError:
            return False
        return True

    def attach(self, study: str, task: Task, trial: int) -> None:
        with self._transaction() as connection:
            write(connection, study, task, **config_columns(task, trial))

    def release(self, study: str, task: Task) -> None:
        with self._transaction() as connection:
            write(connection, study, task, state=_OPEN, progress=None)

    def pause(self, study: str, task: Task, progress: Progress) -> None:
        shown = progress_column(progress)
        with self._transaction() as connection:
            write(connection, study, task, state=_PAUSED, progress=shown)
            place = (_tasks.c.study == study) & (_tasks.c.position == task.position)
            before = connection.execute(select(_tasks.c.pauses).where(place)).scalar_one()
            pauses = pauses_column([*pauses_of(before, task.position), progress])
            connection.execute(update(_tasks).where(place).values(pauses=pauses))

    def resume(self, study: str, positions: Sequence[int], ending: str | None = None) -> int:
        with self._transaction() as connection:
            return resume(connection, study, positions, ending)

    def retry(self, study: str) -> int:
        with self._transaction() as connection:
            return retry(connection, study)

    def pauses(self, study: str) -> dict[int, tuple[Progress, ...]]:
        query = (
            select(_tasks.c.position, _tasks.c.pauses)
            .where(_tasks.c.study == study, _tasks.c.pauses.is_not(None))
            .order_by(_tasks.c.position)
        )
        with self._reading() as connection:
            return {
                position: pauses_of(raw, position) for position, raw in connection.execute(query)
            }

    def fail(self, study: str, task: Task, reason: str) -> bool:
        last = task.attempts + 1 >= MAX_ATTEMPTS
        with self._transaction() as connection:
            write(
                connection,
                study,
                task,
                state=_FAILED if last else _OPEN,
                attempts=task.attempts + 1,
                reason=reason,
                progress=None,
            )
        return last

    def complete(
        self, study: str, task: Task, outcome: TrialOutcome, trial: TrialEnd | None = None
    ) -> None:
        result = seal(outcome.to_json())
        with self._transaction() as connection:
            try:
                write(connection, study, task, state=_DONE, outcome=result, progress=None)
            except Fenced:
                if is_done(connection, study, task):
                    return
                raise
            if trial is None:
                return
            if not trials.append_to_trial(connection, trial.trial_id, trial.values, trial.noted):
                raise Fenced(f"The trial of task {task.position} was ended by somebody else.")
            state = TrialState.PRUNED if outcome.pruned else TrialState.COMPLETE
            trials.finish_trial(
                connection, trial.trial_id, state, trial.objectives, trial.attributes
            )

    def begin(self, study: str, task: Task, trial: NewTrial) -> tuple[int, int] | None:
        try:
            with self._transaction() as connection:
                trial_id, number = trials.create_trial(connection, trial)
                write(connection, study, task, **config_columns(task, number))
        except IntegrityError:
            return None
        return trial_id, number

    def append(
        self, trial_id: int, values: Sequence[tuple[int, float]], noted: Mapping[str, Any]
    ) -> bool:
        with self._transaction() as connection:
            return trials.append_to_trial(connection, trial_id, values, noted)

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
                _tasks.c.state == task.state.value,
            )
            .values(
                state=_CLAIMED,
                owner=owner,
                token=task.token + 1,
                heartbeat=self._dialect.now(),
                progress=None,
            )
        )
        if result.rowcount != 1:
            return None
        return dataclasses.replace(
            task,
            state=TaskState.CLAIMED,
            owner=owner,
            token=task.token + 1,
            age=0.0,
            progress=None,
        )

    def _tasks(
        self,
        connection: Connection,
        study: str,
        *conditions: ColumnElement[bool],
        limit: int | None = None,
    ) -> Generator[Task]:
        rows = connection.execute(
            select(*_TASK_FIELDS, (self._dialect.now() - _tasks.c.heartbeat).label("age"))
            .where(_tasks.c.study == study, *conditions)
            .order_by(_tasks.c.position)
            .limit(limit)
        ).mappings()
        # one by one: of the many that a claim looks at, it takes one of the first
        yield from (task_of(dict(row)) for row in rows)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.execution_options(hpo_reads_only=True).begin() as connection:
            yield connection


def _held(task: Task, grace: float) -> bool:
    # One from the future is from before the store's clock was set back: a living worker's heartbeat
    # comes at once, a dead one's would be believed for as long as the clock was wrong.
    alive = task.age is not None and -grace < task.age < grace
    return task.state is TaskState.CLAIMED and alive
