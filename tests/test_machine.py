"""How much memory is free, from files as the kernel writes them."""

import os
from pathlib import Path

import pytest

from hpo._machine import available_memory

GIB = 1 << 30
MEMINFO = "MemTotal:       33554432 kB\nMemFree:  1048576 kB\nMemAvailable:   16777216 kB\n"


def write(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n" if isinstance(content, int) else str(content))
    return root


def version2(folder: str, limit: object, used: int, droppable: int) -> dict[str, object]:
    return {
        f"{folder}/memory.max": limit,
        f"{folder}/memory.current": used,
        f"{folder}/memory.stat": f"anon 5\ninactive_file {droppable}\n",
    }


def test_a_machine_without_limits(tmp_path: Path) -> None:
    assert available_memory(write(tmp_path, {"proc/meminfo": MEMINFO})) == 16 * GIB


def test_the_limit_of_a_container(tmp_path: Path) -> None:
    files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n"}
    files |= version2("sys/fs/cgroup", 4 * GIB, 3 * GIB, GIB // 2)
    assert available_memory(write(tmp_path, files)) == GIB + GIB // 2


def test_the_path_of_a_group_that_is_not_shown_in_a_container(tmp_path: Path) -> None:
    files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/docker/abc\n"}
    files |= version2("sys/fs/cgroup", 4 * GIB, GIB, 0)
    assert available_memory(write(tmp_path, files)) == 3 * GIB


def test_the_tightest_limit_of_all_groups_above(tmp_path: Path) -> None:
    files: dict[str, object] = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/job/step/task\n"}
    files |= version2("sys/fs/cgroup/job", 6 * GIB, 4 * GIB, 0)
    files |= version2("sys/fs/cgroup/job/step", "max\n", 4 * GIB, 0)
    files |= version2("sys/fs/cgroup/job/step/task", 5 * GIB, GIB, 0)
    assert available_memory(write(tmp_path, files)) == 2 * GIB


def test_groups_of_the_first_version(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/memory/job"
    files: dict[str, object] = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "7:cpu,cpuacct:/job\n5:memory:/job\n0::/\n",
        f"{folder}/memory.limit_in_bytes": 4 * GIB,
        f"{folder}/memory.usage_in_bytes": 2 * GIB,
        f"{folder}/memory.stat": f"total_inactive_file {GIB}\n",
    }
    assert available_memory(write(tmp_path, files)) == 3 * GIB
    write(tmp_path, {f"{folder}/memory.limit_in_bytes": 9223372036854771712})
    assert available_memory(tmp_path) == 16 * GIB


def test_nothing_is_left(tmp_path: Path) -> None:
    files: dict[str, object] = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n"}
    files |= version2("sys/fs/cgroup", GIB, 2 * GIB, 0)
    assert available_memory(write(tmp_path, files)) == 0


def test_systems_without_these_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert available_memory(tmp_path) == whole
    monkeypatch.delattr(os, "sysconf")
    assert available_memory(tmp_path) is None


def test_here() -> None:
    found = available_memory()
    assert found is not None and found > 1 << 20
