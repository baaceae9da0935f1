"""Everything that differs between devices, in one place."""

import contextlib
import ctypes
import dataclasses
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from hpo.errors import InputError
from hpo.models import Dropout
from hpo.training._arithmetic import Arithmetic
from hpo.training._spec import Numerics

__all__ = [
    "Device",
    "compiled",
    "keep_gradients",
    "open_device",
    "precise",
    "tune_allocator",
]

#: Rows in flight at once. On a CPU activations of 1,024 × 2,048 float32 are 8 MB and stay near the
#: cache; an accelerator wants as much work at a time as its memory holds.
_MICRO_BATCH = {"cpu": 1024, "cuda": 1 << 15}
#: Each configuration has its own shapes; at PyTorch's limit of 8 it would stop compiling, silently.
_RECOMPILE_LIMIT = 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NOTHING = contextlib.nullcontext()


@dataclasses.dataclass(frozen=True)
class Device:
    """A device and how it computes; whoever computes on it does so inside ``in_use``.

    Attributes:
        torch: The device as PyTorch knows it.
        arithmetic: Threads, precision and compiler of training steps.
    """

    torch: torch.device
    arithmetic: Arithmetic

    def numerics(self, micro_batch: int | None = None) -> Numerics:
        """Return what the address of a run records of this device.

        Args:
            micro_batch: Rows in flight at once; by default those of the device.
        """
        on_cpu = self.torch.type == "cpu"
        return Numerics(
            "cpu" if on_cpu else torch.cuda.get_device_name(self.torch),
            self.arithmetic.threads if on_cpu else 0,
            micro_batch or _MICRO_BATCH[self.torch.type],
            torch.__version__,
            self.arithmetic.precision,
            self.arithmetic.compiler,
        )

    def in_use(self) -> AbstractContextManager[None]:
        """Set the process up to compute as stated, and back to what it was.

        On a CPU that is the number of threads, which changes the last bits of sums. On CUDA,
        algorithms are deterministic. PyTorch's compiler may compile as many shapes as a study has.
        Where all of it holds already nothing is set, so that this may be entered for every epoch.
        Threads are PyTorch's setting for a whole process: two of its threads must not compute on
        devices with different ones at the same time.
        """
        as_usual = self.torch.type == "cpu" and self.arithmetic.compiler == "off"
        if as_usual and torch.get_num_threads() == self.arithmetic.threads:
            return _NOTHING
        return self._set_up()

    @contextmanager
    def _set_up(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            threads = torch.get_num_threads()
            if self.torch.type == "cpu" and threads != self.arithmetic.threads:
                torch.set_num_threads(self.arithmetic.threads)
                stack.callback(torch.set_num_threads, threads)
            if self.torch.type == "cuda":
                stack.enter_context(_deterministic(self.torch))
            if self.arithmetic.compiler != "off":
                # It takes a second or two, which uncompiled training needn't wait for.
                from torch._dynamo import config

                stack.enter_context(config.patch(recompile_limit=_RECOMPILE_LIMIT))
            yield


def open_device(name: str, arithmetic: Arithmetic | None = None) -> Device:
    """Return a device of this machine; nothing of the process is changed.

    Args:
        name: ``cpu``, ``cuda`` or ``cuda:N``.
        arithmetic: By default one thread, float32, not compiled.

    Raises:
        InputError: The device doesn't exist here, or can't do the arithmetic.
    """
    arithmetic = arithmetic or Arithmetic()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"The device is {name!r}, but must be cpu or cuda:N.") from None
    if device.type not in _MICRO_BATCH:
        raise InputError(f"The device is {name!r}, but must be cpu or cuda:N.")
    arithmetic.check(device.type)
    if device.type == "cpu":
        return Device(device, arithmetic)
    count = torch.cuda.device_count()
    if device.index is None:
        device = torch.device("cuda", 0)
    if device.index >= count:
        raise InputError(f"The device is {name!r}, but this machine has {count} CUDA devices.")
    return Device(device, arithmetic)


def tune_allocator() -> None:
    """Tell the C library to keep freed pages, in a process that is ours alone.

    Page faults otherwise take a tenth of an epoch on a CPU. It can't be taken back, so a process
    of the user's is left alone; other C libraries than glibc are, too.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Use one CUDA device, with deterministic algorithms only."""
    variable, wanted = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(variable)
    # cuBLAS, which reads this with its first product, needs workspaces of a fixed size for that
    os.environ.setdefault(variable, wanted)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # else PyTorch fills each new tensor with NaN, to show programs that read what none has written
    filled = torch.utils.deterministic
    fill = filled.fill_uninitialized_memory  # type: ignore[attr-defined]
    filled.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        with torch.cuda.device(device):
            yield
    finally:
        filled.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        if workspace is None:
            os.environ.pop(variable, None)


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
    import torch._dynamo

    for layer in module.modules():
        if isinstance(layer, Dropout):
            # On a CPU the bits come from numpy, whose random state can't be traced.
            mask = torch._dynamo.disable(layer.mask)  # type: ignore[no-untyped-call]
            layer.mask = mask  # type: ignore[method-assign]
    forward: Callable[[Mapping[str, Tensor]], Tensor] = torch.compile(
        module, mode=compiler, dynamic=False
    )
    if not _in_graphs(module, compiler):
        return forward

    def stepped(inputs: Mapping[str, Tensor]) -> Tensor:
        # CUDA graphs write each result where the one before stood. A module whose masks are drawn
        # outside of them is several graphs, so PyTorch must be told where a pass begins.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return forward(inputs).clone()

    return stepped


def keep_gradients(module: nn.Module, compiler: str) -> None:
    """Move gradients to where another backward pass can add to them.

    CUDA graphs leave them in their own memory, where the next pass writes; where none are captured
    this does nothing.
    """
    if _in_graphs(module, compiler):
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = parameter.grad.clone()


def _in_graphs(module: nn.Module, compiler: str) -> bool:
    """Whether passes of a module are captured in CUDA graphs."""
    captures = compiler not in ("off", "default")
    return captures and next(module.parameters()).device.type == "cuda"
