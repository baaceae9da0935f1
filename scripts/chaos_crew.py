"""Worker processes that start in milliseconds, so that they can be killed at their work."""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from hpo import worker
from hpo.study import StoredStudy

__all__ = ["GRACE_S", "HEARTBEAT_S", "Crew", "crew_of"]

HEARTBEAT_S = 0.2
GRACE_S = 1.5
# Workers are forked from a process that has everything imported: a start takes milliseconds, so
# that they are killed at their work rather than in their imports.
_processes = multiprocessing.get_context("forkserver")
# torch imports its compiler when the first optimizer is made.
_processes.set_forkserver_preload(
    ["hpo.worker._worker", "hpo.launch", "hpo.study", "hpo.report", "torch._dynamo"]
)


class Crew:
    """Worker processes of one study.

    Args:
        study: The study.
        log: Where their standard output and error go.
        arguments: Further arguments of ``hpo.worker``.
    """

    def __init__(self, study: StoredStudy, log: Path, arguments: Sequence[str] = ()) -> None:
        self._arguments = [
            *("--study", study.name, "--storage", study.url, "--device", "cpu"),
            *("--heartbeat", str(HEARTBEAT_S), "--grace", str(GRACE_S), *arguments),
        ]
        self.log = log
        self.processes: list[BaseProcess] = []

    def start(self, count: int = 1) -> list[BaseProcess]:
        """Start so many workers more."""
        started: list[BaseProcess] = []
        for _ in range(count):
            process = _processes.Process(target=_work, args=(self._arguments, str(self.log)))
            process.start()
            started.append(process)
        self.processes += started
        return started

    def signal(self, process: BaseProcess, number: int) -> None:
        """Send a signal to a worker."""
        assert process.pid is not None
        os.kill(process.pid, number)

    def wait(self, seconds: float) -> list[int | None]:
        """Wait for all workers to leave; return the exit codes, None for who is still there."""
        end = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
        return [process.exitcode for process in self.processes]

    def end(self) -> None:
        """Kill whoever is left."""
        for process in self.processes:
            process.kill()
            process.join()


@contextmanager
def crew_of(study: StoredStudy, log: Path, *arguments: str) -> Iterator[Crew]:
    """Give a crew whose workers are killed at the end."""
    crew = Crew(study, log, arguments)
    try:
        yield crew
    finally:
        crew.end()


def _work(arguments: Sequence[str], log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.exit(worker.main(arguments))
