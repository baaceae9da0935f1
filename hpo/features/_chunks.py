"""Rows kept by the content they were made from, in files that are only ever added.

A chunk is one safetensors file: ``keys`` uint8 [n, 32], SHA-256 of each item, and ``rows``
[n, D], what was made of it. Chunks are written atomically and named by their keys, so that any
number of processes can add to one folder, and one that is killed loses its last chunk at most.
"""

import contextlib
import hashlib
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hpo.errors import InputError
from hpo.files import atomic_write, read_again, regular, sweep

__all__ = ["KEY_BYTES", "ChunkStore", "ChunkWriter"]

KEY_BYTES = 32
CHUNK_ITEMS = 512
CHUNK_SECONDS = 20.0


class ChunkStore:
    """One folder of chunks whose rows have the same width and dtype.

    A chunk that is read and whose checksum is wrong, or that is another folder's, is deleted, and
    its items count as missing: everything in the store can be made again. One that can't be read
    stays.

    Args:
        folder: Where the chunks are; made at the first ``append``.
        of: What the rows are of, such as the encoder and the modality, wherever the folder is.

    Raises:
        OSError: A chunk can't be read, several times in a row.
    """

    def __init__(self, folder: Path, of: str) -> None:
        self.folder = folder
        self._of = of
        self._places: dict[bytes, tuple[Path, int]] = {}
        sweep(folder)
        for path, keys, _ in self._read_all():
            self._remember(path, keys)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def append(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Store ``rows`` [n, D] under ``keys``; on return they survive a kill or a power cut.

        Raises:
            OSError: The disk is full or the folder can't be written; nothing was stored.
        """
        assert len(keys) == len(rows) > 0
        raw = b"".join(keys)
        path = self.folder / f"{hashlib.sha256(raw).hexdigest()[:20]}.safetensors"
        rows = np.ascontiguousarray(rows)
        stored_keys = np.frombuffer(raw, dtype=np.uint8).reshape(len(keys), KEY_BYTES)
        said = {"sum": _checksum(stored_keys, rows), "of": self._of}
        content = save({"keys": stored_keys, "rows": rows}, said)
        with atomic_write(path) as file:
            file.write(content)
        self._remember(path, stored_keys)

    def gather(self, keys: Sequence[bytes], out: np.ndarray) -> None:
        """Write the row of each key into ``out`` [len(keys), D], one chunk in memory at a time.

        Raises:
            KeyError: A key isn't in the store.
            InputError: A chunk was damaged meanwhile.
            OSError: A chunk can't be read.
        """
        wanted: dict[Path, list[tuple[int, int]]] = {}
        for position, key in enumerate(keys):
            path, row = self._places[key]
            wanted.setdefault(path, []).append((position, row))
        for path, pairs in wanted.items():
            try:
                _, rows = self._read(path)
            except _DamagedError as error:
                raise InputError(
                    f"{error}; run the same command again to encode it anew."
                ) from None
            positions, sources = np.array(pairs, dtype=np.int64).T
            out[positions] = rows[sources]

    def width(self) -> int:
        """Return D; the store must not be empty."""
        path, _ = next(iter(self._places.values()))
        return int(self._read(path)[1].shape[1])

    def items(self) -> Iterator[tuple[bytes, np.ndarray]]:
        """Yield every key with its row [D], one chunk in memory at a time."""
        for _, keys, rows in self._read_all():
            for key, row in zip(keys, rows, strict=True):
                yield key.tobytes(), row

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        return read_again(lambda: _read_once(path, self._of))

    def _remember(self, path: Path, keys: np.ndarray) -> None:
        for row, key in enumerate(keys):
            self._places.setdefault(key.tobytes(), (path, row))

    def _read_all(self) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
        # Sorted, so that of two rows for one key every process takes the same one.
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                keys, rows = self._read(path)
            except FileNotFoundError:
                continue  # another process found it damaged
            except _DamagedError:
                with contextlib.suppress(OSError):  # the folder may only be read
                    path.unlink()
                continue
            yield path, keys, rows


class ChunkWriter:
    """Collects rows and stores them every ``CHUNK_ITEMS`` items or ``CHUNK_SECONDS``.

    Args:
        store: Where to put them. It doesn't know of a row until the row's chunk is written.
    """

    def __init__(self, store: ChunkStore) -> None:
        self._store = store
        self._keys: list[bytes] = []
        self._rows: list[np.ndarray] = []
        self._last = time.monotonic()

    def add(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Take ``rows`` [n, D] under ``keys``.

        Raises:
            OSError: As ``ChunkStore.append``.
        """
        self._keys.extend(keys)
        self._rows.append(rows)
        due = time.monotonic() - self._last >= CHUNK_SECONDS
        if len(self._keys) >= CHUNK_ITEMS or due:
            self.flush()

    def flush(self) -> None:
        """Store what was added since the last time."""
        if self._keys:
            self._store.append(self._keys, np.concatenate(self._rows))
        self._keys, self._rows = [], []
        self._last = time.monotonic()


class _DamagedError(Exception):
    """A chunk that isn't what ``append`` wrote."""


def _read_once(path: Path, of: str) -> tuple[np.ndarray, np.ndarray]:
    with regular(path).open("rb"):
        pass  # says what the system has against it, in the system's words
    try:
        with safe_open(path, framework="numpy") as file:
            said = file.metadata() or {}
            keys, rows = file.get_tensor("keys"), file.get_tensor("rows")
    except SafetensorError as error:
        raise _DamagedError(f"'{path}' is not a chunk: {error}") from error
    # Earlier versions stored a checksum of the bytes alone.
    old = said.get("crc32") == str(_bytes_checksum(keys, rows)) and "sum" not in said
    if not old and said.get("sum") != _checksum(keys, rows):
        raise _DamagedError(f"the checksum of '{path}' is wrong")
    if said.get("of", of) != of:  # earlier versions didn't say
        raise _DamagedError(f"'{path}' is of {said['of']}, not of {of}")
    return keys, rows


def _checksum(keys: np.ndarray, rows: np.ndarray) -> str:
    """Return the CRC-32 of a chunk, with the type and shape of what is in it."""
    described = f"{keys.shape} {rows.dtype} {rows.shape}".encode()
    return f"{zlib.crc32(described, _bytes_checksum(keys, rows)):08x}"


def _bytes_checksum(keys: np.ndarray, rows: np.ndarray) -> int:
    return zlib.crc32(rows.tobytes(), zlib.crc32(keys.tobytes()))
