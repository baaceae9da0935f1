"""Which troubles of a store pass by themselves, so that waiting for it is right."""

import errno

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

__all__ = ["passing_reason"]

#: SQLSTATE codes of PostgreSQL, or the classes that they begin with (PostgreSQL, appendix A):
#: connection exceptions; a rolled-back transaction; a read-only server, as after a failover; too
#: few resources, connections among them; an operator who intervened, or a server that starts up.
_PASSING_STATES = ("08", "40", "25006", "53", "55P03", "57")
#: What SQLite and refused connections say, which have no SQLSTATE, where waiting won't help.
_LASTING = (
    *("no such table", "no such column", "has no column named", "syntax error"),
    *("file is not a database", "malformed", "readonly database", "unable to open database file"),
    *("password authentication failed", "no pg_hba.conf entry", '" does not exist'),
)


def passing_reason(error: BaseException) -> str | None:
    """Return in words why an error may pass by itself; None if it won't.

    A database or a proxy that is away, starting up, out of connections or read-only comes back, and
    a disk that is full is emptied. A missing table or column, or a wrong password, stays.
    """
    if isinstance(error, StorageInternalError):
        cause = error.__cause__
        return None if cause is None else passing_reason(cause)
    code = getattr(error, "code", None)
    if type(error).__module__.startswith("grpc") and callable(code):
        details = str(getattr(error, "details", lambda: "")())
        if code().name == "DEADLINE_EXCEEDED":
            return "The store can't be reached (the proxy doesn't answer)"
        # the proxy is away, or the database behind it
        away = code().name == "UNAVAILABLE" or "OperationalError" in details
        return f"The store can't be reached ({details})" if away else None
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return f"The disk is full ({error.filename or error.strerror})" if full else None
    if isinstance(error, DBAPIError) and _passes(error):
        first = (str(error.orig).strip().splitlines() or ["no connection"])[0]
        return f"The store can't be reached ({first})"
    return None


def _passes(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return bool(str(state).startswith(_PASSING_STATES)) or error.connection_invalidated
    if error.connection_invalidated:
        return True
    lasting = any(said in str(error.orig) for said in _LASTING)
    return isinstance(error, OperationalError | InterfaceError) and not lasting
