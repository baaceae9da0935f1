"""Several computations at the same time, where nothing else needs the cores."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hpo._machine import usable_cores
from hpo.training._device import Device

__all__ = ["Steps", "side_by_side"]

T = TypeVar("T")


class Steps:
    """Adds up the steps of several trainings, and ends them all when it is told to.

    Args:
        in_all: How many there will be.
        on_step: Called with steps done and steps in all; by one thread at a time.
    """

    def __init__(self, in_all: int, on_step: Callable[[int, int], None]) -> None:
        self._in_all = in_all
        self._on_step = on_step
        self._done = 0
        self._lock = threading.Lock()
        self._ended = False

    def end(self) -> None:
        """Let every training end at its next step."""
        self._ended = True

    def count(self, _step: int, _steps: int) -> None:
        """Count a step of one of the trainings.

        Raises:
            InterruptedError: They are to end.
        """
        if self._ended:
            raise InterruptedError
        with self._lock:
            self._done += 1
            self._on_step(self._done, self._in_all)


def side_by_side(
    jobs: Sequence[Callable[[], T]], device: Device, end: Callable[[], None] = lambda: None
) -> list[T]:
    """Return what the jobs return; on a CPU as many at a time as their threads leave cores for.

    What each computes doesn't depend on the others, to the last bit.

    Args:
        jobs: They compute on the device.
        device: Where.
        end: Is called to end those that go on when one has failed, or at Ctrl-C.
    """
    at_once = 1
    if device.torch.type == "cpu":
        at_once = min(len(jobs), usable_cores() // device.arithmetic.threads)
    if at_once <= 1:
        return [job() for job in jobs]
    # The number of threads that PyTorch computes with is set once, around all of them.
    with device.in_use(), ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            end()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
