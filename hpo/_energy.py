"""How much energy the devices of this machine take, where they count it themselves."""

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

__all__ = ["Energy", "energy_of"]

#: Tells how much a device has taken, in J, since some moment; may begin anew at ``wraps``.
_Read = Callable[[], float]


class Energy:
    """What some devices have taken since this was made, in J.

    Counters are read when this is asked, so nothing runs meanwhile. Those of processors begin anew
    after an hour or so at full load, and have to be asked more often than that.

    Args:
        counters: Of each device: what reads it, and where it begins anew; 0 where it doesn't.
    """

    def __init__(self, counters: Sequence[tuple[_Read, float]]) -> None:
        self._counters = list(counters)
        self._last = [read() for read, _ in self._counters]
        self._taken = 0.0

    def joules(self) -> float | None:
        """Return what was taken until now; None where no device tells."""
        for place, (read, wraps) in enumerate(self._counters):
            try:
                now = read()
            except OSError:
                continue
            step = now - self._last[place]
            self._taken += step if step >= 0 else max(step + wraps, 0.0)
            self._last[place] = now
        return self._taken if self._counters else None


def energy_of(devices: Sequence[str], root: Path = Path("/")) -> Energy:
    """Begin to count the energy of devices of this machine.

    All that runs on them counts, whoever's it is. Processors tell by RAPL, whose files only root
    may read on most systems; GPUs by NVML, since Volta (``nvmlDeviceGetTotalEnergyConsumption``,
    https://docs.nvidia.com/deploy/nvml-api).

    Args:
        devices: Such as ``cpu`` and ``cuda:0``. Where there is a GPU among them, it is the GPUs
            alone; of anything else nothing is known.
        root: Where the kernel's files are.
    """
    gpus = [int(name.partition(":")[2] or 0) for name in devices if name.startswith("cuda")]
    if gpus:
        return Energy([*_gpus(gpus)])
    return Energy([*_packages(root)] if "cpu" in devices else [])


def _packages(root: Path) -> Iterator[tuple[_Read, float]]:
    """Yield a counter for each processor package that may be read."""
    for zone in sorted(root.glob("sys/class/powercap/intel-rapl:*")):
        try:
            if not (zone / "name").read_text(encoding="ascii").startswith("package"):
                continue
            wraps = int((zone / "max_energy_range_uj").read_text(encoding="ascii")) / 1e6
            read = _package(zone / "energy_uj")
            read()
        except (OSError, ValueError):
            continue
        yield read, wraps


def _package(path: Path) -> _Read:
    return lambda: int(path.read_text(encoding="ascii")) / 1e6


def _gpus(indices: Sequence[int]) -> Iterator[tuple[_Read, float]]:
    """Yield a counter for each GPU whose driver has one; indices are those that CUDA sees."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return
    if library.nvmlInit_v2() != 0:
        return
    for index in indices:
        handle = ctypes.c_void_p()
        if _find(library, index, handle) != 0:
            continue
        read = _gpu(library, handle)
        try:
            read()
        except OSError:  # an older one, or a part of a GPU
            continue
        yield read, 0.0


def _find(library: ctypes.CDLL, index: int, handle: ctypes.c_void_p) -> int:
    """Find a GPU among those that ``CUDA_VISIBLE_DEVICES`` leaves; return NVML's error."""
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    name = visible[index] if any(visible) and index < len(visible) else str(index)
    if name.isdigit():
        found = library.nvmlDeviceGetHandleByIndex_v2(int(name), ctypes.byref(handle))
    else:
        found = library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
    return int(found)


def _gpu(library: ctypes.CDLL, handle: ctypes.c_void_p) -> _Read:
    def read() -> float:
        millijoules = ctypes.c_ulonglong()
        if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)) != 0:
            raise OSError("the GPU doesn't tell")
        return millijoules.value / 1000

    return read
