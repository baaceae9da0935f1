"""What SQLite and PostgreSQL say differently."""

import abc
import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    Table,
    bindparam,
    cast,
    event,
    extract,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["Dialect", "dialect_of"]


class Dialect(abc.ABC):
    """A database's own SQL.

    Statements for rows are made once: SQLAlchemy takes longer to make and compile one than the
    database does to carry it out. For the same reason rows go beside a statement, not into it.
    """

    #: Options of a transaction that only reads, and sees one state of the database to its end.
    one_state: Mapping[str, Any]

    @abc.abstractmethod
    def insert(self, table: Table) -> Any:
        """Return an insert that may be told what to do on conflict."""

    @abc.abstractmethod
    def now(self) -> ColumnElement[float]:
        """Return the database's clock in seconds, so that the clocks of workers may differ."""

    @abc.abstractmethod
    def lock_at_begin(self, engine: Engine) -> None:
        """See to it that what a transaction reads can't change before it writes.

        Where that has to be said in each statement, this does nothing.
        """

    @abc.abstractmethod
    def lock_schema(self, connection: Connection) -> None:
        """Wait until no other transaction changes tables; held until the transaction ends.

        The transaction has to be of an engine with ``lock_at_begin``.
        """

    @abc.abstractmethod
    def damaged(self, connection: Connection, tables: Sequence[str]) -> str | None:
        """Return what the database finds wrong with tables and their indexes.

        An index that lacks a row hides it from some statements and not from others, without an
        error.

        Args:
            connection: In a transaction.
            tables: Their names; those that aren't there are passed over.

        Returns:
            In the database's words; None if nothing is, or if it can't tell.
        """

    @abc.abstractmethod
    def insert_missing(
        self,
        connection: Connection,
        table: Table,
        shared: Mapping[str, Any],
        columns: Mapping[str, Sequence[Any]],
    ) -> None:
        """Insert rows, but for those whose unique key is in the table.

        Args:
            connection: In a transaction.
            table: Where to.
            shared: What all rows have, by column.
            columns: By column, an item for each row.
        """

    def upsert(
        self,
        connection: Connection,
        table: Table,
        keys: Sequence[str],
        value: str,
        rows: Sequence[Mapping[str, Any]],
    ) -> None:
        """Insert rows, or replace the value of those whose keys are in the table.

        Args:
            connection: In a transaction.
            table: Where to.
            keys: The columns of a unique key.
            value: The column to replace.
            rows: By column.
        """
        if rows:
            connection.execute(_upsert(self, table, tuple(keys), value), list(rows))


class _SQLite(Dialect):
    one_state = MappingProxyType({"hpo_reads_only": True})

    def insert(self, table: Table) -> Any:
        return sqlite.insert(table)

    def now(self) -> ColumnElement[float]:
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)

    def lock_at_begin(self, engine: Engine) -> None:
        """Take the write lock at the start of every transaction that doesn't only read.

        See https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable.
        """

        @event.listens_for(engine, "connect")
        def connect(connection: Any, _record: Any) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            reads_only = connection.get_execution_options().get("hpo_reads_only", False)
            connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    def lock_schema(self, connection: Connection) -> None:
        """The transaction has the only write lock already."""

    def damaged(self, connection: Connection, tables: Sequence[str]) -> str | None:
        there = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        for table in set(tables) & set(there.scalars()):
            found = connection.exec_driver_sql(f"PRAGMA integrity_check({table})").scalar()
            if found != "ok":
                return str(found)
        return None

    def insert_missing(
        self,
        connection: Connection,
        table: Table,
        shared: Mapping[str, Any],
        columns: Mapping[str, Sequence[Any]],
    ) -> None:
        rows = [
            {**shared, **dict(zip(columns, row, strict=True))}
            for row in zip(*columns.values(), strict=True)
        ]
        if rows:
            connection.execute(_insert_missing(table), rows)


class _PostgreSQL(Dialect):
    one_state = MappingProxyType({"isolation_level": "REPEATABLE READ"})

    #: Names the lock that is held while tables are changed; any number that nobody else uses.
    _SCHEMA_LOCK = 0x68706F  # "hpo"

    def insert(self, table: Table) -> Any:
        return postgresql.insert(table)

    def now(self) -> ColumnElement[float]:
        return cast(extract("epoch", func.clock_timestamp()), Float)

    def lock_at_begin(self, engine: Engine) -> None:
        """Statements lock the rows that they read."""

    def lock_schema(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self._SCHEMA_LOCK})

    def damaged(self, connection: Connection, tables: Sequence[str]) -> str | None:
        """Pages have checksums where the server was set up so; its indexes can't be looked at."""
        return None

    def insert_missing(
        self,
        connection: Connection,
        table: Table,
        shared: Mapping[str, Any],
        columns: Mapping[str, Sequence[Any]],
    ) -> None:
        # Columns as arrays: each row of an executemany would be a message of its own.
        statement = _insert_missing_arrays(table, tuple(shared), tuple(columns))
        connection.execute(statement, {**shared, **columns})


_DIALECTS: dict[str, Dialect] = {"sqlite": _SQLite(), "postgresql": _PostgreSQL()}


def dialect_of(bind: Engine | Connection) -> Dialect:
    """Return what the database of an engine or a connection speaks."""
    return _DIALECTS[bind.dialect.name]


@functools.cache
def _upsert(dialect: Dialect, table: Table, keys: tuple[str, ...], value: str) -> Any:
    statement = dialect.insert(table)
    return statement.on_conflict_do_update(
        index_elements=[table.c[key] for key in keys],
        set_={value: statement.excluded[value]},
    )


@functools.cache
def _insert_missing(table: Table) -> Any:
    return sqlite.insert(table).on_conflict_do_nothing()


@functools.cache
def _insert_missing_arrays(table: Table, shared: tuple[str, ...], columns: tuple[str, ...]) -> Any:
    rows = select(
        *(bindparam(name, type_=table.c[name].type) for name in shared),
        *(
            func.unnest(bindparam(name, type_=postgresql.ARRAY(table.c[name].type)))
            for name in columns
        ),
    )
    insert = postgresql.insert(table).from_select([*shared, *columns], rows)
    return insert.on_conflict_do_nothing()
