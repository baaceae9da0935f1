"""Files that are either whole or not there: written beside their place, flushed, then renamed."""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import stat
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

__all__ = [
    "IrregularError",
    "atomic_write",
    "canonical_json",
    "content_key",
    "file_crc32",
    "file_sha256",
    "read_again",
    "regular",
    "sealed",
    "sweep",
    "sync",
    "temporary_beside",
    "unsealed",
    "write_json",
]

T = TypeVar("T")
_PIECE = 2**20
_STALE_SECONDS = 24 * 3600.0
#: What a network file system says when it only has to be asked again.
_PASSING = (errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR)
_RETRY_AFTER_S = (0.05, 0.5, 2.0)
_log = logging.getLogger(__name__)


class IrregularError(OSError):
    """What is to be read as a file is something else, whose reading may never end."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes ``path`` when the block ends without an error.

    The data and the directory entry are synced, so after a return the file survives a power cut,
    and after a kill or a full disk at any moment ``path`` is the old file or the new one. Its
    rights are those of any new file, by the umask.

    Raises:
        OSError: The disk is full, the folder can't be written, or ``path`` is a device, which a
            file would replace; ``path`` is untouched. What has no file name has that of ``path``.
    """
    regular(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # as of a write
            error.filename = str(path)
        raise
    sync(path.parent)


def temporary_beside(path: Path) -> Path:
    """Return a new hidden name beside ``path``; ``sweep`` clears what is left under such names."""
    # The name's beginning is for people; a name may have 255 bytes, and a character up to four.
    return path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex}.tmp")


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
        IrregularError: It is a named pipe, a socket or a device.
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
        raise IrregularError(errno.EINVAL, f"it is {kind}, but must be a regular file", str(path))
    return path


def read_again(read: Callable[[], T]) -> T:
    """Return what ``read`` returns, which is tried again where the file system only has a hiccup.

    What couldn't be read says nothing of what is stored, so it must not be taken for damage.

    Raises:
        OSError: It couldn't be read, several times in a row.
    """
    for pause in _RETRY_AFTER_S:
        try:
            return read()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            _log.warning("Reading is tried again: %s", error)
            time.sleep(pause)
    return read()


def sweep(folder: Path, older_than: float = _STALE_SECONDS) -> None:
    """Remove what killed processes left in a folder: ``.*.tmp`` that is over a day old.

    What can't be removed stays, such as in a folder that may only be read.

    Args:
        folder: Need not exist.
        older_than: Seconds since it was written to last, instead of a day.
    """
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < older_than:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


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


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits.

    Raises:
        OSError: It can't be read.
    """
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with a checksum of all that it says, which ``unsealed`` checks."""
    plain = json.loads(json.dumps(record))
    return {**plain, "checksum": _seal_of(plain)}


def unsealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``sealed`` was given; a record of before there were checksums as it is.

    Raises:
        ValueError: It isn't what was written.
    """
    plain = dict(record)
    checksum = plain.pop("checksum", None)
    if checksum is not None and checksum != _seal_of(plain):
        raise ValueError("its checksum is wrong")
    return plain


def _seal_of(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:20]


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(value: Any, length: int = 20) -> str:
    """Return the first ``length`` hexadecimal digits of the SHA-256 of ``value`` as JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` atomically as indented JSON with a final line break."""
    with atomic_write(path) as file:
        # A path's bytes that are no text are written as JSON writes any character by its code.
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        file.write(text.encode(errors="backslashreplace"))
