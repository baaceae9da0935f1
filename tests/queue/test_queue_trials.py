"""Trials that the ledger writes, on every store: with their task or not at all."""

import dataclasses
import math
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import text

from hpo.service import Fenced, Ledger, NewTask, NewTrial, Task, open_database
from hpo.service._reading import Database

GRACE = 30.0
OUTCOME = {"value": 2.0, "pruned": None, "scores": [2.0]}
DOMAINS: dict[str, BaseDistribution] = {
    "loss": CategoricalDistribution(["bce", "focal"]),
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "epochs": IntDistribution(10, 300),
}
PARAMS = {"loss": "focal", "lr": 0.01, "epochs": 20}
ATTRIBUTES = {"task": 0, "config": {"hidden": [16]}}


@pytest.fixture
def database(shared_store: tuple[str, str]) -> Database:
    """Optuna's storage as the store has it."""
    return open_database(shared_store[1])


@pytest.fixture
def study_id(database: Database) -> int:
    """A study in Optuna's storage."""
    return database.create_new_study([optuna.study.StudyDirection.MAXIMIZE])


def new_trial(study_id: int) -> NewTrial:
    params = {
        name: (domain.to_internal_repr(PARAMS[name]), distribution_to_json(domain))
        for name, domain in DOMAINS.items()
    }
    return NewTrial(study_id, params, ATTRIBUTES)


def claim(ledger: Ledger, grace: float = GRACE) -> Task:
    task = ledger.claim("s", "a", grace)
    assert task is not None
    return task


def begin(ledger: Ledger, task: Task, study_id: int) -> int:
    begun = ledger.begin("s", task, new_trial(study_id))
    assert begun is not None
    return begun[0]


def started(ledger: Ledger, study_id: int) -> tuple[Task, int]:
    """A claimed task and the id of its trial."""
    ledger.open_tasks("s", [NewTask(0, 0, "key", {"lr": 1}, ("run",))])
    task = claim(ledger)
    return task, begin(ledger, task, study_id)


def drawn(task: Task, key: str | None) -> Task:
    return dataclasses.replace(task, config_key=key, config={"lr": 1}, runs=("run",))


def content(trial: FrozenTrial) -> dict[str, object]:
    """What a trial holds, but for what makes it another one than its neighbour."""
    return {
        **{name: getattr(trial, name) for name in ("state", "values", "params", "distributions")},
        **{name: getattr(trial, name) for name in ("user_attrs", "system_attrs")},
        "curve": {step: repr(value) for step, value in trial.intermediate_values.items()},
    }


def test_a_trial_is_as_optuna_s_own(ledger: Ledger, database: Database, study_id: int) -> None:
    task, ours = started(ledger, study_id)
    template = create_trial(
        state=TrialState.RUNNING, params=PARAMS, distributions=DOMAINS, user_attrs=ATTRIBUTES
    )
    theirs = database.create_new_trial(study_id, template)
    curve = [(1, 0.1 + 0.2), (2, math.nan), (3, 60.0)]
    assert ledger.append(ours, curve, {"completed_rung_0": 60.0})
    for step, value in curve:
        database.set_trial_intermediate_value(theirs, step, value)
    database.set_trial_system_attr(theirs, "completed_rung_0", 60.0)
    assert content(database.get_trial(ours)) == content(database.get_trial(theirs))
    ledger.complete("s", task, ours, OUTCOME, {"scores": [2.0]}, [(4, 2.0)])
    database.set_trial_intermediate_value(theirs, 4, 2.0)
    database.set_trial_user_attr(theirs, "scores", [2.0])
    database.set_trial_state_values(theirs, TrialState.COMPLETE, [2.0])
    assert content(database.get_trial(ours)) == content(database.get_trial(theirs))
    assert [database.get_trial(trial).number for trial in (ours, theirs)] == [0, 1]


def test_times_are_those_of_the_clock_on_the_wall(
    ledger: Ledger, database: Database, study_id: int
) -> None:
    task, trial_id = started(ledger, study_id)
    ledger.complete("s", task, trial_id, OUTCOME, {}, [])
    for trial in (database.get_trial(trial_id), database.get_all_trials(study_id)[0]):
        for moment in (trial.datetime_start, trial.datetime_complete):
            assert moment is not None
            assert abs(moment - datetime.now()) < timedelta(seconds=60)


def test_a_begun_task_knows_its_trial_and_its_configuration(ledger: Ledger, study_id: int) -> None:
    ledger.open_tasks("s", [NewTask(0, 0), NewTask(1, 0)])
    first, second = claim(ledger), claim(ledger)
    assert (first.config_key, first.config, first.runs) == (None, None, ())
    begin(ledger, drawn(first, "same"), study_id)
    assert ledger.begin("s", drawn(second, "same"), new_trial(study_id)) is None
    stored = ledger.tasks("s")
    assert (stored[0].config, stored[0].runs, stored[0].trial) == ({"lr": 1}, ("run",), 0)
    assert (stored[1].config, stored[1].trial) == (None, None)
    begin(ledger, drawn(second, "other"), study_id)  # nothing was left of the first attempt
    assert [task.config_key for task in ledger.tasks("s")] == ["same", "other"]
    assert [task.trial for task in ledger.tasks("s")] == [0, 1]


def test_a_task_that_ends_while_it_is_taken_over_is_done(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner was silent, and completes it between a claim's reading and its writing.

    Only on PostgreSQL: SQLite lets nobody write between the two.
    """
    url = postgres.new_url()
    database = open_database(url)
    study_id = database.create_new_study([optuna.study.StudyDirection.MAXIMIZE])
    owner, other = Ledger(url), Ledger(url)
    owner.define("s", {})
    task, trial_id = started(owner, study_id)
    taken = Ledger._take

    def complete_first(self: Ledger, *arguments: Any) -> Task | None:
        owner.complete("s", task, trial_id, OUTCOME, {}, [])
        return taken(self, *arguments)

    monkeypatch.setattr(Ledger, "_take", complete_first)
    assert other.claim("s", "b", 0.0) is None
    monkeypatch.undo()
    assert other.claim("s", "b", 0.0) is None
    assert [(t.state, t.token, t.outcome) for t in other.tasks("s")] == [("done", 1, OUTCOME)]
    owner.close()
    other.close()


def test_a_repeat_has_no_key(ledger: Ledger, study_id: int) -> None:
    ledger.open_tasks("s", [NewTask(0, 0), NewTask(1, 0)])
    begin(ledger, drawn(claim(ledger), "same"), study_id)
    begin(ledger, drawn(claim(ledger), None), study_id)
    assert [(task.config_key, task.config) for task in ledger.tasks("s")] == [
        ("same", {"lr": 1}),
        (None, {"lr": 1}),
    ]


def test_an_old_token_writes_no_trial(ledger: Ledger, database: Database, study_id: int) -> None:
    old, trial_id = started(ledger, study_id)
    new = claim(ledger, grace=0.0)
    before = database.get_trial(trial_id)
    taken_over = r"Task 0 of the study was taken over\."
    with pytest.raises(Fenced, match=taken_over):
        ledger.begin("s", old, new_trial(study_id))
    with pytest.raises(Fenced, match=taken_over):
        ledger.complete("s", old, trial_id, OUTCOME, {"a": 1}, [(1, 50.0)])
    assert database.get_trial(trial_id) == before
    assert database.get_n_trials(study_id) == 1
    ledger.complete("s", new, begin(ledger, new, study_id), OUTCOME, {}, [])
    with pytest.raises(Fenced, match=taken_over):
        ledger.complete("s", old, trial_id, {**OUTCOME, "value": 9.0}, {}, [])
    (task,) = ledger.tasks("s")
    assert (task.state, task.outcome, task.trial) == ("done", OUTCOME, 1)


def test_an_outcome_counts_only_with_its_trial(
    ledger: Ledger, database: Database, study_id: int
) -> None:
    task, trial_id = started(ledger, study_id)
    database.set_trial_state_values(trial_id, TrialState.FAIL)
    with pytest.raises(Fenced, match=r"The trial of task 0 was ended by somebody else\."):
        ledger.complete("s", task, trial_id, OUTCOME, {}, [])
    (stored,) = ledger.tasks("s")
    assert (stored.state, stored.outcome) == ("claimed", None)


@pytest.mark.parametrize("reason", [None, "SuccessiveHalvingPruner at step 20"])
def test_completing_twice_is_completing_once(
    ledger: Ledger, database: Database, study_id: int, reason: str | None
) -> None:
    task, trial_id = started(ledger, study_id)
    outcome = {**OUTCOME, "pruned": reason}
    ledger.complete("s", task, trial_id, outcome, {"std": 0.0}, [(1, 2.0)])
    done = database.get_trial(trial_id)
    assert done.state == (TrialState.COMPLETE if reason is None else TrialState.PRUNED)
    ledger.complete("s", task, trial_id, outcome, {"std": 0.0}, [(1, 2.0)])
    assert database.get_trial(trial_id) == done
    assert [t.state for t in ledger.tasks("s")] == ["done"]
    assert ledger.claim("s", "b", 0.0) is None


def test_values_are_appended_once_each(ledger: Ledger, database: Database, study_id: int) -> None:
    _, trial_id = started(ledger, study_id)
    assert ledger.append(trial_id, [(1, 50.0), (2, 60.0)], {"note": 1})
    assert ledger.append(trial_id, [(2, 61.0), (3, 70.0)], {"note": 2})  # of a step the first stays
    assert ledger.append(trial_id, [], {})
    assert ledger.append(trial_id, [(4, math.inf)], {})
    trial = database.get_trial(trial_id)
    assert math.isnan(trial.intermediate_values.pop(4))  # a gap in the curve
    assert trial.intermediate_values == {1: 50.0, 2: 60.0, 3: 70.0}
    assert trial.system_attrs == {"note": 2}


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.COMPLETE, TrialState.WAITING])
def test_a_trial_that_is_not_running_takes_no_values(
    ledger: Ledger, database: Database, study_id: int, state: TrialState
) -> None:
    _, trial_id = started(ledger, study_id)
    ledger.append(trial_id, [(1, 50.0)], {})
    value = [50.0] if state == TrialState.COMPLETE else None
    database.set_trial_state_values(trial_id, state, value)
    assert not ledger.append(trial_id, [(2, 60.0)], {"note": 1})
    assert not ledger.append(999_999, [(2, 60.0)], {})
    trial = database.get_trial(trial_id)
    assert (trial.intermediate_values, trial.system_attrs) == ({1: 50.0}, {})


def test_racing_writers_lose_nothing(
    ledger: Ledger, new_ledger: Callable[[], Ledger], database: Database, study_id: int
) -> None:
    """Two write each step, and all begin trials, whose numbers follow each other."""
    _, trial_id = started(ledger, study_id)
    ledger.open_tasks("s", [NewTask(i, 0, f"key{i}", {}) for i in range(1, 21)])
    ledgers = [new_ledger() for _ in range(4)]
    errors: list[BaseException] = []

    def write(index: int) -> None:
        mine = ledgers[index]
        try:
            for step in range(index, 40, 2):
                mine.append(trial_id, [(step, float(step))], {})
            for _ in range(5):
                begin(mine, claim(mine), study_id)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    trials = database.get_all_trials(study_id)
    assert trials[0].intermediate_values == {step: float(step) for step in range(40)}
    assert [trial.number for trial in trials] == list(range(21))
    assert {task.trial for task in ledger.tasks("s")} == set(range(21))


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


def test_a_held_trial_is_read_once_it_has_ended(
    ledger: Ledger, database: Database, study_id: int
) -> None:
    task, trial_id = started(ledger, study_id)
    ledger.append(trial_id, [(1, 50.0)], {})
    database.held = trial_id
    (trial,) = database.get_all_trials(study_id)
    assert (trial.state, trial.user_attrs) == (TrialState.RUNNING, {})
    assert trial.intermediate_values == {}
    ledger.complete("s", task, trial_id, OUTCOME, {}, [(2, 60.0)])
    (trial,) = database.get_all_trials(study_id)
    assert (trial.state, trial.user_attrs) == (TrialState.COMPLETE, ATTRIBUTES)
    assert trial.intermediate_values == {1: 50.0, 2: 60.0}
