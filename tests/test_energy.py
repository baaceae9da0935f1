"""Energy by the kernel's counters and by NVML, as far as a machine tells."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from hpo import _energy
from hpo._energy import Energy, energy_of


def write_zone(root: Path, number: int, name: str, taken: int, wraps: int = 1_000_000) -> Path:
    zone = root / f"sys/class/powercap/intel-rapl:{number}"
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{name}\n")
    (zone / "max_energy_range_uj").write_text(f"{wraps}\n")
    (zone / "energy_uj").write_text(f"{taken}\n")
    return zone / "energy_uj"


def test_packages_are_summed_and_what_holds_them_is_not(tmp_path: Path) -> None:
    first = write_zone(tmp_path, 0, "package-0", 100_000)
    second = write_zone(tmp_path, 1, "package-1", 900_000)
    write_zone(tmp_path, 2, "psys", 5)
    energy = energy_of(["cpu"], tmp_path)
    assert energy.joules() == 0
    first.write_text("400000")
    (tmp_path / "sys/class/powercap/intel-rapl:2/energy_uj").write_text("500000")
    assert energy.joules() == pytest.approx(0.3)
    second.write_text("100000")  # it went on from 0 at its range
    assert energy.joules() == pytest.approx(0.3 + 0.2)
    assert energy.joules() == pytest.approx(0.5)


def test_a_machine_that_does_not_tell(tmp_path: Path) -> None:
    assert energy_of(["cpu"], tmp_path).joules() is None
    write_zone(tmp_path, 0, "package-0", 1).unlink()
    assert energy_of(["cpu"], tmp_path).joules() is None


def test_a_counter_that_goes_away_keeps_what_it_told() -> None:
    values: list[Any] = [1.0, 3.0]

    def read() -> float:
        if not values:
            raise OSError("gone")
        return float(values.pop(0))

    energy = Energy([(read, 0.0)])
    assert energy.joules() == 2
    assert energy.joules() == 2


class _Nvml:
    """A library with two GPUs, of which the second one doesn't count."""

    def __init__(self) -> None:
        self.millijoules = {0: 5_000}
        self.found: list[Any] = []

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, handle: Any) -> int:  # noqa: N802
        self.found.append(index)
        handle._obj.value = index + 1
        return 0

    def nvmlDeviceGetHandleByUUID(self, name: bytes, handle: Any) -> int:  # noqa: N802
        self.found.append(name)
        handle._obj.value = 1
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, found: Any) -> int:  # noqa: N802
        taken = self.millijoules.get(handle.value - 1)
        if taken is None:
            return 3
        found._obj.value = taken
        return 0


def test_gpus_are_found_as_cuda_numbers_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = _Nvml()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    write_zone(tmp_path, 0, "package-0", 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    energy = energy_of(["cuda:0", "cuda:1"], tmp_path)
    library.millijoules[0] = 7_500
    assert energy.joules() == 2.5
    assert energy_of(["cuda:1"], tmp_path).joules() is None
    assert library.found == [0, 1, 1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    energy_of(["cuda:1"])
    energy_of(["cuda:0"])
    assert library.found[3:] == [b"GPU-abc", 3]


def test_without_the_driver_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name} is not there")

    monkeypatch.setattr(_energy.ctypes, "CDLL", missing)
    assert energy_of(["cuda:0"]).joules() is None
