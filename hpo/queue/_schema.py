"""The version of the ledger's tables in a store, and how an older store is brought up to date."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError

from hpo.errors import InputError
from hpo.trials import dialect_of, redact

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["HEAD", "is_known_version", "migrate"]

#: The version that this package works with; that of the last file in ``migrations/versions``.
HEAD = "0005"
#: That of stores which have the tables and no version.
_BASELINE = "0001"
_VERSION_TABLE = "hpo_version"
_READ_VERSION = text(f"SELECT version_num FROM {_VERSION_TABLE}")


def migrate(engine: Engine, url: str) -> None:
    """Make the ledger's tables, or bring those that are there up to date.

    All of it is one transaction under a lock: racing processes do it once, and what fails in the
    middle leaves the store as it was. For a store that is up to date it is one short query.

    Args:
        engine: With ``lock_at_begin`` of its dialect.
        url: For messages.

    Raises:
        InputError: A newer version of this package made the tables.
    """
    if _version(engine) == HEAD:
        return
    with engine.begin() as connection:
        dialect_of(engine).lock_schema(connection)
        _migrate(connection, url)


def is_known_version(version: str) -> bool:
    """Tell whether this package can bring tables of a version up to date, or has made them."""
    return version <= HEAD


def _version(engine: Engine) -> str | None:
    """Return the version of the tables; None if they have none, or there are none."""
    try:
        with engine.execution_options(hpo_reads_only=True).begin() as connection:
            return connection.execute(_READ_VERSION).scalar_one_or_none()
    except DatabaseError:  # there is no such table; anything else will be met again
        return None


def _migrate(connection: Connection, url: str) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _alembic_config(connection)
    tables = inspect(connection).get_table_names()
    version: str | None = None
    if _VERSION_TABLE in tables:
        version = connection.execute(_READ_VERSION).scalar_one_or_none()
    if version == HEAD:  # another process was faster
        return
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if version is not None and version not in known:
        raise InputError(
            f"--storage {redact(url)}: its tables hpo_* have version {version}, and this version "
            f"of hpo knows them up to {HEAD}: a newer one made or changed them. Update it "
            "(pip install -U hpo), or use another --storage."
        )
    if version is None and "hpo_tasks" in tables:
        command.stamp(config, _BASELINE)
    command.upgrade(config, "head")


def _alembic_config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = _VERSION_TABLE
    return config
