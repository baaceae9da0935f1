"""How heads are computed: threads, precision and compilation, chosen for a whole study.

They change the last bits of results, or more, and the time. Only training steps use them: heads are
scored, refitted models kept and rows predicted in float32, so that a score is that of the model as
it is used.
"""

import dataclasses

from hpo.errors import InputError, did_you_mean

__all__ = ["COMPILERS", "PRECISIONS", "Arithmetic"]

#: ``tf32`` rounds the factors of products to 10 bits of mantissa on CUDA; ``bf16`` is PyTorch's
#: mixed precision, with weights, loss and optimizer in float32.
PRECISIONS = ("float32", "tf32", "bf16")
#: ``off``, or a mode of ``torch.compile``; that which captures CUDA graphs is ``reduce-overhead``.
COMPILERS = ("off", "default", "reduce-overhead", "max-autotune")


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

    def check(self, device_type: str | None = None) -> None:
        """Check that there is such an arithmetic, and that a kind of device can do it.

        Args:
            device_type: Such as ``cpu``; None where it isn't known yet.

        Raises:
            InputError: There isn't, or it can't.
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
        if self.threads < 1:
            problems.append(f"--threads is {self.threads}, but must be at least 1.")
        if device_type not in (None, "cuda") and self.precision == "tf32":
            problems.append(
                f"--precision is tf32, which needs cuda, but must be float32 or bf16 on "
                f"{device_type}."
            )
        if device_type not in (None, "cuda") and self.compiler == "reduce-overhead":
            problems.append(
                f"--compile is reduce-overhead, which captures CUDA graphs, but must be off, "
                f"default or max-autotune on {device_type}."
            )
        if problems:
            raise InputError(problems)
