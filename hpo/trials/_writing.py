"""Writes to Optuna's own tables, inside a transaction of ours.

Optuna's calls take a transaction each, which is longer than an epoch of a small head. These write
what its own would, of the version that ``tests/service`` holds them against.
"""

import datetime
import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, Table, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from hpo.service._optuna_tables import PARAMS, RESULTS, STEPS, STUDIES, SYSTEM, TRIALS, USER
from hpo.service._tables import NewTrial

__all__ = ["append_to_trial", "create_trial", "finish_trial"]

_STEP_COLUMNS = (STEPS.c.step, STEPS.c.intermediate_value, STEPS.c.intermediate_value_type)

# Made once, since SQLAlchemy takes longer to make and compile a statement than the database does
# to carry it out; for the same reason rows go beside a statement, not into it.
_LOCK_STUDY = select(STUDIES.c.study_id).where(STUDIES.c.study_id == bindparam("s"))
_LOCK_STUDY = _LOCK_STUDY.with_for_update()
_LAST_NUMBER = (
    select(TRIALS.c.number)
    .where(TRIALS.c.study_id == bindparam("s"))
    .order_by(TRIALS.c.trial_id.desc())
    .limit(1)
)
_CREATE = insert(TRIALS).returning(TRIALS.c.trial_id)
_STATE = select(TRIALS.c.state).where(TRIALS.c.trial_id == bindparam("t")).with_for_update()
_ADD_STEPS_SQLITE = sqlite.insert(STEPS).on_conflict_do_nothing()
# Columns as arrays: each row of an executemany would be a message of its own to the server.
_ADD_STEPS_POSTGRESQL = (
    postgresql.insert(STEPS)
    .from_select(
        ["trial_id", *(column.name for column in _STEP_COLUMNS)],
        select(
            bindparam("trial_id", type_=STEPS.c.trial_id.type),
            *(
                func.unnest(bindparam(column.name, type_=postgresql.ARRAY(column.type)))
                for column in _STEP_COLUMNS
            ),
        ),
    )
    .on_conflict_do_nothing()
)
_FINISH = update(TRIALS).where(TRIALS.c.trial_id == bindparam("t"))


def create_trial(connection: Connection, trial: NewTrial) -> tuple[int, int]:
    """Create a running trial with its parameters and user attributes; return id and number.

    The parameters' distributions are not compared with those of earlier trials, as Optuna would:
    all follow from the study's space, which can't change.
    """
    # With the lock, the number of the latest trial is known to be that of the latest there will
    # be before this one; SQLite, which ignores it, has one writer at a time anyway.
    connection.execute(_LOCK_STUDY, {"s": trial.study_id})
    last = connection.execute(_LAST_NUMBER, {"s": trial.study_id}).scalar_one_or_none()
    number = 0 if last is None else last + 1
    row = {
        "number": number,
        "study_id": trial.study_id,
        "state": TrialState.RUNNING,
        "datetime_start": _now(),
    }
    trial_id = int(connection.execute(_CREATE, row).scalar_one())
    params = [
        {"trial_id": trial_id, "param_name": n, "param_value": value, "distribution_json": domain}
        for n, (value, domain) in trial.params.items()
    ]
    if params:
        connection.execute(insert(PARAMS), params)
    _set_attributes(connection, USER, trial_id, trial.attributes)
    return trial_id, number


def append_to_trial(
    connection: Connection,
    trial_id: int,
    values: Sequence[tuple[int, float]],
    attributes: Mapping[str, Any],
) -> bool:
    """Add intermediate values and system attributes to a running trial.

    Args:
        connection: In a transaction.
        trial_id: Optuna's id, not the number.
        values: Steps and their values; NaN becomes a gap in the curve. Of a step that is there
            already the first value stays.
        attributes: JSON-ready values by key; one that is there already is replaced.

    Returns:
        False if the trial isn't running, and nothing was written.
    """
    if connection.execute(_STATE, {"t": trial_id}).scalar_one_or_none() != TrialState.RUNNING:
        return False
    if values:
        _add_steps(connection, trial_id, values)
    _set_attributes(connection, SYSTEM, trial_id, attributes)
    return True


def finish_trial(
    connection: Connection,
    trial_id: int,
    state: TrialState,
    value: float,
    attributes: Mapping[str, Any],
) -> None:
    """Finish a running trial with its value and user attributes.

    Args:
        connection: In a transaction, in which ``append_to_trial`` found the trial to be running.
        trial_id: Optuna's id, not the number.
        state: COMPLETE or PRUNED.
        value: The objective.
        attributes: JSON-ready values by key.
    """
    connection.execute(_FINISH, {"t": trial_id, "state": state, "datetime_complete": _now()})
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    row = {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
    connection.execute(insert(RESULTS), row)
    _set_attributes(connection, USER, trial_id, attributes)


def _set_attributes(
    connection: Connection, table: Table, trial_id: int, attributes: Mapping[str, Any]
) -> None:
    rows = [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        for key, value in attributes.items()
    ]
    if rows:
        connection.execute(_set_attribute(connection.dialect.name, table), rows)


@functools.cache
def _set_attribute(dialect: str, table: Table) -> Any:
    statement = _insert(dialect, table)
    return statement.on_conflict_do_update(
        index_elements=[table.c.trial_id, table.c.key],
        set_={"value_json": statement.excluded.value_json},
    )


def _add_steps(connection: Connection, trial_id: int, values: Sequence[tuple[int, float]]) -> None:
    stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    pairs = [stored(value if math.isfinite(value) else math.nan) for _, value in values]
    columns = {
        "step": [step for step, _ in values],
        "intermediate_value": [number for number, _ in pairs],
        "intermediate_value_type": [kind for _, kind in pairs],
    }
    if connection.dialect.name == "postgresql":
        connection.execute(_ADD_STEPS_POSTGRESQL, {"trial_id": trial_id, **columns})
        return
    rows = [
        {"trial_id": trial_id, **dict(zip(columns, row, strict=True))}
        for row in zip(*columns.values(), strict=True)
    ]
    connection.execute(_ADD_STEPS_SQLITE, rows)


def _insert(dialect: str, table: Table) -> Any:
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)


def _now() -> datetime.datetime:
    """Return the time as Optuna stores it: UTC, without saying so."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
