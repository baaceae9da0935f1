"""Storage URLs: what they may be."""

import os
import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hpo.errors import InputError, did_you_mean
from hpo.trials._redact import is_ambiguous, redact

__all__ = ["check_exists", "check_url", "is_proxy"]

#: What may stand behind the ``?`` of a SQLite URL that isn't one of SQLite's own.
_OF_SQLITE = {
    "timeout",
    "isolation_level",
    "detect_types",
    "check_same_thread",
    "cached_statements",
}
_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "ceph"}


def is_proxy(url: str) -> bool:
    """Tell whether a storage URL names a proxy, ``grpc://HOST:PORT``."""
    return url.startswith("grpc://")


def check_url(url: str) -> URL:
    """Check a storage URL.

    Raises:
        InputError: It is no URL, or not one that can be read without doubt; names a database that
            isn't supported; its driver is missing; its file can't be made or written; or it is
            SQLite on a network file system, whose locks can't be trusted.
    """
    shown = redact(url)
    if url != url.strip():
        raise InputError(
            f"--storage {shown.strip()}: a blank stands before or behind it; take it off."
        )
    if is_ambiguous(url):
        raise InputError(
            f"--storage {shown}: there is more than one @ in it. Special characters of a user's "
            'name or a password must be percent-encoded, such as %40 for @: python -c "import '
            "urllib.parse; print(urllib.parse.quote('PASSWORD', safe=''))\" prints one so."
        )
    try:
        parsed = make_url(url)
    except ArgumentError:
        is_path = bool(url) and shown == url
        raise InputError(
            f"--storage {shown}: is no database URL; a file is given as sqlite:///{url}."
            if is_path
            else "--storage is no database URL; it must look like sqlite:///studies.db or "
            "postgresql+psycopg://user:password@host/name."
        ) from None
    except ValueError:
        raise InputError(
            f"--storage {shown}: the port, which stands behind the host's name and a colon, must "
            "be a number; a user's name and password stand before the host and an @."
        ) from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql", "grpc"):
        hint = did_you_mean(backend, ["sqlite", "postgresql", "grpc"])
        raise InputError(f"--storage {shown}: must be sqlite, postgresql or grpc{hint}.")
    if backend == "grpc":
        try:
            import grpc  # noqa: F401
        except ImportError:
            raise InputError(
                f"--storage {shown}: the driver is missing; pip install 'hpo[grpc]'."
            ) from None
        beside = parsed.username or parsed.password or parsed.database or parsed.query
        if not parsed.host or not parsed.port or beside:
            raise InputError(f"--storage {shown}: must be grpc://HOST:PORT, and nothing more.")
        return parsed
    if backend == "postgresql":
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise InputError(
                f"--storage {shown}: the driver is missing; pip install 'hpo[postgres]'."
            ) from None
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise InputError(
            f"--storage {shown}: names another driver than Python's own; write "
            f"sqlite:///{parsed.database or 'studies.db'}."
        )
    if "uri" in parsed.query:
        raise InputError(
            f"--storage {shown}: uri is for addresses of SQLite's own, which would be taken for "
            "the name of a file; give the file by its path, such as sqlite:///studies.db."
        )
    if parsed.host:
        rest = url.partition("://")[2]
        raise InputError(
            f"--storage {shown}: a file needs three slashes, sqlite:///{rest}, or four where its "
            f"path begins at the root, sqlite:////path/{rest}."
        )
    if not parsed.database or parsed.database == ":memory:":
        raise InputError(f"--storage {shown}: must name a file, since workers are processes.")
    if os.name != "nt" and re.match(r"[A-Za-z]:[\\/]", parsed.database):
        raise InputError(f"--storage {shown}: is a path of Windows, but this machine has another.")
    unread = parsed.query.keys() - _OF_SQLITE
    if unread:
        raise InputError(
            f"--storage {shown}: SQLite has no {' and no '.join(sorted(unread))}, so what stands "
            "behind the ? isn't used; leave it out."
        )
    path = Path(parsed.database)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(
            f"--storage {shown}: the folder {folder} doesn't exist{_other_slashes(path)}."
        )
    _check_rights(path, f"--storage {shown}")
    kind = _file_system(folder)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise InputError(
            f"--storage {shown}: SQLite on a network file system ({kind}) loses data, since its "
            "locks don't hold there; use a local file or PostgreSQL."
        )
    return parsed


def check_exists(url: str) -> None:
    """Check that a storage which is to be read is there, so that none is made by a typing error.

    Raises:
        InputError: It is a SQLite file that doesn't exist; or see ``check_url``.
    """
    parsed = check_url(url)
    path = Path(parsed.database or "")
    if parsed.get_backend_name() == "sqlite" and not path.exists():
        raise InputError(f"--storage {redact(url)}: there is no such file{_other_slashes(path)}.")


def _other_slashes(path: Path) -> str:
    """Return a hint where a path is there if it begins elsewhere; or else an empty string."""
    if path.parts[0].startswith("~"):
        return f"; ~ is not a home folder here, write sqlite:///{path.expanduser()}"
    if path.is_absolute():
        other, where = Path(*path.parts[1:]), "three slashes begin at the working folder"
    else:
        other, where = Path("/", path), "four slashes begin at the root"
    there = other.exists() or (len(other.parts) > 2 and other.parent.is_dir())
    return f"; {where}: sqlite:///{other}" if there else ""


def _check_rights(path: Path, what: str) -> None:
    """Check that a database file can be written, or made.

    Raises:
        InputError: It can't.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise InputError(f"{what}: is a folder, but must be a file, such as {path}/studies.db.")
    if path.exists() and not path.is_file():
        raise InputError(f"{what}: is a pipe, a socket or a device, but must be a file.")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise InputError(f"{what}: you have no rights to read and write this file.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            f"{what}: you have no rights to write to the folder {folder}, where SQLite keeps a "
            "second file beside its own."
        )


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds ``folder``; empty where that is not known."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    best, kind = -1, ""
    for line in mounts.read_text().splitlines():
        _, point, name, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) > best:
            best, kind = len(point), name
    return kind
