"""Statements of the SQL ledger about the row of a study as a whole."""

from sqlalchemy import ColumnElement, Connection, delete, select, update

from hpo.queue._contract import StudyRow
from hpo.queue._sealed import unseal
from hpo.queue._tables import studies, tasks

__all__ = ["drop", "identify", "read", "rename"]


def read(connection: Connection, study: str, now: ColumnElement[float]) -> StudyRow | None:
    """Return what is stored of a study; None if it is unknown.

    Raises:
        InputError: Its definition isn't what was written.
    """
    row = connection.execute(
        select(
            studies.c.definition,
            (studies.c.deadline - now).label("left"),
            studies.c.max_tasks,
            studies.c.epochs,
            studies.c.allotted,
            studies.c.revision,
            studies.c.stopped,
            studies.c.identity,
            studies.c.deadline,
        ).where(studies.c.study == study)
    ).one_or_none()
    if row is None:
        return None
    return StudyRow(unseal(row[0], f"the definition of the study '{study}'"), *row[1:])


def identify(connection: Connection, study: str, identity: str) -> str | None:
    """Give a study its identity unless it has one; return the one it has, None without a study."""
    connection.execute(
        update(studies)
        .where(studies.c.study == study, studies.c.identity.is_(None))
        .values(identity=identity)
    )
    query = select(studies.c.identity).where(studies.c.study == study)
    return connection.execute(query).scalar_one_or_none()


def rename(connection: Connection, study: str, name: str) -> None:
    """Give a study and its tasks another name.

    Raises:
        IntegrityError: It is taken.
    """
    for table in (studies, tasks):
        connection.execute(update(table).where(table.c.study == study).values(study=name))


def drop(connection: Connection, study: str, identity: str | None) -> None:
    """Delete a study and its tasks; only if it has this identity, unless that is None."""
    query = select(studies.c.identity).where(studies.c.study == study).with_for_update()
    row = connection.execute(query).one_or_none()
    if identity is not None and (row is None or row.identity != identity):
        return
    for table in (tasks, studies):
        connection.execute(delete(table).where(table.c.study == study))
