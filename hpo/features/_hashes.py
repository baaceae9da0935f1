"""What a file holds, as a hash that is computed once for each version of the file."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpo.errors import InputError
from hpo.features._chunks import ChunkStore, ChunkWriter
from hpo.files import regular

__all__ = ["FileHashes", "encoded_folder", "hash_bytes", "hash_files"]


class FileHashes:
    """The SHA-256 of files, remembered by their path, size and time of change.

    ``known`` may be called from several threads, ``remember`` and ``flush`` from one.

    Args:
        store: The folder of the cache.
    """

    def __init__(self, store: Path) -> None:
        chunks = ChunkStore(store / "file_hashes", "file_hashes")
        self._values = {version: row.tobytes() for version, row in chunks.items()}
        self._writer = ChunkWriter(chunks)

    def known(self, path: Path) -> tuple[bytes, bytes | None]:
        """Return the file's version, and its hash if this version is known; it isn't read.

        Raises:
            OSError: There is no such file, or it can't be looked at.
        """
        status = path.stat()
        text = f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}"
        version = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        return version, self._values.get(version)

    def remember(self, version: bytes, value: bytes) -> None:
        """Keep the hash of a version, which must have been asked for before the file was read.

        A change between the two then counts as a new version the next time.
        """
        if version not in self._values:
            self._values[version] = value
            self._writer.add([version], np.frombuffer(value, dtype=np.uint8)[None])

    def flush(self) -> None:
        """Store what is remembered since the last time."""
        self._writer.flush()


def hash_files(paths: Sequence[Path], store: Path) -> list[bytes]:
    """Return the SHA-256 of a few files; one whose path, size and time are known isn't read.

    Raises:
        InputError: Files can't be read; all are listed.
    """
    hashes = FileHashes(store)
    values: list[bytes] = []
    problems: list[str] = []
    for path in paths:
        try:
            version, value = hashes.known(path)
            if value is None:
                with regular(path).open("rb") as file:
                    value = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            problems.append(f"'{path}' can't be read: {error.strerror}")
            continue
        hashes.remember(version, value)
        values.append(value)
    hashes.flush()
    if problems:
        raise InputError(problems, "Files can't be read:")
    return values


def hash_bytes(content: bytes) -> bytes:
    """Return the SHA-256 of what a file holds, or a caption."""
    return hashlib.sha256(content).digest()


def encoded_folder(store: Path, encoder_key: str, modality: str) -> Path:
    """Return where the embeddings of single items are kept."""
    return store / "encoded" / encoder_key / modality
