"""Everything that differs between devices, in one place."""

import ctypes
import platform

import torch

from hpo.errors import InputError
from hpo.training._spec import Numerics

__all__ = ["DEFAULT_MICRO_BATCH", "numerics_of", "open_device"]

#: Rows in flight at once: activations of 1,024 × 2,048 float32 are 8 MB and stay near the cache.
DEFAULT_MICRO_BATCH = 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def open_device(name: str, threads: int) -> torch.device:
    """Make this process ready to compute on ``name`` and return the device.

    On a CPU the number of threads is fixed, since it changes the last bits of sums, and the C
    allocator is told to keep freed pages (page faults otherwise take a tenth of an epoch). On CUDA,
    float32 products stay in float32 and algorithms are deterministic.

    Raises:
        InputError: The device doesn't exist here.
    """
    torch.set_num_threads(threads)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"The device is {name!r}, but must be cpu or cuda:N.") from None
    if device.type == "cpu":
        if platform.libc_ver()[0] == "glibc":
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        return device
    if device.type != "cuda":
        raise InputError(f"The device is {name!r}, but must be cpu or cuda:N.")
    count = torch.cuda.device_count()
    if device.index is None:
        device = torch.device("cuda", 0)
    if device.index >= count:
        raise InputError(f"The device is {name!r}, but this machine has {count} CUDA devices.")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.cuda.set_device(device)
    return device


def numerics_of(device: torch.device, micro_batch: int = DEFAULT_MICRO_BATCH) -> Numerics:
    """Return what the address of a run records of this process."""
    name = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    return Numerics(name, threads, micro_batch, torch.__version__)
