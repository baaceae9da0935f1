"""Whether results can be written where they are to go, found out before the work for them."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from hpo.errors import InputError
from hpo.files import regular, temporary_beside

__all__ = ["check_file", "check_folder"]

_DATABASE = b"SQLite format 3\0"
# As much as a file of results takes at least: on a full disk empty files can still be made.
_BYTES = 4096
# What is there is replaced, so it must not be what a process writes to.
_OF_PROCESSES = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))


def check_folder(path: Path, option: str) -> None:
    """Check that files can be written into a folder, which is made later if it isn't there.

    Args:
        path: The folder.
        option: What named it, such as ``--out``.

    Raises:
        InputError: It is a file, lies in one, or can't be written to.
    """
    try:
        if path.exists() and not path.is_dir():
            raise InputError(f"{option} {path} is a file, but must be a folder")
        there = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        if not there.is_dir():
            raise InputError(f"{option} {path}: '{there}' is a file, but must be a folder")
        _try(there)
    except OSError as error:
        raise InputError(f"{option} {path} can't be written: {_reason(error)}") from None


def check_file(
    path: Path, option: str, reads: Iterable[Path] = (), *, may_be_database: bool = False
) -> None:
    """Check that a file can be written, and that nothing is lost if it is replaced.

    Args:
        path: The file.
        option: What named it.
        reads: Files that the command reads, as far as they are there.
        may_be_database: Whether it may be a database that is there; the caller looks at it.

    Raises:
        InputError: It is a folder, its folder can't be written to, or it mustn't be replaced.
    """
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder, but must be a file")
    if str(path) == "-" or path.absolute().parent in _OF_PROCESSES:
        raise InputError(f"{option} {path}: a file is written, in one piece; name one")
    check_folder(path.absolute().parent, option)
    try:
        regular(path)
        if any(one.exists() and path.samefile(one) for one in reads if path.exists()):
            raise InputError(f"{option} {path} is a file that is read here; give another one")
        if not may_be_database and path.is_file():
            with regular(path).open("rb") as file:
                if file.read(len(_DATABASE)) == _DATABASE:
                    raise InputError(
                        f"{option} {path} is a database, which isn't replaced; give another file"
                    )
    except OSError as error:
        raise InputError(f"{option} {path} can't be written: {_reason(error)}") from None


def _try(folder: Path) -> None:
    """Write a file and remove it.

    Raises:
        OSError: That isn't possible.
    """
    path = temporary_beside(folder / "x")
    try:
        with path.open("xb") as file:
            file.write(bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.strerror}; make room, or name another place"
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"{error.strerror}; change its rights, or name another place"
    return error.strerror or str(error)
