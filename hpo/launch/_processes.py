"""The worker processes of a run."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from hpo.launch._devices import Placement
from hpo.launch._reached import check_reached
from hpo.worker import WorkerSettings

__all__ = ["Workers", "relay"]

_log = logging.getLogger(__name__)
_RESTARTS = 5
#: Exit statuses of ``hpo.worker`` that say all that is to be said: done, bad input, left early, no
#: candidate left, done with failed tasks, the store away, and the study deleted.
_FINAL = (0, 2, 3, 4, 5, 6, 7)


class Workers:
    """The worker processes that a run starts, watches and stops.

    Args:
        study: Name of the study.
        url: The storage URL; handed over in the environment, since it may hold a password.
        placements: One a worker.
        cache: Where the study's features and runs are.
        plugins: Modules or files with the user's own parts.
        settings: Of each worker; device and memory are those of its placement.
        held: Whether they wait, with all that they need imported, until ``release`` is called. The
            study need not exist before. If this process ends without that, they end as well.
        relayed: Whether what they print goes to this process's standard error, for a terminal that
            is being drawn, or a standard output that is for machines.
    """

    def __init__(
        self,
        study: str,
        url: str,
        placements: Sequence[Placement],
        cache: Path,
        plugins: Sequence[str] = (),
        settings: WorkerSettings | None = None,
        *,
        held: bool = False,
        relayed: bool = False,
    ) -> None:
        timing = settings or WorkerSettings()
        self._command = [
            *(sys.executable, "-m", "hpo.worker", "--study", study, "--cache", str(cache)),
            *(f"--plugin={plugin}" for plugin in plugins),
            f"--heartbeat={timing.heartbeat}",
            f"--grace={timing.grace}",
            f"--stall-timeout={timing.stall_timeout}",
            "--of-run",
        ]
        if timing.wait_for_store is not None:
            self._command.append(f"--wait-for-store={timing.wait_for_store}")
        self._url = url
        self._placements = list(placements)
        self._relayed = relayed
        self._relays: list[threading.Thread] = []
        self._processes = [self._start(placement, held) for placement in self._placements]
        self._restarts = 0

    def _start(self, placement: Placement, held: bool = False) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **placement.environment, "HPO_STORAGE": self._url}
        process = subprocess.Popen(
            [
                *(*self._command, "--device", placement.device),
                *(f"--memory-gb={placement.memory_gb}", *(["--held"] if held else [])),
            ],
            env=environment,
            stdin=subprocess.PIPE if held else subprocess.DEVNULL,
            stdout=subprocess.PIPE if self._relayed else None,
            stderr=subprocess.STDOUT if self._relayed else None,
            # In a terminal, Ctrl-C would reach the workers twice: from it, and from the run.
            start_new_session=True,
        )
        if process.stdout is not None:
            thread = threading.Thread(target=relay, args=(process.stdout,), daemon=True)
            thread.start()
            self._relays.append(thread)
        return process

    def release(self) -> "Workers":
        """Let workers that are held begin; return self."""
        self._tell(b"\n")
        return self

    def _tell(self, line: bytes) -> None:
        """Write to workers that are held, and close what they wait at."""
        for process in self._processes:
            # One that is gone already is started again by ``watch``.
            with contextlib.suppress(BrokenPipeError):
                if process.stdin is not None and not process.stdin.closed:
                    process.stdin.write(line)
                    process.stdin.close()

    def watch(self) -> bool:
        """Start again what crashed, a few times; return whether any worker is running.

        Raises:
            StoreAwayError: All have ended, as none could reach the store; each has said so.
        """
        for index, process in enumerate(self._processes):
            code = process.poll()
            if code is None or code in _FINAL or self._restarts >= _RESTARTS:
                continue
            self._restarts += 1
            _log.warning("A worker ended with status %d and is started again.", code)
            self._processes[index] = self._start(self._placements[index])
        check_reached(self.exit_codes)
        return any(process.poll() is None for process in self._processes)

    def stop(self, patience: float = 30.0) -> None:
        """Let the workers checkpoint and hand back their trials; kill who doesn't in time."""
        self._tell(b"")
        if os.name == "nt" and any(process.poll() is None for process in self._processes):
            _log.warning(
                "On Windows workers can't be asked to stop. They are ended, and what they were "
                "training goes on from its last checkpoint."
            )
        self.signal(signal.SIGTERM)
        end = time.monotonic() + patience
        for process in self._processes:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        for thread in self._relays:
            thread.join(1.0)

    def signal(self, number: int) -> None:
        """Send a signal to all workers."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    @property
    def exit_codes(self) -> list[int | None]:
        """The status of each worker; None while it runs."""
        return [process.poll() for process in self._processes]


def relay(output: IO[bytes]) -> None:
    """Print lines as they come, wherever standard error is then."""
    with output:
        for line in output:
            print(line.decode(errors="replace"), end="", file=sys.stderr, flush=True)
