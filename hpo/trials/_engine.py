"""A database, opened so that many processes can share it."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

from hpo.errors import InputError
from hpo.trials._passing import StoreAwayError, lasting_reason, passing_reason
from hpo.trials._quiet import postgres_driver
from hpo.trials._redact import redact, scrub

__all__ = ["busy_at_most", "engine_arguments", "reporting_failure", "tune"]

#: Seconds for which SQLite waits for whoever writes, before that is an error.
_BUSY_TIMEOUT_S = 60.0
#: However short a store is waited for: so long it may take until it is this process's turn.
_TURN_S = 5.0
_busy: ContextVar[float] = ContextVar("busy", default=_BUSY_TIMEOUT_S)
#: Of libpq, so that a server that is cut off is found to be away, and not waited for in silence:
#: seconds, and milliseconds for what was sent and isn't acknowledged.
_TIMEOUTS = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 40_000,
}
#: Seconds after which a connection that nobody used is tried out before it is used again.
_IDLE_S = 1.0


@contextmanager
def busy_at_most(seconds: float) -> Iterator[None]:
    """Let SQLite wait for whoever writes for so long only, in this thread and meanwhile.

    Args:
        seconds: From 5 to 60 of them count: with less, a turn among many workers would be taken
            for a store that is away.
    """
    before = _busy.set(min(max(seconds, _TURN_S), _BUSY_TIMEOUT_S))
    try:
        yield
    finally:
        _busy.reset(before)


@contextmanager
def reporting_failure(url: str) -> Iterator[None]:
    """Say in words that a database can't be opened.

    Raises:
        StoreAwayError: In place of the driver's error, without the password, where that may pass.
        InputError: Likewise, where it won't.
    """
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        why = lasting_reason(error) or _first_line(error)
        said = f"--storage {redact(url)}: can't be opened: {scrub(why, url)}"
        reason = passing_reason(error)
        if reason is not None:
            raise StoreAwayError(scrub(reason, url), said) from None
        raise InputError(said) from None


def engine_arguments(url: URL) -> dict[str, Any]:
    """Return the engine's arguments: a long busy timeout, or few connections that can't hang.

    What the URL says of a connection's timeouts stays.
    """
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _busy.get()}}
    timeouts = {key: value for key, value in _TIMEOUTS.items() if key not in url.query}
    driver = postgres_driver()
    return {"pool_size": 2, "max_overflow": 2, "connect_args": timeouts, "module": driver}


def tune(engine: Engine) -> None:
    """Set up an engine's connections, those that it has already included."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "checkout", _set_busy_timeout)
    else:
        _check_idle_connections(engine)
    engine.dispose()


def _set_up_sqlite(connection: Any, record: Any) -> None:
    """Switch to write-ahead logging: readers, such as the dashboard, never block a writer.

    With ``synchronous=NORMAL`` a commit costs no disk flush; after a power cut the database is
    whole and the last moments may be missing, which resuming makes good.
    """
    _set_busy_timeout(connection, record)
    cursor = connection.cursor()
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _set_busy_timeout(connection: Any, record: Any, _proxy: Any = None) -> None:
    """Let a connection wait as ``busy_at_most`` says, of which it knows what it was told last."""
    seconds = _busy.get()
    if record.info.get("busy") != seconds:
        connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}").close()
        record.info["busy"] = seconds


def _write_ahead(cursor: Any) -> None:
    """Switch the file to write-ahead logging, in which it stays.

    Where another connection is about to write, such as one that makes the tables of a new file,
    the switch fails at once: alone of all statements it doesn't wait for the busy timeout.
    """
    deadline = time.monotonic() + _busy.get()
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _check_idle_connections(engine: Engine) -> None:
    """Try a connection out before its use if it wasn't used just before.

    ``pool_pre_ping`` does so each time, at the price of a round trip for each transaction. One
    that breaks within a moment is an error to the caller, whom ``Patience`` lets try again.
    See https://docs.sqlalchemy.org/en/20/core/pooling.html#custom-legacy-pessimistic-ping.
    """

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def check(connection: Any, record: Any, _proxy: Any) -> None:
        used = record.info.get("used")
        if used is None or time.monotonic() - used < _IDLE_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise DisconnectionError from None  # the pool then opens a new one


def _first_line(error: BaseException) -> str:
    driver = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None)
    return (str(driver or error).strip().splitlines() or ["no connection"])[0]
