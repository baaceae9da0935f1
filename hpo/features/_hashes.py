"""What a file holds, as a hash that is computed once for each version of the file."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hpo.errors import InputError
from hpo.features._chunks import ChunkStore
from hpo.features._progress import Progress

__all__ = ["encoded_folder", "hash_files", "known_images"]

_GROUP = 512


def hash_files(
    paths: Sequence[Path], store: Path, threads: int, progress: Progress | None = None
) -> list[bytes]:
    """Return the SHA-256 of each file; one whose path, size and time are known isn't read.

    Raises:
        InputError: Files can't be read; all are listed.
    """
    known = ChunkStore(_hashes_folder(store))
    values = {version: row.tobytes() for version, row in known.items()}
    problems: list[str] = []

    def look(path: Path) -> tuple[bytes, bytes] | str:
        try:
            # The time is taken before the bytes: a change in between is noticed the next time.
            version = _version(path)
            return version, values.get(version) or _hash(path)
        except OSError as error:
            return f"'{path}' can't be read: {error.strerror}"

    hashes: list[bytes] = []
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(paths), _GROUP):
            fresh: dict[bytes, bytes] = {}
            for result in pool.map(look, paths[start : start + _GROUP]):
                if isinstance(result, str):
                    problems.append(result)
                    continue
                version, value = result
                hashes.append(value)
                if version not in values:
                    fresh[version] = value
            if fresh:
                values.update(fresh)
                rows = np.frombuffer(b"".join(fresh.values()), dtype=np.uint8)
                known.append(list(fresh), rows.reshape(len(fresh), -1))
            if progress is not None:
                progress("reading files", min(start + _GROUP, len(paths)), len(paths))
    if problems:
        raise InputError(problems, "Files can't be read:")
    return hashes


def known_images(store: Path) -> Callable[[Path], bool]:
    """Return a function that says of an image that it was encoded before and is unchanged.

    Whichever encoder it was: an image that one could decode needs no decoding to be checked. The
    answer is for ``load_dataset(known_good=...)`` and may be asked from several threads.

    Args:
        store: The folder that was given to ``extract_features``; it need not exist.
    """
    encoded: set[bytes] = set()
    for folder in (store / "encoded").glob("*/image"):
        encoded.update(key for key, _ in ChunkStore(folder).items())
    hashes = ChunkStore(_hashes_folder(store)).items() if encoded else ()
    good = {version for version, row in hashes if row.tobytes() in encoded}

    def known(path: Path) -> bool:
        try:
            return _version(path) in good
        except OSError:
            return False

    return known


def encoded_folder(store: Path, encoder_key: str, modality: str) -> Path:
    """Return where the embeddings of single items are kept."""
    return store / "encoded" / encoder_key / modality


def _hashes_folder(store: Path) -> Path:
    return store / "file_hashes"


def _version(path: Path) -> bytes:
    status = path.stat()
    version = f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(version.encode("utf-8", "surrogateescape")).digest()


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
