"""Studies that have many trials already, put into the store directly."""

import json
from datetime import datetime, timedelta
from typing import Any

from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState, create_trial
from sqlalchemy import insert

from hpo.models import Config
from hpo.queue._sealed import seal
from hpo.queue._tables import tasks as task_table
from hpo.search import TrialOutcome
from hpo.trials import OptunaStudy

__all__ = ["LR", "add_running", "fill"]

#: The one parameter that the filled studies search over.
LR = FloatDistribution(1e-4, 1e-1, log=True)
_STORED_STEPS = 20
_FIRST_LR = 1e-4


def fill(source: OptunaStudy, trials: int, epochs: int) -> None:
    """Put finished trials with curves into an empty store, and their tasks into the ledger.

    Args:
        source: The only study of a store of which the ledger was opened as well.
        trials: How many.
        epochs: Of each; one step in so many is stored.
    """
    storage = source.backend
    assert isinstance(storage, RDBStorage)
    config = Config(epochs=epochs).model_dump(mode="json")
    outcome = TrialOutcome(50.0, 0.0, (50.0,), {}, epochs, epochs, (("a" * 20,),), None)
    domain = distribution_to_json(LR)
    now = datetime.now()
    rows: dict[Any, list[dict[str, Any]]] = {
        table: []
        for table in (
            models.TrialModel,
            models.TrialValueModel,
            models.TrialParamModel,
            models.TrialUserAttributeModel,
            models.TrialSystemAttributeModel,
            models.TrialIntermediateValueModel,
            task_table,
        )
    }
    for number in range(trials):
        trial_id = number + 1
        rows[models.TrialModel].append(
            {
                "trial_id": trial_id,
                "number": number,
                "study_id": source.id,
                "state": TrialState.COMPLETE,
                "datetime_start": now,
                "datetime_complete": now + timedelta(seconds=number),
            }
        )
        rows[models.TrialValueModel].append(
            {"trial_id": trial_id, "objective": 0, "value": 50.0, "value_type": "FINITE"}
        )
        rows[models.TrialParamModel].append(
            {
                "trial_id": trial_id,
                "param_name": "lr",
                "param_value": _FIRST_LR + number * 1e-7,
                "distribution_json": domain,
            }
        )
        for key, value in (("config", config), ("task", number), ("scores", [50.0])):
            rows[models.TrialUserAttributeModel].append(
                {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            )
        for rung in range(3):
            rows[models.TrialSystemAttributeModel].append(
                {"trial_id": trial_id, "key": f"completed_rung_{rung}", "value_json": "50.0"}
            )
        rows[models.TrialIntermediateValueModel] += [
            {
                "trial_id": trial_id,
                "step": step,
                "intermediate_value": 50.0,
                "intermediate_value_type": "FINITE",
            }
            for step in range(epochs // _STORED_STEPS, epochs + 1, epochs // _STORED_STEPS)
        ]
        rows[task_table].append(
            {
                "study": source.study.study_name,
                "position": number,
                "stage": 0,
                "config_key": f"{number:020d}",
                "config": seal(config),
                "runs": json.dumps([f"{number:020d}"]),
                "state": "done",
                "owner": "benchmark:1",
                "token": 1,
                "heartbeat": 0.0,
                "attempts": 0,
                "trial": number,
                "outcome": seal(outcome.to_json()),
            }
        )
    with storage.engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(insert(table), values)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT setval('trials_trial_id_seq', {max(trials, 1)})")
            # what the server's autovacuum does by itself in a study that grew one by one
            connection.exec_driver_sql("ANALYZE")


def add_running(source: OptunaStudy, count: int, steps: int) -> None:
    """Add trials that other workers are in the midst of, and end those that were added before."""
    with_attributes = {"config": Config().model_dump(mode="json")}
    storage = source.backend
    study = source.id
    for trial in storage.get_all_trials(study, deepcopy=False, states=(TrialState.RUNNING,)):
        trial_id = storage.get_trial_id_from_study_id_trial_number(study, trial.number)
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [50.0])
    for number in range(count):
        template = create_trial(
            state=TrialState.RUNNING,
            params={"lr": _FIRST_LR * (1 + number)},
            distributions={"lr": LR},
            user_attrs=with_attributes,
            intermediate_values=dict.fromkeys(range(1, steps + 1), 50.0),
        )
        storage.create_new_trial(study, template)
