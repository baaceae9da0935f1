"""A store that goes away, or a full disk, is waited for."""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from hpo.errors import InputError
from hpo.queue._passing import passing_reason

__all__ = ["Patience", "waiting"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 10.0


class Patience:
    """Carries out an action, again and again while what it needs is away.

    Args:
        poll: Called while waiting, ten times a second; may raise to give up.
        limit: Give up after so many seconds; None never does.
    """

    def __init__(self, poll: Callable[[], None] = lambda: None, limit: float | None = None) -> None:
        self._poll = poll
        self._limit = limit

    def __call__(self, action: Callable[[], T]) -> T:
        """Return what ``action`` returns; every other error than those of a store is raised.

        Raises:
            InputError: The store was away for longer than the limit.
        """
        wait, began = 0.2, time.monotonic()
        while True:
            try:
                result = action()
            except Exception as error:
                reason = passing_reason(error)
                if reason is None:
                    raise
                waited = time.monotonic() - began
                if self._limit is not None and waited >= self._limit:
                    raise InputError(f"{reason}, for {waited:.0f} s; given up.") from error
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
