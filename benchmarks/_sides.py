"""Two or more sides of a comparison, each in a process of its own, timed in turn.

A process of its own, because the allocator's settings and the number of threads belong to a
process, and so that no side finds the memory that another one has warmed.
"""

import gc
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

__all__ = ["Side", "Timing", "alternate", "ratio"]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Timing(NamedTuple):
    """Seconds of one call by the clock, seconds of processor time of its process, and memory.

    ``peak`` is the largest resident memory of the process so far, in MiB.
    """

    wall: float
    cpu: float
    peak: float


class Side:
    """A process that holds one side of a comparison.

    Args:
        make: Called there with ``arguments``; returns the things to be timed, by name. A thing
            that returns a ``(wall, cpu)`` pair has timed itself.
        arguments: Anything that can be pickled.
        threads: Of the numerical libraries.
    """

    def __init__(
        self,
        make: Callable[..., Mapping[str, Callable[[], Any]]],
        *arguments: Any,
        threads: int = 1,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        try:
            self._process = context.Process(target=_serve, args=(theirs, make, arguments, threads))
            self._process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value
        theirs.close()
        self._receive()

    def time(self, name: str = "step") -> Timing:
        """Do the thing of this name once.

        Raises:
            RuntimeError: It failed there.
        """
        self._connection.send(name)
        return Timing(*self._receive())

    def close(self) -> None:
        """End the process."""
        self._connection.send(None)
        self._process.join()
        self._connection.close()

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self) -> Any:
        kind, value = self._connection.recv()
        if kind == "error":
            raise RuntimeError(value)
        return value


def alternate(
    sides: Mapping[str, tuple[Side, str]], rounds: int, warm_up: int = 1
) -> dict[str, list[Timing]]:
    """Time the sides in turn, A B A B, ``rounds`` times; the first ``warm_up`` don't count."""
    timings: dict[str, list[Timing]] = {name: [] for name in sides}
    for index in range(warm_up + rounds):
        for name, (side, what) in sides.items():
            timing = side.time(what)
            if index >= warm_up:
                timings[name].append(timing)
    return timings


def ratio(
    ours: list[Timing], baseline: list[Timing], clock: str = "cpu"
) -> tuple[float, float, float]:
    """Return how many times as fast we are (the median over rounds), and both sides' medians.

    Args:
        ours: By round.
        baseline: By round.
        clock: ``cpu`` (what one thread needs, whatever else runs on the machine) or ``wall``.
    """
    mine = [getattr(timing, clock) for timing in ours]
    theirs = [getattr(timing, clock) for timing in baseline]
    times = [b / a for a, b in zip(mine, theirs, strict=True)]
    return median(times), median(mine), median(theirs)


def _serve(
    connection: Connection,
    make: Callable[..., Mapping[str, Callable[[], Any]]],
    arguments: tuple[Any, ...],
    threads: int,
) -> None:
    try:
        import torch

        torch.set_num_threads(threads)
        things = make(*arguments)
        connection.send(("ready", None))
        while (name := connection.recv()) is not None:
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            timed = things[name]()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if timed is not None:
                wall, cpu = timed
            connection.send(("time", (wall, cpu, _peak())))
    except EOFError:  # the other end is gone
        return
    except Exception as error:
        connection.send(("error", f"{type(error).__name__}: {error}"))


def _peak() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage's maximum is taken over from the process that started this one.
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
