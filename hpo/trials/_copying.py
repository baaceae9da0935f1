"""A study of Optuna's with all of its trials, copied into another transaction row by row.

``optuna.copy_study`` makes a call for each value, so that a copy that is cut off stays half. Here
all of it is one transaction of the database that it goes to.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, Row, Table, bindparam, insert, select

from hpo.trials._dialects import dialect_of
from hpo.trials._study import IDENTITY
from hpo.trials._tables import (
    DIRECTIONS,
    PARAMS,
    RESULTS,
    STEPS,
    STUDIES,
    STUDY_SYSTEM,
    STUDY_USER,
    SYSTEM,
    TRIALS,
    USER,
)

__all__ = ["copy_trials"]

#: Trials that are read and written at once: of 1,000 steps each they are some tens of megabytes.
_AT_ONCE = 200
_PARTS = (PARAMS, RESULTS, STEPS, USER, SYSTEM)
#: Notes and files of trials stand with the study, under the trial's id.
_OF_TRIAL = re.compile(r"(dashboard:(?:artifacts:)?)(\d+)(:.*)", re.DOTALL)


def copy_trials(
    source: Connection, study_id: int, target: Connection, name: str, identity: str
) -> int:
    """Copy a study under a name that is free there; return how many trials it has.

    Trials keep their numbers. One that runs waits in the copy, as one that was handed back.

    Args:
        source: In a transaction that sees one state of the database.
        study_id: Optuna's id of the study there.
        target: In a transaction; may be of the same database.
        name: What the copy is called.
        identity: What the copy has in the ledger, instead of what the study has.

    Raises:
        IntegrityError: The name is taken.
        KeyError: There is no such study.
    """
    if not _of_study(source, STUDIES, study_id):
        raise KeyError(f"Optuna's storage has no study with id {study_id}.")
    new = target.execute(
        insert(STUDIES).returning(STUDIES.c.study_id), {"study_name": name}
    ).scalar_one()
    for table in (DIRECTIONS, STUDY_USER):
        _write(target, table, _of_study(source, table, study_id), {"study_id": new})
    ids: dict[int, int] = {}
    for trials in _batches(source, study_id):
        rows = [{**_values(TRIALS, row), "study_id": new} for row in trials]
        for row in rows:
            if row["state"] is TrialState.RUNNING:
                row["state"] = TrialState.WAITING
        target.execute(insert(TRIALS), rows)
        there = target.execute(
            select(TRIALS.c.number, TRIALS.c.trial_id).where(
                TRIALS.c.study_id == new, TRIALS.c.number >= rows[0]["number"]
            )
        )
        by_number = {row.number: row.trial_id for row in there}
        ids |= {row.trial_id: by_number[row.number] for row in trials}
        for table in _PARTS:
            parts = source.execute(
                select(table)
                .where(table.c.trial_id.in_(bindparam("trials", expanding=True)))
                .order_by(*table.primary_key),
                {"trials": [row.trial_id for row in trials]},
            )
            _write(target, table, parts, {}, ids)
    attributes = {row.key: row.value_json for row in _of_study(source, STUDY_SYSTEM, study_id)}
    attributes[IDENTITY] = json.dumps(identity)
    target.execute(
        insert(STUDY_SYSTEM),
        [
            {"study_id": new, "key": _renumbered(key, ids), "value_json": value}
            for key, value in attributes.items()
        ],
    )
    return len(ids)


def _batches(source: Connection, study_id: int) -> Iterator[Sequence[Row[Any]]]:
    """Yield a study's trials by number."""
    after = -1
    while True:
        rows = source.execute(
            select(TRIALS)
            .where(TRIALS.c.study_id == study_id, TRIALS.c.number > after)
            .order_by(TRIALS.c.number)
            .limit(_AT_ONCE)
        ).all()
        if not rows:
            return
        yield rows
        after = rows[-1].number


def _of_study(source: Connection, table: Table, study_id: int) -> Sequence[Row[Any]]:
    query = select(table).where(table.c.study_id == study_id).order_by(*table.primary_key)
    return source.execute(query).all()


def _write(
    target: Connection,
    table: Table,
    rows: Any,
    shared: Mapping[str, Any],
    ids: Mapping[int, int] | None = None,
) -> None:
    """Write rows that were read elsewhere.

    Args:
        target: In a transaction.
        table: Theirs.
        rows: As they were read.
        shared: What they have here instead.
        ids: The new id of each trial.
    """
    values = [_values(table, row) for row in rows]
    if not values:
        return
    columns = {name: [row[name] for row in values] for name in values[0] if name not in shared}
    if ids is not None:
        columns["trial_id"] = [ids[trial_id] for trial_id in columns["trial_id"]]
    dialect_of(target).insert_missing(target, table, shared, columns)


def _values(table: Table, row: Row[Any]) -> dict[str, Any]:
    """Return what a row has, but for its own id, which the table gives."""
    own = {column.name for column in table.primary_key}
    return {key: value for key, value in row._mapping.items() if key not in own}


def _renumbered(key: str, ids: Mapping[int, int]) -> str:
    """Return the key of a study's attribute, with the new id of the trial that it is about."""
    found = _OF_TRIAL.fullmatch(key)
    if found is None or int(found[2]) not in ids:
        return key
    return f"{found[1]}{ids[int(found[2])]}{found[3]}"
