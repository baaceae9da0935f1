"""A store that goes away, or a full disk, is waited for."""

import errno
import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

__all__ = ["Patience", "waiting"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 10.0


class Patience:
    """Carries out an action, again and again while what it needs is away.

    Args:
        poll: Called while waiting, ten times a second; may raise to give up.
    """

    def __init__(self, poll: Callable[[], None] = lambda: None) -> None:
        self._poll = poll

    def __call__(self, action: Callable[[], T]) -> T:
        """Return what ``action`` returns; every other error than those of a store is raised."""
        wait = 0.2
        while True:
            try:
                result = action()
            except Exception as error:
                reason = _passing(error)
                if reason is None:
                    raise
                _log.warning("%s; trying again in %.1f s.", reason, wait)
            else:
                if wait > 0.2:
                    _log.warning("Going on.")
                return result
            end = time.monotonic() + wait
            while time.monotonic() < end:
                self._poll()
                time.sleep(0.1)
            wait = min(2 * wait, _LONGEST_WAIT_S)


def waiting(thing: T, patience: Patience) -> T:
    """Return ``thing`` with every call of a method carried out as ``patience`` does.

    Args:
        thing: A ledger, the trials of a study, or whatever else has methods that are harmless when
            they are called again after a call whose answer was lost. Waits for nothing by itself.
        patience: Says what is waited for, and how long.

    Returns:
        An object with the attributes and methods of ``thing``, and of its type to type checkers;
        ``isinstance`` is not what it answers to. It may be used from as many threads.
    """
    return cast(T, _Waiting(thing, patience))


class _Waiting:
    def __init__(self, thing: Any, patience: Patience) -> None:
        self._thing = thing
        self._patience = patience

    def __getattr__(self, name: str) -> Any:
        value = self._patience(lambda: getattr(self._thing, name))
        if not callable(value):
            return value

        @functools.wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._patience(lambda: value(*args, **kwargs))

        return call


def _passing(error: BaseException) -> str | None:
    """Return in words why an error may pass by itself; None if it won't."""
    if isinstance(error, StorageInternalError):
        cause = error.__cause__
        return None if cause is None else _passing(cause)
    code = getattr(error, "code", None)
    if type(error).__module__.startswith("grpc") and callable(code):
        # the proxy is away, or the database behind it
        details = str(getattr(error, "details", lambda: "")())
        away = code().name == "UNAVAILABLE" or "OperationalError" in details
        return f"The store can't be reached ({details})" if away else None
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return f"The disk is full ({error.filename or error.strerror})" if full else None
    if isinstance(error, OperationalError | InterfaceError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    ):
        first = (str(error.orig).strip().splitlines() or ["no connection"])[0]
        return f"The store can't be reached ({first})"
    return None
