"""Which troubles of a store pass by themselves, so that waiting for it is right."""

import errno
import json
import sqlite3
import sys
import traceback

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError

from hpo.errors import InputError

if sys.platform != "win32":
    import resource

__all__ = [
    "StoreAwayError",
    "StoreUnfitError",
    "is_of_storage",
    "lasting_reason",
    "passing_reason",
]

#: SQLSTATE codes of PostgreSQL, or the classes that they begin with (PostgreSQL, appendix A):
#: connection exceptions; a rolled-back transaction; a read-only server, as after a failover; too
#: few resources, connections among them; an operator who intervened, or a server that starts up.
_PASSING_STATES = ("08", "40", "25006", "53", "55P03", "57")
#: SQLite's names of what passes: another one writes, the disk is full or has a hiccup.
_PASSING_NAMES = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_PROTOCOL")
#: How SQLite fails to make one of its files larger.
_GROWING = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_TRUNCATE")
#: What SQLite and refused connections say, which have no SQLSTATE, where waiting won't help.
_LASTING = (
    *("no such table", "no such column", "has no column named", "syntax error"),
    *("file is not a database", "malformed", "readonly database", "unable to open database file"),
    *("password authentication failed", "no pg_hba.conf entry", '" does not exist'),
    *("decode to UTF-8", "no such function", "datatype mismatch"),
    *("no password supplied", "is not permitted to log in", "invalid connection option"),
    *("invalid port number", ' value: "', "for connection option"),
)
#: gRPC's status of an answer that no other try will get another one to.
_REFUSED = ("FAILED_PRECONDITION", "UNKNOWN", "RESOURCE_EXHAUSTED")
#: What the exceptions are called that carry them, in the text of an error from behind a proxy.
_IN_DETAILS = ("OperationalError", "InterfaceError")


class StoreAwayError(InputError):
    """A store can't be reached, for a reason that may pass by itself.

    Args:
        reason: In words, as ``passing_reason`` gives it.
        problem: All that is to be said; by default the reason.
        given_up: Whether it was waited for already, as long as was asked for.
    """

    status = 6

    def __init__(self, reason: str, problem: str | None = None, *, given_up: bool = False) -> None:
        super().__init__(problem or f"{reason}.")
        self.reason = reason
        self.given_up = given_up


class StoreUnfitError(InputError):
    """A store answers that it can't do what it is asked for, and will answer so again."""


def passing_reason(error: BaseException) -> str | None:
    """Return in words why an error may pass by itself; None if it won't.

    A database or a proxy that is away, starting up, out of connections or read-only comes back, and
    a disk that is full is emptied. A missing table or column, or a wrong password, stays.
    """
    if isinstance(error, StoreAwayError):
        return None if error.given_up else error.reason
    if isinstance(error, StorageInternalError):
        cause = error.__cause__
        return None if cause is None else passing_reason(cause)
    if _is_of_grpc(error):
        code, details = _code_and_details(error)
        if code == "DEADLINE_EXCEEDED":
            return "The store can't be reached (the proxy doesn't answer)"
        # the proxy is away, or the database behind it
        behind = any(kind in details for kind in _IN_DETAILS)
        away = code == "UNAVAILABLE" or (behind and not _stays(details))
        return f"The store can't be reached ({_first_line(details)})" if away else None
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return f"The disk is full ({error.filename or error.strerror})" if full else None
    if isinstance(error, DBAPIError) and _passes(error):
        return f"The store can't be reached ({_said(error)})"
    return None


def lasting_reason(error: BaseException) -> str | None:
    """Return what a store has against a call, if it would say so again; None for other errors.

    A row that is there already (an ``IntegrityError``) is nothing that a store has against it; one
    that lacks a value is, since ``hpo`` gives all that its tables want.
    """
    if passing_reason(error) is not None:
        return None
    if isinstance(error, StorageInternalError):
        return None if error.__cause__ is None else lasting_reason(error.__cause__)
    if _is_of_grpc(error):
        code, details = _code_and_details(error)
        if code == "UNIMPLEMENTED":
            return f"the proxy is of another version of hpo ({details})"
        return _first_line(details) if code in _REFUSED else None
    if isinstance(error, IntegrityError):
        return _said(error) if _lacks_a_value(error) else None
    if isinstance(error, DBAPIError):
        return _said(error)
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"what it holds is damaged ({error})"  # Optuna's attributes are JSON
    if isinstance(error, RecursionError) and _modules(error)[-1].startswith("json"):
        return "what it holds is damaged (it is nested too deeply)"
    if _is_of_a_value(error):
        return f"what it holds is damaged ({_first_line(str(error))})"
    return None


def _lacks_a_value(error: IntegrityError) -> bool:
    code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
    return code in ("23502", "SQLITE_CONSTRAINT_NOTNULL")


def _is_of_a_value(error: BaseException) -> bool:
    """Tell whether an error is of a stored value that can't be read, such as a date that is none.

    SQLAlchemy and Optuna raise Python's own errors then, which only their place tells from others.
    """
    kinds = (LookupError, OverflowError, TypeError, ValueError)
    return type(error) in kinds and is_of_storage(error)


def is_of_storage(error: BaseException) -> bool:
    """Tell whether SQLAlchemy, or what Optuna does with it, has raised an error."""
    modules = reversed(_modules(error))
    where = next((name for name in modules if not name.startswith("json")), "")
    return where.startswith(("sqlalchemy.", "optuna.storages."))


def _modules(error: BaseException) -> list[str]:
    """Return the modules that an error went through, the one that raised it last."""
    frames = traceback.walk_tb(error.__traceback__)
    return [str(frame.f_globals.get("__name__")) for frame, _ in frames] or [""]


def _passes(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return bool(str(state).startswith(_PASSING_STATES)) or error.connection_invalidated
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        # what the module says by itself, such as of text that is no UTF-8, has no name
        name = getattr(error.orig, "sqlite_errorname", "")
        return name.startswith(_PASSING_NAMES) and _largest_file(error) is None
    return isinstance(error, OperationalError | InterfaceError) and not _stays(str(error.orig))


def _stays(text: str) -> bool:
    return any(said in text for said in _LASTING)


def _largest_file(error: DBAPIError) -> int | None:
    """Return the most bytes that a file may have here, if that may be why SQLite can't write.

    SQLite doesn't tell the system's reasons apart. Where files have a limit, that is the one: a
    full disk has a name of its own.
    """
    name = getattr(error.orig, "sqlite_errorname", "")
    if sys.platform == "win32" or not name.startswith(_GROWING):
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if most == resource.RLIM_INFINITY else most


def _said(error: DBAPIError) -> str:
    said, most = _first_line(str(error.orig)) or "no connection", _largest_file(error)
    if most is None:
        return said
    return f"{said}: a file may have {most:,} bytes here; allow more (ulimit -f)"


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0]


def _is_of_grpc(error: BaseException) -> bool:
    return type(error).__module__.startswith("grpc") and callable(getattr(error, "code", None))


def _code_and_details(error: BaseException) -> tuple[str, str]:
    """Return the name of gRPC's status, and what is said with it; gRPC is an extra."""
    said = getattr(error, "details", lambda: "")
    return error.code().name, str(said() or "")  # type: ignore[attr-defined]
