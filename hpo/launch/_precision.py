"""Which precision ``auto`` is: half where processors multiply in it, else float32."""

from collections.abc import Sequence
from pathlib import Path

from hpo.errors import InputError, did_you_mean
from hpo.training import PRECISIONS

__all__ = ["resolve_precision"]

#: How Linux calls the units of processors that multiply bf16: AMX, AVX-512 and those of ARM.
_CPU_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
#: The first CUDA architecture with such units.
_AMPERE = 8


def resolve_precision(asked: str, devices: Sequence[str]) -> str:
    """Return the precision of training steps that was asked for.

    Args:
        asked: One of ``PRECISIONS``; or ``auto``, which is bf16 if all the devices compute with it
            natively, and float32 otherwise.
        devices: Such as ``cpu`` or ``cuda:0``; those that ``resolve_devices`` returned.

    Raises:
        InputError: There is no such precision.
    """
    if asked == "auto":
        return "bf16" if all(map(_multiplies_bf16, devices)) else "float32"
    if asked not in PRECISIONS:
        known = [*PRECISIONS, "auto"]
        raise InputError(
            f"--precision is {asked!r}{did_you_mean(asked, known)}, but must be one of: "
            f"{', '.join(known)}."
        )
    return asked


def _multiplies_bf16(device: str) -> bool:
    if device == "cpu":
        return bool(_CPU_FLAGS & _cpu_flags(Path("/proc/cpuinfo")))
    import torch  # with CUDA it is imported already

    if not torch.cuda.is_available():  # where Ray's GPUs are on other machines
        return False
    return torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= _AMPERE


def _cpu_flags(cpuinfo: Path) -> set[str]:
    """Return what the first processor can do; nothing where that isn't told in this way."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()
