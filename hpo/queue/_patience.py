"""A store that goes away, or a full disk, is waited for."""

import contextlib
import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from hpo.trials import (
    StoreAwayError,
    StoreUnfitError,
    busy_at_most,
    lasting_reason,
    passing_reason,
)

__all__ = ["FIRST_WAIT_S", "Patience", "first_patience", "waiting"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 10.0
#: A store that was not reached before may have another address: it is waited for so many seconds
#: where nothing else is asked for, and afterwards without end.
FIRST_WAIT_S = 60.0


class Patience:
    """Carries out an action, and again while what it needs is away.

    Args:
        poll: Called while waiting, ten times a second; may raise to give up.
        limit: Give up after so many seconds; None never does.
        told: Called with the reason whenever it begins to wait, and with None when it goes on.
        until: How long it is waited for, in words, where ``poll`` decides that.
    """

    def __init__(
        self,
        poll: Callable[[], None] = lambda: None,
        limit: float | None = None,
        told: Callable[[str | None], None] = lambda reason: None,
        until: str | None = None,
    ) -> None:
        self._poll = poll
        self._limit = limit
        self._told = told
        most = "without end" if limit is None else f"for at most {limit:g} s"
        self._until = until or f"{most} (--wait-for-store)"

    def __call__(self, action: Callable[[], T]) -> T:
        """Return what ``action`` returns; every other error than those of a store is raised.

        Raises:
            StoreAwayError: The store was away for longer than the limit.
            StoreUnfitError: The store's answer won't change by waiting.
        """
        wait, began, said = 0.2, time.monotonic(), False
        while True:
            try:
                with self._in_time(began):
                    result = action()
            except Exception as error:
                reason = passing_reason(error)
                if reason is None:
                    _raise_lasting(error)
                    raise
                self._give_up_in_time(reason, time.monotonic() - began, error)
                _log.warning(
                    "%s; it is waited for, %s; the next try is in %.1f s.",
                    *(reason, self._until, wait),
                )
                if not said:
                    self._told(reason)
                said = True
            else:
                if said:
                    _log.warning("Going on after %.1f s.", time.monotonic() - began)
                    self._told(None)
                return result
            end = time.monotonic() + wait
            while time.monotonic() < end:
                self._poll()
                time.sleep(0.1)
            wait = min(2 * wait, _LONGEST_WAIT_S)

    def _in_time(self, began: float) -> contextlib.AbstractContextManager[None]:
        """Let a lock of another process's be waited for no longer than a store that is away."""
        if self._limit is None:
            return contextlib.nullcontext()
        return busy_at_most(self._limit - (time.monotonic() - began))

    def _give_up_in_time(self, reason: str, waited: float, error: Exception) -> None:
        if self._limit is not None and waited >= self._limit:
            # what was raised by opening a storage names it
            whole = str(error).rstrip(".") if isinstance(error, StoreAwayError) else reason
            raise StoreAwayError(
                reason,
                f"{whole}; it was waited for {waited:.0f} s (--wait-for-store {self._limit:g}). "
                "Nothing that was stored is lost; the same command goes on once it is back.",
                given_up=True,
            ) from error


def first_patience(wait: float | None, poll: Callable[[], None] = lambda: None) -> Patience:
    """Return what waits for a store that was not reached yet.

    Args:
        wait: Seconds that were asked for; None for ``FIRST_WAIT_S``.
        poll: See ``Patience``.
    """
    return Patience(poll, FIRST_WAIT_S if wait is None else wait)


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


def _raise_lasting(error: Exception) -> None:
    """Raise in one sentence what a store has against a call, if ``error`` is such an answer."""
    reason = lasting_reason(error)
    if reason is not None:
        raise StoreUnfitError(
            f"The store can't do what hpo asks of it: {reason}. Waiting won't help: mend the "
            "storage (its tables, the rights of its user), or use another --storage."
        ) from error
