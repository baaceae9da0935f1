"""A database as Optuna's storage, opened so that many processes can share it."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import optuna
from optuna.storages import RDBStorage
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from hpo.errors import InputError
from hpo.service._url import check_url, redact

__all__ = [
    "engine_arguments",
    "open_database",
    "reporting_failure",
    "retry_creation",
    "tune_sqlite",
]

T = TypeVar("T")
_BUSY_TIMEOUT_S = 60


def open_database(url: str) -> RDBStorage:
    """Open Optuna's storage in a database.

    Raises:
        InputError: See ``check_url``; or the database can't be opened or made.
    """
    parsed = check_url(url)
    # Optuna warns that its SQLite may lock up; what it warns of is dealt with here.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with reporting_failure(url):
        storage = retry_creation(
            lambda: RDBStorage(
                parsed.render_as_string(hide_password=False),
                engine_kwargs=engine_arguments(parsed),
            )
        )
    tune_sqlite(storage.engine)
    return storage


@contextmanager
def reporting_failure(url: str) -> Iterator[None]:
    """Say in words that a database can't be opened.

    Raises:
        InputError: In place of the driver's error, without the password.
    """
    try:
        yield
    except (SQLAlchemyError, ImportError) as error:
        raise InputError(
            f"--storage {redact(url)}: can't be opened: {_first_line(error)}"
        ) from None


def retry_creation(create: Callable[[], T]) -> T:
    """Make tables, again if another process is making the same ones at the same time."""
    for _ in range(10):
        try:
            return create()
        except (ProgrammingError, IntegrityError, OperationalError) as error:
            if "exist" not in str(error) and "unique" not in str(error).lower():
                raise
            time.sleep(0.1)
    return create()


def _write_ahead(cursor: Any) -> None:
    """Switch the file to write-ahead logging, in which it stays.

    Where another connection is about to write, such as one that makes the tables of a new file,
    the switch fails at once: alone of all statements it doesn't wait for the busy timeout.
    """
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def engine_arguments(url: URL) -> dict[str, Any]:
    """Return the engine's arguments: a long busy timeout, or checked connections."""
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_TIMEOUT_S}}
    return {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 2}


def tune_sqlite(engine: Engine) -> None:
    """Switch SQLite to write-ahead logging: readers, such as the dashboard, never block a writer.

    With ``synchronous=NORMAL`` a commit costs no disk flush; after a power cut the database is
    whole and the last moments may be missing, which resuming makes good.
    """
    if engine.dialect.name != "sqlite":
        return

    def pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_S * 1000}")
        _write_ahead(cursor)
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    event.listen(engine, "connect", pragmas)
    engine.dispose()


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
