"""Rows of several requests in one batch: one queue, and one thread that takes from it."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

__all__ = ["BusyError", "Rows", "TooManyError"]


class TooManyError(Exception):
    """A request has more rows than may wait at all.

    Args:
        most: So many may wait.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class BusyError(Exception):
    """So many rows wait that one more request would wait too long."""


class Rows:
    """A queue of rows, and the thread that answers them together.

    Args:
        answer: Gets some rows and returns what each gets, in order. It runs in one thread alone.
        most: Rows in a batch.
        wait_s: How long the first row of a batch waits for others, in seconds.
        waiting: Rows that may wait; more are refused.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        most: int,
        wait_s: float,
        waiting: int,
    ) -> None:
        self._answer = answer
        self._most = most
        self._wait_s = wait_s
        self._waiting = waiting
        self._count = 0
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[Any, Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many rows wait, not counting those that are being answered."""
        return self._count

    def ask(self, rows: Sequence[Any]) -> list["Future[Any]"]:
        """Put rows into the queue; each gets a future of what it is answered.

        Raises:
            BusyError: Too many are waiting; none of these is put into it.
            TooManyError: These alone are too many.
        """
        if len(rows) > self._waiting:
            raise TooManyError(self._waiting)
        with self._lock:
            if self._count + len(rows) > self._waiting:
                raise BusyError
            self._count += len(rows)
        futures: list[Future[Any]] = [Future() for _ in rows]
        for row, future in zip(rows, futures, strict=True):
            self._queue.put((row, future))
        return futures

    def close(self) -> None:
        """Answer what is waiting, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        more = True
        while more:
            batch, more = self._batch()
            if not batch:
                continue
            with self._lock:
                self._count -= len(batch)
            try:
                found = self._answer([row for row, _ in batch])
                for (_, future), one in zip(batch, found, strict=True):
                    _settle(future, one)
            # Whatever it is, who waits must hear of it, and the next batch must be answered.
            except Exception as error:
                for _, future in batch:
                    _settle(future, error)

    def _batch(self) -> tuple[list[tuple[Any, "Future[Any]"]], bool]:
        """Return the next rows, and whether there may be more after them."""
        first = self._queue.get()
        if first is None:
            return [], False
        batch = [first]
        end = time.monotonic() + self._wait_s
        while len(batch) < self._most:
            try:
                left = end - time.monotonic()
                # What is there already is taken in any case.
                one = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if one is None:
                return batch, False
            batch.append(one)
        return batch, True


def _settle(future: "Future[Any]", value: Any) -> None:
    """Answer whoever waits, unless they gave up."""
    with contextlib.suppress(Exception):
        if isinstance(value, Exception):
            future.set_exception(value)
        else:
            future.set_result(value)
