"""Everything that differs between devices, in one place."""

import ctypes
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hpo.errors import InputError
from hpo.models import Dropout
from hpo.training._arithmetic import Arithmetic
from hpo.training._spec import Numerics

__all__ = ["compiled", "numerics_of", "open_device", "precise"]

#: Rows in flight at once. On a CPU activations of 1,024 × 2,048 float32 are 8 MB and stay near the
#: cache; an accelerator wants as much work at a time as its memory holds.
_MICRO_BATCH = {"cpu": 1024, "cuda": 1 << 15}
#: Each configuration has its own shapes; at PyTorch's limit of 8 it would stop compiling, silently.
_RECOMPILE_LIMIT = 1024
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
    # cuBLAS, which reads this with its first product, needs workspaces of a fixed size for that
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.cuda.set_device(device)
    return device


def numerics_of(
    device: torch.device, micro_batch: int | None = None, arithmetic: Arithmetic | None = None
) -> Numerics:
    """Return what the address of a run records of this process.

    Args:
        device: As ``open_device`` returned it.
        micro_batch: Rows in flight at once; by default those of the device.
        arithmetic: What ``open_device`` was given; by default the usual one.
    """
    micro_batch = micro_batch or _MICRO_BATCH[device.type]
    arithmetic = arithmetic or Arithmetic()
    name = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
    threads = torch.get_num_threads() if device.type == "cpu" else 0
    return Numerics(
        name, threads, micro_batch, torch.__version__, arithmetic.precision, arithmetic.compiler
    )


@contextmanager
def precise(device: torch.device, precision: str) -> Iterator[torch.autocast]:
    """Train with a precision; the value is the context in which the forward pass runs.

    TF32 holds for the backward pass as well, automatic mixed precision must not
    (https://docs.pytorch.org/docs/stable/amp.html).
    """
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def compiled(module: nn.Module, compiler: str) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """Return the forward pass of a module, compiled if so chosen.

    Args:
        module: Keeps its parameters; in training they are shared.
        compiler: One of ``COMPILERS``.
    """
    if compiler == "off":
        return module
    import torch._dynamo  # a second or two, which uncompiled training needn't wait for

    torch._dynamo.config.recompile_limit = _RECOMPILE_LIMIT
    for layer in module.modules():
        if isinstance(layer, Dropout):
            # On a CPU the bits come from numpy, whose random state can't be traced.
            mask = torch._dynamo.disable(layer.mask)  # type: ignore[no-untyped-call]
            layer.mask = mask  # type: ignore[method-assign]
    forward: Callable[[Mapping[str, Tensor]], Tensor] = torch.compile(
        module, mode=compiler, dynamic=False
    )
    return forward
