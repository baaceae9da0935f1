"""Writes to Optuna's own tables, inside a transaction of ours.

Optuna's calls take a transaction each, so that a task and its trial couldn't be written together;
and each is longer than an epoch of a small head. These write what its own would, of the version
that ``tests/trials`` holds them against.
"""

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, Table, bindparam, insert, select, update

from hpo.trials._dialects import dialect_of
from hpo.trials._live import NewTrial
from hpo.trials._tables import (
    PARAMS,
    RESULTS,
    STEPS,
    STUDIES,
    SYSTEM,
    TRIALS,
    USER,
    stored_result,
    stored_step,
)

__all__ = ["append_to_trial", "create_trial", "finish_trial"]

# Made once, since SQLAlchemy takes longer to make a statement than the database to carry it out.
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
_FINISH = update(TRIALS).where(TRIALS.c.trial_id == bindparam("t"))


def create_trial(connection: Connection, trial: NewTrial) -> tuple[int, int]:
    """Create a running trial with its parameters and attributes; return id and number.

    The parameters' distributions are not compared with those of earlier trials, as Optuna would:
    all follow from the study's space, which can't change.

    Raises:
        KeyError: There is no such study.
    """
    # With the lock, the number of the latest trial is known to be that of the latest there will
    # be before this one; SQLite, which ignores it, has one writer at a time anyway.
    if connection.execute(_LOCK_STUDY, {"s": trial.study_id}).one_or_none() is None:
        raise KeyError(f"Optuna's storage has no study with id {trial.study_id}.")
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
    _set_attributes(connection, SYSTEM, trial_id, trial.system)
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
        stored = [stored_step(v if math.isfinite(v) else math.nan) for _, v in values]
        columns: dict[str, list[Any]] = {
            "step": [step for step, _ in values],
            "intermediate_value": [number for number, _ in stored],
            "intermediate_value_type": [kind for _, kind in stored],
        }
        dialect_of(connection).insert_missing(connection, STEPS, {"trial_id": trial_id}, columns)
    _set_attributes(connection, SYSTEM, trial_id, attributes)
    return True


def finish_trial(
    connection: Connection,
    trial_id: int,
    state: TrialState,
    objectives: Sequence[float],
    attributes: Mapping[str, Any],
) -> None:
    """Finish a running trial with its values and user attributes.

    Args:
        connection: In a transaction, in which ``append_to_trial`` found the trial to be running.
        trial_id: Optuna's id, not the number.
        state: COMPLETE or PRUNED.
        objectives: The value of each objective; none if nothing was trained.
        attributes: JSON-ready values by key.
    """
    connection.execute(_FINISH, {"t": trial_id, "state": state, "datetime_complete": _now()})
    rows = []
    for objective, (stored, kind) in enumerate(map(stored_result, objectives)):
        row = {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}
        rows.append(row)
    if rows:
        connection.execute(insert(RESULTS), rows)
    _set_attributes(connection, USER, trial_id, attributes)


def _set_attributes(
    connection: Connection, table: Table, trial_id: int, attributes: Mapping[str, Any]
) -> None:
    rows = [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        for key, value in attributes.items()
    ]
    dialect_of(connection).upsert(connection, table, ("trial_id", "key"), "value_json", rows)


def _now() -> datetime.datetime:
    """Return the time as Optuna stores it: UTC, without saying so."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
