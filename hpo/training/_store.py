"""The run store: curves, weights and resumable states of all runs, shared by all studies.

One folder a run, named by its address, holds ``run.json`` (what determines it) and immutable files
named by epoch:

    000200.state.safetensors    weights, optimizer and EMA after epoch 200: training goes on here
    000200.weights.safetensors  the weights that are evaluated after epoch 200
    000007.ended.safetensors    the run ended by itself after epoch 7 (its loss was not finite)
    000200.curve.safetensors    the curve alone: the rest was dropped to save space

Each holds the curve up to its epoch, and the names of its columns. Files appear whole or not at all
and are never overwritten: a run is deterministic, so whoever writes epoch n of an address writes
the same numbers. This is what keeps a worker that was taken for dead from doing damage when it
comes back.
"""

import dataclasses
import json
import logging
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hpo.files import atomic_write, write_json
from hpo.training._curve import STANDING_METRICS, EpochRecord, curve_columns
from hpo.training._spec import RunSpec

__all__ = ["History", "RunFile", "RunStore", "Snapshot"]

Kind = Literal["state", "weights", "ended", "curve"]
_NAME = re.compile(r"(\d{6})\.(state|weights|ended|curve)\.safetensors")
_CURVE = "curve"
_ABOUT = "about"
#: The columns of curves that were stored without their names.
_FIRST_COLUMNS = curve_columns(STANDING_METRICS)
_log = logging.getLogger(__name__)


class _Entry(NamedTuple):
    epoch: int
    kind: str
    path: Path


class RunFile(NamedTuple):
    """A file of a run: its epoch and kind, size in bytes, and when it was last used (Unix time)."""

    epoch: int
    kind: str
    size: int
    used: float


@dataclasses.dataclass(frozen=True)
class History:
    """What is known of a run: a record for each epoch, and why it ended early, if it did."""

    records: tuple[EpochRecord, ...] = ()
    ended: str | None = None


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Tensors by name after ``epoch`` epochs."""

    epoch: int
    tensors: Mapping[str, Tensor]


class RunStore:
    """Runs on disk. Any number of processes may read and write at the same time.

    Args:
        folder: Made when first written to.
        attempt: Carries out a write; a service may try again when the disk is full.
    """

    def __init__(
        self, folder: Path, attempt: Callable[[Callable[[], None]], None] = lambda write: write()
    ) -> None:
        self.folder = folder
        self._attempt = attempt

    def history(self, address: str) -> History:
        """Return the longest curve that is stored; empty for an unknown run."""
        for entry in sorted(self._entries(address), reverse=True):
            opened = self._read(entry, tensors=False)
            if opened is not None:
                curve, about, _ = opened
                names = about.get("columns", _FIRST_COLUMNS)
                return History(
                    tuple(dict(zip(names, row, strict=True)) for row in curve.tolist()),
                    about.get("ended"),
                )
        return History()

    def state(self, address: str, at_most: int) -> Snapshot | None:
        """Return the latest resumable state at or before epoch ``at_most``."""
        return self._snapshot(
            entry
            for entry in sorted(self._entries(address), reverse=True)
            if entry.kind == "state" and entry.epoch <= at_most
        )

    def weights(self, address: str, epoch: int) -> Snapshot | None:
        """Return the evaluated weights after exactly ``epoch`` epochs."""
        return self._snapshot(
            entry
            for entry in self._entries(address)
            if entry.kind == "weights" and entry.epoch == epoch
        )

    def save(
        self,
        spec: RunSpec,
        kind: Kind,
        epoch: int,
        records: tuple[EpochRecord, ...],
        tensors: Mapping[str, Tensor],
        ended: str | None = None,
    ) -> None:
        """Store a file of the run; nothing happens if it is there. An older state is dropped.

        A file that is there but can't be read is replaced.

        Raises:
            OSError: It could not be written whole, such as on a full disk; nothing is left behind.
        """
        folder = self.folder / spec.address
        path = folder / f"{epoch:06d}.{kind}.safetensors"

        def write() -> None:
            if not (folder / "run.json").exists():
                write_json(folder / "run.json", spec.describe())
            columns = tuple(records[0]) if records else ()
            curve = np.array([[*record.values()] for record in records], dtype=np.float64)
            content = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
            content[_CURVE] = torch.from_numpy(curve.reshape(len(records), len(columns)))
            about = {"columns": columns} | ({"ended": ended} if ended else {})
            with atomic_write(path) as file:
                file.write(_to_bytes(content, about))

        if self._read(_Entry(epoch, kind, path), tensors=False) is None:
            self._attempt(write)
        if kind == "state":
            for entry in self._entries(spec.address):
                if entry.kind == "state" and entry.epoch < epoch:
                    entry.path.unlink(missing_ok=True)

    def reduce(self, address: str, kind: str, epoch: int) -> None:
        """Drop the tensors of a file; its curve stays, so that its numbers are never lost."""
        entry = _Entry(epoch, kind, self.folder / address / f"{epoch:06d}.{kind}.safetensors")
        others = [other for other in self._entries(address) if other != entry]
        opened = None
        if not any(other.epoch >= epoch for other in others):
            opened = self._read(entry, tensors=False)
        if opened is not None:
            with atomic_write(entry.path.with_name(f"{epoch:06d}.curve.safetensors")) as file:
                file.write(_to_bytes({_CURVE: opened[0]}, opened[1]))
        entry.path.unlink(missing_ok=True)

    def files(self, address: str) -> list[RunFile]:
        """Return the files of a run, by epoch and kind."""
        found = []
        for entry in sorted(self._entries(address)):
            try:
                status = entry.path.stat()
            except FileNotFoundError:
                continue
            found.append(RunFile(entry.epoch, entry.kind, status.st_size, status.st_mtime))
        return found

    def is_whole(self, address: str, file: RunFile) -> bool:
        """Tell whether a file can be read and holds what was written."""
        path = self.folder / address / f"{file.epoch:06d}.{file.kind}.safetensors"
        return self._read(_Entry(file.epoch, file.kind, path), tensors=True) is not None

    def addresses(self) -> list[str]:
        """Return the addresses of all runs, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(path.parent.name for path in self.folder.glob("*/run.json"))

    def describe(self, address: str) -> dict[str, object]:
        """Return what determines the run, as it was written to ``run.json``."""
        description: dict[str, object] = json.loads(
            (self.folder / address / "run.json").read_text()
        )
        return description

    def _entries(self, address: str) -> Iterator[_Entry]:
        folder = self.folder / address
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                yield _Entry(int(match[1]), match[2], path)

    def _snapshot(self, entries: Iterator[_Entry]) -> Snapshot | None:
        for entry in entries:
            opened = self._read(entry, tensors=True)
            if opened is not None:
                return Snapshot(entry.epoch, opened[2])
        return None

    @staticmethod
    def _read(
        entry: _Entry, *, tensors: bool
    ) -> tuple[Tensor, dict[str, Any], dict[str, Tensor]] | None:
        """Return the curve, what is said of it and, if asked for, the other tensors.

        None if the file can't be read.
        """
        try:
            with safe_open(entry.path, framework="pt") as file:
                names = set(file.keys()) - {_CURVE}
                content = {name: file.get_tensor(name) for name in names} if tensors else {}
                curve, metadata = file.get_tensor(_CURVE), file.metadata() or {}
            # Without columns' names, it stood in the metadata as it is.
            about = json.loads(metadata[_ABOUT]) if _ABOUT in metadata else dict(metadata)
            checksum = about.pop("crc32", None)
            if tensors:
                if checksum != _checksum({**content, _CURVE: curve}):
                    raise SafetensorError("its checksum is wrong")
                os.utime(entry.path)  # used now; what was not used for long is dropped first
            return curve, about, content
        except FileNotFoundError:
            return None  # dropped by another worker that has gone further
        except (SafetensorError, OSError, ValueError) as error:
            # Written whole, so damaged since; the epochs before it can be trained again.
            _log.warning("The run file %s can't be read and is passed over: %s", entry.path, error)
            return None


def _to_bytes(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """Return the content of a file, the same bytes for the same content.

    Entries of the metadata come in any order, so there is but one.
    """
    said = json.dumps({**about, "crc32": _checksum(tensors)}, sort_keys=True)
    content: bytes = save(dict(tensors), metadata={_ABOUT: said})
    return content


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return the CRC-32 of all tensors, by name."""
    value = 0
    for name in sorted(tensors):
        data = tensors[name].contiguous().numpy().reshape(-1).view(np.uint8)
        value = zlib.crc32(data.data, value)
    return f"{value:08x}"
