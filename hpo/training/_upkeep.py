"""Upkeep of the run store: what it holds, whether it is whole, and keeping it within bounds."""

import dataclasses
import time
from collections.abc import Collection
from pathlib import Path

from hpo.training._store import RunFile, RunStore

__all__ = ["Damage", "RunSummary", "check_store", "summarise", "trim_store"]

_GARBAGE_AGE_S = 3600.0
_GB = 1e9


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """One run of the store.

    Attributes:
        address: Its key.
        inputs: What it reads, such as ``image`` or ``meta``.
        seed: Its seed.
        epochs: Epochs whose records are known.
        size: Bytes on disk.
        used: When one of its files was last used, Unix time.
        ended: Why it ended by itself, or None.
    """

    address: str
    inputs: str
    seed: int
    epochs: int
    size: int
    used: float
    ended: str | None


@dataclasses.dataclass(frozen=True)
class Damage:
    """A file that can't be read; the run trains again what it held."""

    address: str
    file: RunFile


def summarise(store: RunStore) -> list[RunSummary]:
    """Return all runs, those used last first."""
    runs = []
    for address in store.addresses():
        files = store.files(address)
        history = store.history(address)
        about = store.describe(address)
        runs.append(
            RunSummary(
                address=address,
                inputs=str(about["inputs"]),
                seed=int(str(about["seed"])),
                epochs=len(history.records),
                size=sum(file.size for file in files),
                used=max((file.used for file in files), default=0.0),
                ended=history.ended,
            )
        )
    return sorted(runs, key=lambda run: -run.used)


def check_store(store: RunStore) -> list[Damage]:
    """Read every file; return those that are damaged."""
    return [
        Damage(address, file)
        for address in store.addresses()
        for file in store.files(address)
        if not store.is_whole(address, file)
    ]


def trim_store(store: RunStore, limit_gb: float, spared: Collection[str] = ()) -> int:
    """Drop tensors, the least useful first, until the store is within its limit.

    Curves stay: they are small, and every score can be read from them. Resumable states go before
    weights, since only a longer run needs them; among equals, what was used longest ago goes first.

    Args:
        store: The store; other processes may be using it.
        limit_gb: In 10⁹ bytes.
        spared: Addresses of runs that wait to be gone on with. Their states stay, even if the store
            is beyond its limit then.

    Returns:
        The bytes that were freed.
    """
    _remove_garbage(store.folder)
    found = [(address, file) for address in store.addresses() for file in store.files(address)]
    total = sum(file.size for _, file in found)
    heavy = [
        (address, file)
        for address, file in found
        if file.kind == "weights" or (file.kind == "state" and address not in spared)
    ]
    heavy.sort(key=lambda pair: (pair[1].kind != "state", pair[1].used))
    freed = 0
    for address, file in heavy:
        if total - freed <= limit_gb * _GB:
            break
        store.reduce(address, file.kind, file.epoch)
        freed += file.size
    return freed


def _remove_garbage(folder: Path) -> None:
    """Remove the temporary files that killed processes left."""
    if not folder.is_dir():
        return
    for path in folder.glob("*/.*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _GARBAGE_AGE_S:
                path.unlink()
        except FileNotFoundError:
            continue
