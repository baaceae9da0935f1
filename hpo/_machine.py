"""What this machine offers, on every system that Python runs on."""

import os

__all__ = ["usable_cores"]


def usable_cores() -> int:
    """Return how many CPU cores this process may use.

    On Linux these can be fewer than the machine has: in a container, under ``taskset`` or in a
    batch job. macOS and Windows don't say, so there it is the number of all cores.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
