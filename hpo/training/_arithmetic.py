"""How heads are computed: threads, precision and compilation, chosen for a whole study.

They change the last bits of results, or more, and the time. Only training steps use them: heads are
scored, refitted models kept and rows predicted in float32, so that a score is that of the model as
it is used.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hpo.errors import InputError, did_you_mean
from hpo.models import Dropout

__all__ = ["COMPILERS", "PRECISIONS", "Arithmetic", "compiled", "precise"]

#: ``tf32`` rounds the factors of products to 10 bits of mantissa on CUDA; ``bf16`` is PyTorch's
#: mixed precision, with weights, loss and optimizer in float32.
PRECISIONS = ("float32", "tf32", "bf16")
#: ``off``, or a mode of ``torch.compile``; that which captures CUDA graphs is ``reduce-overhead``.
COMPILERS = ("off", "default", "reduce-overhead", "max-autotune")
#: Each configuration has its own shapes; at PyTorch's limit of 8 it would stop compiling, silently.
_RECOMPILE_LIMIT = 1024


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """What is chosen for the training steps of a study.

    Attributes:
        threads: Threads of one worker on a CPU, which cut sums differently.
        precision: One of ``PRECISIONS``.
        compiler: One of ``COMPILERS``.
    """

    threads: int = 1
    precision: str = "float32"
    compiler: str = "off"

    def check(self, device_type: str) -> None:
        """Check that a kind of device, such as ``cpu``, can do it.

        Raises:
            InputError: It can't.
        """
        problems = [
            f"--{name} is {value!r}{did_you_mean(value, known)}, but must be one of: "
            f"{', '.join(known)}."
            for name, value, known in (
                ("precision", self.precision, PRECISIONS),
                ("compile", self.compiler, COMPILERS),
            )
            if value not in known
        ]
        if device_type != "cuda" and self.precision == "tf32":
            problems.append(
                f"--precision is tf32, which needs cuda, but must be float32 or bf16 on "
                f"{device_type}."
            )
        if device_type != "cuda" and self.compiler == "reduce-overhead":
            problems.append(
                f"--compile is reduce-overhead, which captures CUDA graphs, but must be off, "
                f"default or max-autotune on {device_type}."
            )
        if problems:
            raise InputError(problems)


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
