"""Opening Optuna's storage in a database."""

import logging
import re
import shlex
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from hpo.errors import InputError
from hpo.trials._engine import engine_arguments, reporting_failure, tune
from hpo.trials._known import knows_names, knows_optuna
from hpo.trials._redact import redact
from hpo.trials._url import check_url, is_proxy

__all__ = ["close_storage", "has_tables", "open_database"]

T = TypeVar("T")


def open_database(url: str) -> RDBStorage:
    """Open Optuna's storage in a database; its tables are made if there are none.

    Args:
        url: SQLite or PostgreSQL.

    Raises:
        InputError: See ``check_url``; or the database can't be opened or made, or another version
            of Optuna made its tables.
    """
    parsed = check_url(url)

    def create(kind: type[RDBStorage]) -> RDBStorage:
        arguments = engine_arguments(parsed)
        shown = parsed.render_as_string(hide_password=False)
        return _retry_creation(lambda: kind(shown, engine_kwargs=arguments))

    kind: type[RDBStorage] = RDBStorage
    if knows_names():
        from hpo.trials._reading import Database

        kind = Database
    alembic = logging.getLogger("alembic")
    level = alembic.level
    with reporting_failure(url):
        try:
            storage = create(kind)
        except RuntimeError as error:  # the tables are of another version
            raise InputError(_of_another_version(url, str(error))) from None
        finally:
            alembic.setLevel(level)  # which Optuna raises to that of warnings
        with storage.engine.connect() as connection:
            known = knows_optuna(connection)
        if not known and kind is not RDBStorage:
            storage.engine.dispose()
            storage = create(RDBStorage)
    tune(storage.engine)
    return storage


def close_storage(storage: BaseStorage) -> None:
    """Close the connections of a storage; it opens new ones if it is used again."""
    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def has_tables(url: str) -> bool:
    """Tell whether a storage is there and has tables of Optuna's, without making any.

    Args:
        url: As of ``check_url``; a proxy has them.

    Raises:
        InputError: See ``check_url``; or the database can't be opened.
    """
    parsed = check_url(url)
    if is_proxy(url):
        return True
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return False
    with reporting_failure(url):
        engine = create_engine(parsed, **engine_arguments(parsed))
        try:
            return inspect(engine).has_table("studies")
        finally:
            engine.dispose()


def _of_another_version(url: str, error: str) -> str:
    """Return what is to be done about tables of another version, which Optuna has refused."""
    shown, here = redact(url), version("optuna")
    by = re.search(r"set up by optuna ([\w.]+[\w])", error)
    made = f"by Optuna {by[1]}" if by else "by another version of Optuna"
    if "storage upgrade" not in error:
        return (
            f"--storage {shown}: its tables were made {made} and are newer than those of Optuna "
            f"{here} here. Update it (pip install -U optuna), or use another "
            "--storage."
        )
    password = " (with the password in place of ***)" if "***" in shown else ""
    return (
        f"--storage {shown}: its tables were made {made} and are older than those of Optuna "
        f"{here} here. Make a backup, then bring them up to date: optuna storage "
        f"upgrade --storage {shlex.quote(shown)}{password}"
    )


def _retry_creation(create: Callable[[], T]) -> T:
    """Make tables, again if another process is making the same ones at the same time."""
    for _ in range(10):
        try:
            return create()
        except (ProgrammingError, IntegrityError, OperationalError) as error:
            if "exist" not in str(error) and "unique" not in str(error).lower():
                raise
            time.sleep(0.1)
    return create()
