"""The run store: curves, weights and resumable states of all runs, shared by all studies.

One folder a run, named by its address, holds ``run.json`` (what determines it) and immutable files
named by epoch:

    000200.state.safetensors    weights, optimizer and EMA after epoch 200: training goes on here
    000200.weights.safetensors  the weights that are evaluated after epoch 200
    000007.ended.safetensors    the run ended by itself after epoch 7 (its loss was not finite)
    000200.curve.safetensors    the curve alone: the rest was dropped to save space

Each holds the curve up to its epoch, its own name, and checksums of all that is in it, which are
checked when it is read (``_run_files.py``). What is damaged is trained again. Files appear whole or
not at all, and only damaged ones are overwritten: a run is deterministic, so whoever writes epoch n
of an address writes the same numbers. This is what keeps a worker that was taken for dead from
doing damage when it comes back.
"""

import contextlib
import dataclasses
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor

from hpo.files import atomic_write, content_key, regular, write_json
from hpo.json_files import parse_json
from hpo.training._curve import EpochRecord
from hpo.training._run_files import Content, DamagedError, RunName, from_file, to_bytes
from hpo.training._spec import RunSpec

__all__ = ["History", "RunFile", "RunStore", "Snapshot"]

Kind = Literal["state", "weights", "ended", "curve"]
_NAME = re.compile(r"(\d{6})\.(state|weights|ended|curve)\.safetensors")
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
            content = self._read(entry, tensors=False)
            if content is not None:
                return History(content.records, content.ended)
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

        A file that is there but damaged is replaced.

        Raises:
            OSError: It could not be written whole, such as on a full disk; nothing is left behind.
        """
        folder = self.folder / spec.address
        path = folder / f"{epoch:06d}.{kind}.safetensors"

        def write() -> None:
            if self.describe(spec.address) is None:
                write_json(folder / "run.json", spec.describe())
            content = Content(records, ended, tensors)
            with atomic_write(path) as file:
                file.write(to_bytes(RunName(spec.address, epoch, kind), content))

        if self._read(_Entry(epoch, kind, path), tensors=True) is None:
            self._attempt(write)
        if kind == "state":
            for entry in self._entries(spec.address):
                if entry.kind == "state" and entry.epoch < epoch:
                    entry.path.unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Write a file and remove it.

        Raises:
            OSError: That isn't possible.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder) as file:
            file.write(b"\0")
            file.flush()

    def reduce(self, address: str, kind: str, epoch: int) -> None:
        """Drop the tensors of a file; its curve stays, so that its numbers are never lost."""
        entry = _Entry(epoch, kind, self.folder / address / f"{epoch:06d}.{kind}.safetensors")
        others = [other for other in self._entries(address) if other != entry]
        content = None
        if not any(other.epoch >= epoch for other in others):
            content = self._read(entry, tensors=False)
        if content is not None:
            with atomic_write(entry.path.with_name(f"{epoch:06d}.curve.safetensors")) as file:
                name = RunName(address, epoch, "curve")
                file.write(to_bytes(name, content._replace(tensors={})))
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

    def describe(self, address: str) -> Mapping[str, Any] | None:
        """Return what determines the run, from ``run.json``; None if that is missing or damaged.

        Raises:
            OSError: It can't be read.
        """
        try:
            content = regular(self.folder / address / "run.json").read_bytes()
            description: dict[str, Any] = parse_json(content)
            # the address is the key of what the file says
            return description if content_key(description) == address else None
        except (FileNotFoundError, ValueError, RecursionError):
            return None

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
            content = self._read(entry, tensors=True)
            if content is not None:
                # Used now; what was not used for long is dropped first. A store may be read-only.
                with contextlib.suppress(OSError):
                    os.utime(entry.path)
                return Snapshot(entry.epoch, content.tensors)
        return None

    def _read(self, entry: _Entry, *, tensors: bool) -> Content | None:
        """Return what a file holds; None if it is gone, or damaged.

        Raises:
            OSError: It can't be read; it may be whole.
        """
        name = RunName(entry.path.parent.name, entry.epoch, entry.kind)
        try:
            return from_file(entry.path, name, tensors=tensors)
        except FileNotFoundError:
            return None  # dropped by another worker that has gone further
        except DamagedError as error:
            # Written whole, so damaged since; the epochs before it can be trained again.
            _log.warning("The run file %s is damaged and is passed over: %s", entry.path, error)
            return None
