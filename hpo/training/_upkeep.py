"""Upkeep of the run store: what it holds, whether it is whole, and keeping it within bounds."""

import dataclasses
from collections.abc import Collection
from pathlib import Path

from hpo.files import sweep
from hpo.training._store import RunFile, RunStore

__all__ = ["Damage", "RunSummary", "check_store", "summarise", "trim_store"]

_GARBAGE_AGE_S = 3600.0
_GB = 1e9


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """One run of the store.

    Attributes:
        address: Its key.
        inputs: What it reads, such as ``image`` or ``meta``; None if its ``run.json`` is damaged.
        seed: Its seed; likewise.
        epochs: Epochs whose records are known.
        size: Bytes on disk.
        used: When one of its files was last used, Unix time.
        ended: Why it ended by itself, or None.
    """

    address: str
    inputs: str | None
    seed: int | None
    epochs: int
    size: int
    used: float
    ended: str | None


@dataclasses.dataclass(frozen=True)
class Damage:
    """A file that is damaged; the run trains again what it held.

    Attributes:
        address: Of the run.
        file: None for ``run.json``, which the next file of the run is written with.
    """

    address: str
    file: RunFile | None


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
                inputs=None if about is None else about["inputs"],
                seed=None if about is None else about["seed"],
                epochs=len(history.records),
                size=sum(file.size for file in files),
                used=max((file.used for file in files), default=0.0),
                ended=history.ended,
            )
        )
    return sorted(runs, key=lambda run: -run.used)


def check_store(store: RunStore) -> list[Damage]:
    """Read every file; return those that are damaged."""
    damaged = []
    for address in store.addresses():
        if store.describe(address) is None:
            damaged.append(Damage(address, None))
        damaged += [
            Damage(address, file)
            for file in store.files(address)
            if not store.is_whole(address, file)
        ]
    return damaged


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
    freed, limit = 0, round(limit_gb * _GB)
    for address, file in heavy:
        if total - freed <= limit:
            break
        store.reduce(address, file.kind, file.epoch)
        freed += file.size
    return freed


def _remove_garbage(folder: Path) -> None:
    """Remove the temporary files that killed processes left."""
    if not folder.is_dir():
        return
    for run in folder.iterdir():
        sweep(run, _GARBAGE_AGE_S)
