"""A study with its queue and its trials, copied to another name or another database."""

import dataclasses

from sqlalchemy import Connection, insert, select

from hpo import trials
from hpo.queue._tables import studies, tasks
from hpo.search import TaskState

__all__ = ["Copied", "copy_study"]

_AT_ONCE = 1000


@dataclasses.dataclass(frozen=True)
class Copied:
    """How much was copied.

    Attributes:
        trials: Trials in Optuna's tables.
        tasks: Tasks in the ledger.
    """

    trials: int
    tasks: int


def copy_study(
    source: Connection, study: str, study_id: int, target: Connection, name: str, identity: str
) -> Copied:
    """Copy what the ledger and Optuna have of a study; columns are copied as they are stored.

    Only what is of this moment and this name differs: name and identity, and what is being worked
    on is open in the copy, as what was handed back.

    Args:
        source: In a transaction that sees one state of the database.
        study: Its name there.
        study_id: Optuna's id of it there.
        target: In a transaction; may be of the same database.
        name: The copy's name.
        identity: The copy's identity.

    Raises:
        IntegrityError: The target has a study of that name.
        KeyError: The source has no such study.
    """
    row = source.execute(select(studies).where(studies.c.study == study)).mappings().one_or_none()
    if row is None:
        raise KeyError(f"The ledger has no study {study}.")
    target.execute(insert(studies), {**row, "study": name, "identity": identity})
    copied = trials.copy_trials(source, study_id, target, name, identity)
    found = source.execute(
        select(tasks).where(tasks.c.study == study).order_by(tasks.c.position)
    ).mappings()
    count = 0
    for rows in found.partitions(_AT_ONCE):
        changed = {"study": name, "heartbeat": None, "owner": None}
        copies = [{**task, **changed} for task in rows]
        for task in copies:
            if task["state"] == TaskState.CLAIMED.value:
                task |= {"state": TaskState.OPEN.value, "progress": None}
        target.execute(insert(tasks), copies)
        count += len(copies)
    return Copied(copied, count)
