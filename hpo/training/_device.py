"""Everything that differs between devices, in one place."""

import ctypes
import platform

import torch

from hpo.errors import InputError
from hpo.training._arithmetic import Arithmetic
from hpo.training._spec import Numerics

__all__ = ["default_micro_batch", "numerics_of", "open_device"]

#: Rows in flight at once. On a CPU activations of 1,024 × 2,048 float32 are 8 MB and stay near the
#: cache; an accelerator wants as much work at a time as its memory holds.
_MICRO_BATCH = {"cpu": 1024, "cuda": 1 << 15}
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def open_device(name: str, arithmetic: Arithmetic) -> torch.device:
    """Make this process ready to compute on ``name`` and return the device.

    On a CPU the number of threads is fixed, since it changes the last bits of sums, and the C
    allocator is told to keep freed pages (page faults otherwise take a tenth of an epoch). On CUDA,
    algorithms are deterministic.

    Raises:
        InputError: The device doesn't exist here, or can't do the arithmetic.
    """
    torch.set_num_threads(arithmetic.threads)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"The device is {name!r}, but must be cpu or cuda:N.") from None
    if device.type not in _MICRO_BATCH:
        raise InputError(f"The device is {name!r}, but must be cpu or cuda:N.")
    arithmetic.check(device.type)
    if device.type == "cpu":
        if platform.libc_ver()[0] == "glibc":
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        return device
    count = torch.cuda.device_count()
    if device.index is None:
        device = torch.device("cuda", 0)
    if device.index >= count:
        raise InputError(f"The device is {name!r}, but this machine has {count} CUDA devices.")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.cuda.set_device(device)
    return device


def default_micro_batch(device: torch.device) -> int:
    """Return the rows that are in flight at once if memory allows."""
    return _MICRO_BATCH[device.type]


def numerics_of(
    device: torch.device, micro_batch: int | None = None, arithmetic: Arithmetic | None = None
) -> Numerics:
    """Return what the address of a run records of this process.

    Args:
        device: As ``open_device`` returned it.
        micro_batch: Rows in flight at once; by default those of the device.
        arithmetic: What ``open_device`` was given; by default the usual one.
    """
    micro_batch = micro_batch or default_micro_batch(device)
    arithmetic = arithmetic or Arithmetic()
    name = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    return Numerics(
        name, threads, micro_batch, torch.__version__, arithmetic.precision, arithmetic.compiler
    )
