"""What this machine offers, on every system that Python runs on."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_memory", "processor_name", "total_memory", "usable_cores"]


def usable_cores() -> int:
    """Return how many CPU cores this process may use.

    On Linux these can be fewer than the machine has: in a container, under ``taskset`` or in a
    batch job. macOS and Windows don't say, so there it is the number of all cores.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def total_memory() -> int | None:
    """Return how many bytes of memory the machine has; None on Windows, which isn't asked."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def processor_name(root: Path = Path("/")) -> str:
    """Return what the processor calls itself, or at least its architecture.

    Args:
        root: Where the kernel's files are.
    """
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def available_memory(root: Path = Path("/")) -> int | None:
    """Return how many bytes of memory can still be taken here without harm.

    On Linux that is what the kernel calls available, or what is left of the limit of a container
    or a batch job if that is less; pages of files that can be dropped count as free. Elsewhere it
    is all the memory of the machine, and None on Windows, which isn't asked.

    Args:
        root: Where the kernel's files are.
    """
    found = [*_left_in_cgroups(root)]
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
        found.append(int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        if not found:
            return total_memory()
    return min(found, default=None)


def _left_in_cgroups(root: Path) -> Iterator[int]:
    """Yield what is left of the memory limit of each control group that the process is in."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for group in groups:
        number, controllers, path = group.split(":", 2)
        if number == "0":  # version 2
            mount, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # In a container the mounted folder may be the group itself, whatever its path.
        inner = Path(path.lstrip("/"))
        for folder in (mount, *(mount / part for part in (inner, *inner.parents) if part.name)):
            left = _left(folder, *names)
            if left is not None:
                yield left


def _left(folder: Path, limit: str, usage: str, droppable: str) -> int | None:
    """Return the bytes that a control group may still take; None where it has no limit."""
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        if most == "max":
            return None
        used = int((folder / usage).read_text(encoding="ascii"))
        counts = dict(
            line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines()
        )
        return max(int(most) - used + int(counts.get(droppable, 0)), 0)
    except (OSError, ValueError):
        return None
