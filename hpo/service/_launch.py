"""Devices, and the worker processes of a run."""

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from hpo.errors import InputError

__all__ = ["Placement", "Workers", "place_workers", "resolve_devices"]

_log = logging.getLogger(__name__)
_RESTARTS = 5
#: Exit statuses of ``hpo.worker`` that say all that is to be said: done, bad input, left early, and
#: no candidate left.
_FINAL = (0, 2, 3, 4)


@dataclasses.dataclass(frozen=True)
class Placement:
    """One worker's place: the device as the worker names it, and its environment.

    Attributes:
        device: ``cpu``, or ``cuda:0`` for the only device that the process sees.
        environment: Added to the process's.
    """

    device: str
    environment: dict[str, str]


def resolve_devices(text: str, cuda_devices: Callable[[], int]) -> tuple[str, ...]:
    """Return the devices that ``--devices`` names.

    Args:
        text: ``auto`` (all CUDA devices, or the CPU if there is none), ``cpu``, or a list such as
            ``cuda:0,cuda:1``.
        cuda_devices: Counts the CUDA devices of this machine; called only if it matters.

    Raises:
        InputError: A device has no such name, or doesn't exist here; all are listed.
    """
    if text == "auto":
        return tuple(f"cuda:{index}" for index in range(cuda_devices())) or ("cpu",)
    problems = []
    devices = tuple(name.strip() for name in text.split(","))
    for name in devices:
        kind, _, index = name.partition(":")
        if name == "cpu":
            continue
        if kind != "cuda" or not (index.isdigit() or (index == "" and name == "cuda")):
            problems.append(f"--devices {text}: '{name}' must be auto, cpu or cuda:N")
        elif int(index or 0) >= (count := cuda_devices()):
            problems.append(f"--devices {text}: '{name}' is not here; CUDA devices: {count}")
    if problems:
        raise InputError(problems)
    return tuple("cuda:0" if name == "cuda" else name for name in devices)


def place_workers(devices: Sequence[str], workers: int | None, threads: int) -> list[Placement]:
    """Return where each worker goes: one a device, on the CPU one a core; or ``workers`` in turn.

    A worker on CUDA sees its own device alone, so that nothing of it ends up on another one.
    """
    if workers is None:
        cores = len(os.sched_getaffinity(0))
        workers = sum(max(1, cores // threads) if name == "cpu" else 1 for name in devices)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    physical = visible.split(",") if visible else None
    placements = []
    for index in range(workers):
        name = devices[index % len(devices)]
        environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        if name == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
            placements.append(Placement("cpu", environment))
        else:
            number = int(name.partition(":")[2])
            environment["CUDA_VISIBLE_DEVICES"] = physical[number] if physical else str(number)
            placements.append(Placement("cuda:0", environment))
    return placements


class Workers:
    """The worker processes that a run starts, watches and stops.

    Args:
        study: Name of the study.
        url: The storage URL; handed over in the environment, since it may hold a password.
        placements: One a worker.
        arguments: Further arguments of ``hpo.worker``.
    """

    def __init__(
        self, study: str, url: str, placements: Sequence[Placement], arguments: Sequence[str]
    ) -> None:
        self._command = [sys.executable, "-m", "hpo.worker", "--study", study, *arguments]
        self._url = url
        self._placements = list(placements)
        self._processes = [self._start(placement) for placement in self._placements]
        self._restarts = 0

    def _start(self, placement: Placement) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **placement.environment, "HPO_STORAGE": self._url}
        return subprocess.Popen(
            [*self._command, "--device", placement.device],
            env=environment,
            stdin=subprocess.DEVNULL,
            # In a terminal, Ctrl-C would reach the workers twice: from it, and from the run.
            start_new_session=True,
        )

    def watch(self) -> bool:
        """Start again what crashed, a few times; return whether any worker is running."""
        for index, process in enumerate(self._processes):
            code = process.poll()
            if code is None or code in _FINAL or self._restarts >= _RESTARTS:
                continue
            self._restarts += 1
            _log.warning("A worker ended with status %d and is started again.", code)
            self._processes[index] = self._start(self._placements[index])
        return any(process.poll() is None for process in self._processes)

    def stop(self, patience: float = 30.0) -> None:
        """Let the workers checkpoint and hand back their trials; kill who doesn't in time."""
        self.signal(signal.SIGTERM)
        end = time.monotonic() + patience
        for process in self._processes:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

    def signal(self, number: int) -> None:
        """Send a signal to all workers."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    @property
    def exit_codes(self) -> list[int | None]:
        """The status of each worker; None while it runs."""
        return [process.poll() for process in self._processes]
