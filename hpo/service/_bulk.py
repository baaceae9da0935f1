"""Writes to Optuna's own tables, many rows in one transaction.

Optuna's calls take a transaction each, which is longer than an epoch of a small head. These write
what its own would, of the version that ``tests/service`` holds them against.
"""

import datetime
import json
import math
from collections.abc import Mapping
from typing import Any

from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["append_values", "finish_trial"]


def append_values(storage: RDBStorage, trial_id: int, values: Mapping[int, float]) -> bool:
    """Add intermediate values of a running trial in one transaction.

    Steps that are there already are left alone, as Optuna does.

    Args:
        storage: The database; behind a proxy, ``RemoteLedger.append_values`` ends here.
        trial_id: Optuna's id, not the number.
        values: By step; NaN becomes a gap in the curve.

    Returns:
        False if the trial isn't running any more, and nothing was written.
    """
    table = models.TrialIntermediateValueModel.__table__
    trials = models.TrialModel.__table__
    rows = [
        dict(
            zip(
                ("intermediate_value", "intermediate_value_type"),
                models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(
                    value if math.isfinite(value) else math.nan
                ),
                strict=True,
            ),
            trial_id=trial_id,
            step=step,
        )
        for step, value in values.items()
    ]
    insert = postgresql.insert if storage.engine.dialect.name == "postgresql" else sqlite.insert
    with storage.engine.begin() as connection:
        running = connection.execute(
            select(trials.c.state).where(trials.c.trial_id == trial_id).with_for_update()
        ).scalar_one_or_none()
        if running != TrialState.RUNNING:
            return False
        if rows:
            # The rows beside the statement, not in it: SQLAlchemy compiles a statement that holds
            # them anew each time, which takes longer than the database does.
            connection.execute(insert(table).on_conflict_do_nothing(), rows)
    return True


def finish_trial(
    storage: RDBStorage,
    trial_id: int,
    state: TrialState,
    value: float,
    attributes: Mapping[str, Any],
) -> bool:
    """Finish a trial with its value and user attributes in one transaction, all or nothing.

    Args:
        storage: The database; behind a proxy, ``RemoteLedger.finish_trial`` ends here.
        trial_id: Optuna's id, not the number.
        state: COMPLETE or PRUNED.
        value: The objective.
        attributes: JSON-ready values by key.

    Returns:
        False if the trial was finished already, and nothing was written.
    """
    trials = models.TrialModel.__table__
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    rows = [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(item)}
        for key, item in attributes.items()
    ]
    insert = postgresql.insert if storage.engine.dialect.name == "postgresql" else sqlite.insert
    unfinished = trials.c.state.in_((TrialState.RUNNING, TrialState.WAITING))
    with storage.engine.begin() as connection:
        finished = connection.execute(
            update(trials)
            .where(trials.c.trial_id == trial_id, unfinished)
            .values(state=state, datetime_complete=datetime.datetime.now())
        )
        if finished.rowcount != 1:
            return False
        connection.execute(
            insert(models.TrialValueModel.__table__).values(
                trial_id=trial_id, objective=0, value=stored, value_type=kind
            )
        )
        connection.execute(insert(models.TrialUserAttributeModel.__table__).values(rows))
    return True
