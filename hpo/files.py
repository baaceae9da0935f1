"""Files that are either whole or not there: written beside their place, flushed, then renamed."""

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

__all__ = [
    "atomic_write",
    "canonical_json",
    "content_key",
    "file_crc32",
    "sync",
    "write_json",
]

_PIECE = 2**20


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes ``path`` when the block ends without an error.

    The data and the directory entry are synced, so after a return the file survives a power cut,
    and after a kill or a full disk at any moment ``path`` is the old file or the new one.

    Raises:
        OSError: The disk is full or the folder can't be written; ``path`` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a finished file, or the names in a folder, would survive a power cut.

    Windows can't do this for a folder, nor for a file that isn't open for writing; there a power
    cut may undo the last seconds, and the checksums of what is stored find it out.

    Raises:
        OSError: The disk is full or failing, or there is no such path.
    """
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems have no such operation for a folder.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def file_crc32(path: Path) -> str:
    """Return the CRC-32 of a file, 8 hexadecimal digits; about a second for a gigabyte.

    Raises:
        OSError: It can't be read.
    """
    value = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            value = zlib.crc32(piece, value)
    return f"{value:08x}"


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(value: Any, length: int = 20) -> str:
    """Return the first ``length`` hexadecimal digits of the SHA-256 of ``value`` as JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` atomically as indented JSON with a final line break."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
