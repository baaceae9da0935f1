"""How long a worker in this process is busy with the store."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hpo.study import StoredStudy

__all__ = ["StoreClock", "watched"]


class StoreClock:
    """Adds up the time inside calls of the store, nested calls once.

    Attributes:
        blocked: Seconds by the clock in the thread that trains, which waits.
        beside: Processor seconds in other threads, which hold Python's lock now and then.
        calls: How many calls there were.
        seen: Their names.
    """

    def __init__(self) -> None:
        self.blocked = 0.0
        self.beside = 0.0
        self.calls = 0
        self.seen: set[str] = set()
        self._main = threading.get_ident()
        self._inside = threading.local()

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function``, timed."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "active", False):
                return function(*args, **kwargs)
            self._inside.active = True
            self.seen.add(function.__name__)
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self._inside.active = False
                self.calls += 1
                if threading.get_ident() == self._main:
                    self.blocked += time.perf_counter() - wall
                else:
                    self.beside += time.thread_time() - cpu

        return timed


@contextmanager
def watched(study: StoredStudy) -> Iterator[StoreClock]:
    """Time everything that a worker of ``study`` does with the store, made in the block.

    Raises:
        RuntimeError: It did nothing with it that could be seen, so that the time means nothing.
    """
    clock = StoreClock()
    changed: list[tuple[Any, str, Any]] = []
    plain = study.plain  # whose parts are under all that waits for the store
    for owner, names in (
        (plain.ledger, _methods(plain.ledger)),
        (plain.trials, _methods(plain.trials)),
        (study, ["open_next"]),
    ):
        for name in names:
            changed.append((owner, name, vars(owner).get(name)))
            setattr(owner, name, clock.wrap(getattr(owner, name)))
    try:
        yield clock
    finally:
        for owner, name, before in changed:
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
    if not {"claim", "take_up", "begin", "complete"} <= clock.seen:
        raise RuntimeError(f"The clock saw no whole trial, but {sorted(clock.seen)}.")


def _methods(thing: object) -> list[str]:
    """Return the names of the public methods."""
    return [
        name
        for name in dir(thing)
        if not name.startswith("_") and callable(getattr(type(thing), name, None))
    ]
