"""Devices, and the place of each worker on them."""

import ctypes
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hpo._machine import usable_cores
from hpo.errors import InputError
from hpo.training import memory_share_gb

__all__ = ["Placement", "cuda_devices", "place_workers", "resolve_devices"]


@dataclasses.dataclass(frozen=True)
class Placement:
    """One worker's place: the device as the worker names it, and its environment.

    Attributes:
        device: ``cpu``, or ``cuda:0`` for the only device that the process sees.
        environment: Added to the process's.
        memory_gb: What its rows may take, see ``WorkerSettings``.
    """

    device: str
    environment: dict[str, str]
    memory_gb: float


def cuda_devices() -> int:
    """Return how many CUDA devices this machine has, without PyTorch where there is none."""
    # PyTorch takes a second to import, and finds no device without NVIDIA's driver, which it loads
    # by this name, or AMD's.
    if sys.platform == "linux" and not Path("/dev/kfd").exists():
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return 0
    import torch

    return torch.cuda.device_count()


def resolve_devices(text: str, cuda_devices: Callable[[], int] = cuda_devices) -> tuple[str, ...]:
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
        if kind != "cuda" or not (index.isdecimal() or (index == "" and name == "cuda")):
            problems.append(f"--devices {text}: '{name}' must be auto, cpu or cuda:N")
        elif int(index or 0) >= (count := cuda_devices()):
            problems.append(f"--devices {text}: '{name}' is not here; CUDA devices: {count}")
    if problems:
        raise InputError(problems)
    return tuple("cuda:0" if name == "cuda" else name for name in devices)


def place_workers(
    devices: Sequence[str],
    workers: int | None,
    threads: int,
    memory_gb: float | None = None,
    share: Callable[[str, int], float] = memory_share_gb,
) -> list[Placement]:
    """Return where each worker goes: one a device, on the CPU one a core; or ``workers`` in turn.

    A worker on CUDA sees its own device alone, so that nothing of it ends up on another one.

    Args:
        devices: What ``resolve_devices`` returned.
        workers: How many; None for as many as there is room for.
        threads: Of each worker on a CPU.
        memory_gb: What the rows of each may take; None for its share of the device's memory.
        share: Tells that share, by device and the number of workers on it.
    """
    if workers is None:
        workers = sum(max(1, usable_cores() // threads) if name == "cpu" else 1 for name in devices)
    names = [devices[index % len(devices)] for index in range(workers)]
    shares = {
        name: share(name, names.count(name)) if memory_gb is None else memory_gb
        for name in dict.fromkeys(names)
    }
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    physical = visible.split(",") if visible else None
    placements = []
    for name in names:
        environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        if name == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
            placements.append(Placement("cpu", environment, shares[name]))
        else:
            number = int(name.partition(":")[2])
            environment["CUDA_VISIBLE_DEVICES"] = physical[number] if physical else str(number)
            placements.append(Placement("cuda:0", environment, shares[name]))
    return placements
