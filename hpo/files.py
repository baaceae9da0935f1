"""Files that are either whole or not there: written beside their place, flushed, then renamed."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

__all__ = [
    "atomic_write",
    "canonical_json",
    "content_key",
    "file_crc32",
    "regular",
    "sweep",
    "sync",
    "temporary_beside",
    "write_json",
]

_PIECE = 2**20
_STALE_SECONDS = 24 * 3600.0


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes ``path`` when the block ends without an error.

    The data and the directory entry are synced, so after a return the file survives a power cut,
    and after a kill or a full disk at any moment ``path`` is the old file or the new one. Its
    rights are those of any new file, by the umask.

    Raises:
        OSError: The disk is full or the folder can't be written; ``path`` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def temporary_beside(path: Path) -> Path:
    """Return a new hidden name beside ``path``; ``sweep`` clears what is left under such names."""
    # The name's beginning is for people; a name may have 255 bytes, and a character up to four.
    return path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex}.tmp")


def sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder, once it is over a day old.

    Such names begin with a dot and end with ``.tmp``. What can't be removed stays.
    """
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < _STALE_SECONDS:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


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


def regular(path: Path) -> Path:
    """Return the path of a file that is about to be opened, unless opening it could wait for ever.

    Whatever is opened to be read goes through here. A path where nothing is comes back as well:
    opening it says so.

    Raises:
        OSError: It is a named pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    kind = kinds.get(stat.S_IFMT(mode))
    if kind is not None:
        raise OSError(errno.EINVAL, f"it is {kind}, but must be a regular file", str(path))
    return path


def file_crc32(path: Path) -> str:
    """Return the CRC-32 of a file, 8 hexadecimal digits; about a second for a gigabyte.

    Raises:
        OSError: It can't be read.
    """
    value = 0
    with regular(path).open("rb") as file:
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
