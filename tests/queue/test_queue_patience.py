"""What passes by itself is waited for, everything else is raised."""

import errno
import json
import logging
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError

from hpo.errors import InputError
from hpo.queue import (
    Patience,
    StoreAwayError,
    StoreUnfitError,
    first_patience,
    open_ledger,
    open_storage,
    waiting,
)
from hpo.queue import _patience as module


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time goes by without waiting; the list has each wait."""
    now, found = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds
        found.append(seconds)

    monkeypatch.setattr(module.time, "sleep", sleep)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return found


def failing(errors: list[BaseException]) -> Callable[[], str]:
    """An action that raises these one after the other and then succeeds."""

    def action() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    return action


def operational(text: str = "server closed the connection\nmore") -> OperationalError:
    return OperationalError("SELECT 1", {}, Exception(text))


def inside_optuna(cause: BaseException) -> StorageInternalError:
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = cause
    return error


def of_sqlite(name: str, text: str) -> DBAPIError:
    error = sqlite3.OperationalError(text)
    if name:
        error.sqlite_errorname = name
    return OperationalError("SELECT 1", {}, error)


class PostgresError(Exception):
    """As psycopg raises it, with the server's code."""

    def __init__(self, state: str, text: str) -> None:
        super().__init__(text)
        self.sqlstate = state


def stated(state: str, text: str) -> DBAPIError:
    kind = OperationalError if state[:2] in ("08", "53", "57", "28") else DBAPIError
    return kind("SELECT 1", {}, PostgresError(state, text))


def lacking(**known: str) -> IntegrityError:
    """As for a table whose column has lost its default."""
    raised = Exception("NOT NULL constraint failed: s.x")
    vars(raised).update(known)
    return IntegrityError("INSERT", {}, raised)


def disconnected() -> DBAPIError:
    return DBAPIError("SELECT 1", {}, Exception("gone"), connection_invalidated=True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (operational(), "The store can't be reached (server closed the connection)"),
        (operational(""), "The store can't be reached (no connection)"),
        (InterfaceError("x", {}, Exception("closed")), "The store can't be reached (closed)"),
        (disconnected(), "The store can't be reached (gone)"),
        (inside_optuna(operational("away")), "The store can't be reached (away)"),
        (stated("57P03", "starting up"), "The store can't be reached (starting up)"),
        (stated("53300", "too many clients"), "The store can't be reached (too many clients)"),
        (stated("25006", "read-only"), "The store can't be reached (read-only)"),
        (stated("40P01", "deadlock"), "The store can't be reached (deadlock)"),
        (operational("database is locked"), "The store can't be reached (database is locked)"),
        (of_sqlite("SQLITE_BUSY", "locked"), "The store can't be reached (locked)"),
        (of_sqlite("SQLITE_FULL", "disk is full"), "The store can't be reached (disk is full)"),
        (of_sqlite("SQLITE_IOERR_READ", "I/O"), "The store can't be reached (I/O)"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "The disk is full (/x/y)"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "The disk is full (Disk quota exceeded)"),
    ],
)
def test_what_passes_is_tried_again_and_said(
    error: Exception, reason: str, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert Patience()(failing([error, error])) == "done"
    assert [record.getMessage() for record in caplog.records] == [
        f"{reason}; it is waited for, without end (--wait-for-store); the next try is in 0.2 s.",
        f"{reason}; it is waited for, without end (--wait-for-store); the next try is in 0.4 s.",
        "Going on after 0.7 s.",
    ]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong"),
        KeyError("key"),
        IntegrityError("INSERT", {}, Exception("duplicate")),
        StorageInternalError("no cause"),
        inside_optuna(IntegrityError("INSERT", {}, Exception("duplicate"))),
        OSError(errno.EACCES, "Permission denied"),
        FileNotFoundError(errno.ENOENT, "No such file"),
    ],
)
def test_every_other_error_is_raised_at_once(error: Exception, waits: list[float]) -> None:
    with pytest.raises(type(error)) as caught:
        Patience()(failing([error]))
    assert caught.value is error
    assert waits == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DBAPIError("SELECT 1", {}, Exception("syntax\nLINE 1")), "syntax"),
        (stated("42703", 'column "x" does not exist'), 'column "x" does not exist'),
        (stated("28P01", "password authentication failed"), "password authentication failed"),
        (operational('invalid port number: "99999"'), 'invalid port number: "99999"'),
        (operational('invalid sslmode value: "on"'), 'invalid sslmode value: "on"'),
        (operational("no such column: hpo_tasks.pauses"), "no such column: hpo_tasks.pauses"),
        (json.JSONDecodeError("Expecting value", "x", 0), "what it holds is damaged (Expecting v"),
        (of_sqlite("", "Could not decode to UTF-8 column 'a'"), "Could not decode to UTF-8 col"),
        (of_sqlite("SQLITE_CORRUPT", "disk image is malformed"), "disk image is malformed"),
        (of_sqlite("SQLITE_READONLY", "readonly"), "readonly"),
        (lacking(sqlite_errorname="SQLITE_CONSTRAINT_NOTNULL"), "NOT NULL constraint failed: s.x"),
        (lacking(sqlstate="23502"), "NOT NULL constraint failed: s.x"),
        (of_sqlite("SQLITE_ERROR", "too many SQL variables"), "too many SQL variables"),
        (operational("attempt to write a readonly database"), "attempt to write a readonly data"),
        (inside_optuna(operational("no such table: trials")), "no such table: trials"),
    ],
)
def test_what_stays_is_said_at_once(error: Exception, said: str, waits: list[float]) -> None:
    with pytest.raises(StoreUnfitError) as caught:
        Patience()(failing([error]))
    assert str(caught.value).startswith(f"The store can't do what hpo asks of it: {said}")
    assert "Waiting won't help" in str(caught.value)
    assert waits == []


@pytest.mark.skipif(sys.platform == "win32", reason="files have no limit there")
@pytest.mark.parametrize("bytes_", [0, 4096, 40_000])
def test_a_file_that_may_not_grow_is_not_waited_for(
    bytes_: int, tmp_path: Path, waits: list[float]
) -> None:
    import resource

    url = f"sqlite:///{tmp_path / 's.db'}"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))
    try:
        with pytest.raises(InputError) as caught:
            first_patience(5.0)(lambda: open_ledger(url).define("s", {"about": "x" * bytes_}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = f"disk I/O error: a file may have {bytes_:,} bytes here; allow more (ulimit -f)"
    assert said in str(caught.value)
    assert waits == []
    open_ledger(url).define("s", {})


def test_waits_grow_up_to_ten_seconds(waits: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    Patience()(failing([operational() for _ in range(9)]))
    said = [record.getMessage().rpartition(" in ")[2] for record in caplog.records[:-1]]
    assert said == [
        f"{seconds:.1f} s." for seconds in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0)
    ]
    assert sum(waits) == pytest.approx(42.6, abs=1.0)


def test_it_is_given_up_after_the_limit(waits: list[float]) -> None:
    action = failing([operational() for _ in range(100)])
    with pytest.raises(StoreAwayError) as caught:
        Patience(limit=5.0)(lambda: Patience(limit=5.0)(action))
    assert str(caught.value) == (
        "The store can't be reached (server closed the connection); it was waited for 6 s "
        "(--wait-for-store 5). Nothing that was stored is lost; the same command goes on once it "
        "is back."
    )
    assert sum(waits) == pytest.approx(6.2, abs=0.5)  # once, whoever else waits


def test_nothing_is_waited_for_where_that_is_asked_for(waits: list[float]) -> None:
    with pytest.raises(StoreAwayError):
        first_patience(0.0)(failing([operational()]))
    assert waits == []


def test_a_store_that_was_not_reached_yet_is_waited_for_a_minute(waits: list[float]) -> None:
    with pytest.raises(StoreAwayError, match=r"for 6\d s \(--wait-for-store 60\)"):
        first_patience(None)(failing([operational() for _ in range(100)]))
    with pytest.raises(StoreAwayError, match=r"--wait-for-store 3\)"):
        first_patience(3.0)(failing([operational() for _ in range(100)]))


def test_waiting_ends_when_the_poll_raises(waits: list[float]) -> None:
    polls = []

    def poll() -> None:
        polls.append(None)
        if len(polls) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Patience(poll)(failing([operational() for _ in range(100)]))
    assert len(waits) == 4


class Thing:
    """Has a method and a property that fail twice each time they are needed."""

    plain = 7

    def __init__(self) -> None:
        self.errors: list[BaseException] = [operational(), operational()]

    def twice(self, number: int, *, plus: int) -> int:
        failing(self.errors)()
        return 2 * number + plus

    @property
    def asked(self) -> str:
        return failing(self.errors)()


def test_a_waiting_object_waits_in_every_call(waits: list[float]) -> None:
    thing = Thing()
    patient = waiting(thing, Patience())
    assert patient.twice(3, plus=1) == 7
    assert sum(waits) == pytest.approx(0.6, abs=0.2)
    thing.errors += [operational()]
    assert patient.asked == "done"
    assert patient.plain == 7
    thing.errors += [ValueError("wrong")]
    with pytest.raises(ValueError, match="wrong"):
        patient.twice(3, plus=1)
    thing.errors += [operational()]
    with pytest.raises(OperationalError):
        thing.twice(3, plus=1)  # by itself it waits for nothing
    with pytest.raises(AttributeError, match="nothing"):
        _ = patient.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE trials SET state = 'COMPLEUE'", "'COMPLEUE' is not among the defined enum values"),
        ("UPDATE trials SET datetime_start = '2026-X'", "damaged"),
        ("UPDATE trials SET datetime_start = 5", "damaged"),
        ("UPDATE study_directions SET direction = 'MAXIMIZF'", "is not among the defined enum val"),
        ("UPDATE study_system_attributes SET value_json = NULL", "damaged"),
    ],
)
def test_values_that_nobody_can_read_are_damage(change: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    storage = open_storage(f"sqlite:///{path}")
    study = optuna.create_study(storage=storage, study_name="s")
    storage.set_study_system_attr(storage.get_study_id_from_name("s"), "a", 1)
    study.ask()
    storage.engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(change)

    def read() -> None:
        again = open_storage(f"sqlite:///{path}?timeout=1")
        for found in again.get_all_studies():
            again.get_study_directions(found._study_id)
            again.get_study_system_attrs(found._study_id)
            again.get_all_trials(found._study_id)

    with pytest.raises(StoreUnfitError, match=said):
        Patience()(read)


def test_errors_of_our_own_are_no_damage() -> None:
    for error in (LookupError("x"), ValueError("x"), TypeError("x"), KeyError("x")):
        with pytest.raises(type(error), match="x"):
            Patience()(failing([error]))
