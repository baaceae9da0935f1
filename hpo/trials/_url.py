"""Storage URLs: what they may be, and how they are shown."""

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hpo.errors import InputError, did_you_mean

__all__ = ["check_exists", "check_url", "is_proxy", "redact"]

_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "ceph"}


def redact(url: str) -> str:
    """Return a storage URL without its password, for logs, errors and attributes."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        scheme, separator, _ = url.partition("://")
        return scheme + "://…" if separator else "…"
    if "password" in parsed.query:
        parsed = parsed.update_query_dict({"password": "hidden"})
    elif parsed.password is None:
        return url  # as it was written
    return parsed.render_as_string(hide_password=True)


def is_proxy(url: str) -> bool:
    """Tell whether a storage URL names a proxy, ``grpc://HOST:PORT``."""
    return url.startswith("grpc://")


def check_url(url: str) -> URL:
    """Check a storage URL.

    Raises:
        InputError: It is no URL, names a database that isn't supported, its driver is missing, or
            it is SQLite on a network file system, whose locks can't be trusted.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(
            "--storage is no database URL; it must look like sqlite:///studies.db or "
            "postgresql+psycopg://user:password@host/name."
        ) from None
    shown = redact(url)
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
        if not parsed.host or not parsed.port:
            raise InputError(f"--storage {shown}: must be grpc://HOST:PORT.")
        return parsed
    if backend == "postgresql":
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise InputError(
                f"--storage {shown}: the driver is missing; pip install 'hpo[postgres]'."
            ) from None
        return parsed.set(drivername="postgresql+psycopg")
    if not parsed.database or parsed.database == ":memory:":
        raise InputError(f"--storage {shown}: must name a file, since workers are processes.")
    folder = Path(parsed.database).absolute().parent
    if not folder.is_dir():
        raise InputError(f"--storage {shown}: the folder {folder} doesn't exist.")
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
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        raise InputError(f"--storage {redact(url)}: there is no such file.")


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
