"""Opening Optuna's storage in a database."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.storages import RDBStorage
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from hpo.errors import InputError
from hpo.trials._engine import engine_arguments, reporting_failure, tune
from hpo.trials._known import knows_names, knows_optuna
from hpo.trials._url import check_url, redact

__all__ = ["open_database"]

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
        except RuntimeError as error:  # the tables are of another version; Optuna says what to do
            raise InputError(f"--storage {redact(url)}: {error}") from None
        finally:
            alembic.setLevel(level)  # which Optuna raises to that of warnings
        with storage.engine.connect() as connection:
            known = knows_optuna(connection)
        if not known and kind is not RDBStorage:
            storage.engine.dispose()
            storage = create(RDBStorage)
    tune(storage.engine)
    return storage


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
