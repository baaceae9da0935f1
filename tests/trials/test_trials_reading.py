"""Reading trials past Optuna's object mapper gives what Optuna reads."""

import math
from types import SimpleNamespace

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from sqlalchemy import text

from hpo.errors import InputError
from hpo.trials import _reading, open_database
from hpo.trials._reading import Database

DOMAINS: dict[str, BaseDistribution] = {
    "loss": CategoricalDistribution(["bce", "focal"]),
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "epochs": IntDistribution(10, 300),
}
PARAMS = {"loss": "focal", "lr": 0.01, "epochs": 20}
ATTRIBUTES = {"task": 0, "config": {"hidden": [16]}}


@pytest.fixture
def database(url: str) -> Database:
    storage = open_database(url)
    assert isinstance(storage, Database)
    return storage


@pytest.fixture
def study_id(database: Database) -> int:
    return database.create_new_study([StudyDirection.MAXIMIZE])


def test_history_reads_as_optuna_reads_it(database: Database, study_id: int) -> None:
    curve = {1: 0.1 + 0.2, 2: math.inf, 3: -math.inf}
    for state, values in (
        (TrialState.COMPLETE, [math.inf]),
        (TrialState.PRUNED, None),
        (TrialState.RUNNING, None),
        (TrialState.WAITING, None),
        (TrialState.FAIL, None),
    ):
        template = create_trial(
            state=state,
            values=values,
            params=PARAMS,
            distributions=DOMAINS,
            user_attrs=ATTRIBUTES,
            system_attrs={"completed_rung_0": 1.5},
            intermediate_values=curve,
        )
        database.create_new_trial(study_id, template)
    database.create_new_trial(study_id)
    everything = (study_id, None, set[int](), -1)
    trials = database._get_trials(*everything)
    assert len(trials) == 6
    assert trials == RDBStorage._get_trials(database, *everything)
    assert list(trials[0].params) == list(PARAMS)
    ids = [trial._trial_id for trial in trials]
    for question in (
        (study_id, None, {ids[1], ids[5]}, ids[3]),
        (study_id, (TrialState.RUNNING,), set[int](), -1),
        (study_id, None, set[int](), ids[-1]),
        (study_id, None, {ids[0]}, ids[-1]),
    ):
        assert database._get_trials(*question) == RDBStorage._get_trials(database, *question)
    with pytest.raises(KeyError):
        database.get_all_trials(999_999)


def test_a_long_history_is_read_whole(database: Database, study_id: int) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO trials (number, study_id, state) VALUES (:number, :study, 'RUNNING')"
            ),
            [{"number": number, "study": study_id} for number in range(1201)],
        )
    trials = database.get_all_trials(study_id)
    database.set_trial_user_attr(trials[-1]._trial_id, "last", True)
    trials = database.get_all_trials(study_id)
    assert [trial.number for trial in trials] == list(range(1201))
    assert trials[-1].user_attrs == {"last": True}


def test_a_held_trial_is_left_out_while_it_runs(database: Database, study_id: int) -> None:
    trial_id = database.create_new_trial(study_id)
    database.set_trial_intermediate_value(trial_id, 1, 50.0)
    database.held = trial_id
    (trial,) = database.get_all_trials(study_id)
    assert (trial.state, trial.intermediate_values) == (TrialState.RUNNING, {})
    database.set_trial_state_values(trial_id, TrialState.COMPLETE, [50.0])
    (trial,) = database.get_all_trials(study_id)
    assert (trial.state, trial.intermediate_values) == (TrialState.COMPLETE, {1: 50.0})


def test_a_row_that_belongs_to_no_trial_is_damage(
    database: Database, study_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bit of SQLite's file: the index led to a row whose trial is NULL."""
    database.create_new_trial(study_id)
    monkeypatch.setattr(_reading, "_parts", lambda *_: [SimpleNamespace(trial_id=None)])
    with pytest.raises(InputError, match="damaged: what it has of a trial isn't what was written"):
        database.get_all_trials(study_id)
