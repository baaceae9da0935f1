"""A task and its trial, on every store, with Optuna's tables known and not: always in step."""

import dataclasses
import itertools
import logging
import math
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial
from queue_samples import OUTCOME, config, race, unknown_optuna
from trial_samples import DOMAINS, SEARCHED, SHOWN, TAKEN_OVER, Process, content, drawn, noted

from hpo.queue import Fenced, SqlLedger
from hpo.queue._atomic import AtomicTrials
from hpo.queue._public import PublicTrials
from hpo.search import NewTask, Progress, Task, TaskState
from hpo.trials import SEAL, redraw


def test_the_store_decides_how_trials_are_written(
    here: Process, either_store: tuple[str, str, bool]
) -> None:
    assert here.ledger.writes_trials is either_store[2]
    assert type(here.trials) is (AtomicTrials if either_store[2] else PublicTrials)


def test_a_trial_is_as_optuna_s_own(here: Process) -> None:
    task, ours = here.started()
    assert task.config is not None
    storage = here.source.storage
    template = create_trial(
        state=TrialState.RUNNING,
        params={"loss": "bce", "lr": 0.001, "epochs": 1},
        distributions=DOMAINS,
        user_attrs={
            "task": 0,
            "worker": "a",
            "token": 1,
            "stage": "loss",
            "config": task.config.model_dump(mode="json"),
        },
    )
    theirs = storage.create_new_trial(here.source.id, template)
    curve = [(1, 0.1 + 0.2), (2, math.nan), (3, 60.0)]
    assert here.trials.append(ours, curve, {"completed_rung_0": 60.0})
    for step, value in curve:
        storage.set_trial_intermediate_value(theirs, step, value)
    storage.set_trial_system_attr(theirs, "completed_rung_0", 60.0)
    mine, other = here.stored()
    assert content(mine) == content(other)
    for step, value in curve:
        ours.note(step, value)
    ours.remember({"completed_rung_0": 60.0})
    assert content(ours.frozen) == content(mine)
    here.trials.complete(task, ours, OUTCOME, [(4, 2.0)])
    storage.set_trial_intermediate_value(theirs, 4, 2.0)
    for key, shown in SHOWN.items():
        storage.set_trial_user_attr(theirs, key, shown)
    storage.set_trial_state_values(theirs, TrialState.COMPLETE, [2.0])
    mine, other = here.stored()
    if here.ledger.writes_trials:
        crc, *counts = mine.system_attrs[SEAL]
        assert len(crc) == 8 and counts == [4, 1, "completed_rung_0"]
    assert content(mine) == content(other)
    assert [mine.number, other.number] == [0, 1] == [ours.number, 1]


def test_times_are_those_of_the_clock_on_the_wall(here: Process) -> None:
    task, trial = here.started()
    here.trials.complete(task, trial, OUTCOME, [])
    for stored in (here.stored()[0], here.trials.all()[0]):
        for moment in (stored.datetime_start, stored.datetime_complete):
            assert moment is not None
            assert abs(moment - datetime.now()) < timedelta(seconds=60)


def test_unfinished_trials_are_read_by_themselves(here: Process) -> None:
    here.open(0, 1, 2)
    tasks = [here.claim() for _ in range(3)]
    ended, waits, runs = [here.begin(task) for task in tasks]
    here.trials.complete(tasks[0], ended, OUTCOME, [])
    here.trials.append(waits, [(1, 50.0)], {})
    here.trials.hand_back(tasks[1], waits)
    here.trials.leave()
    found = here.trials.unfinished()
    assert [trial.number for trial in found] == [waits.number, runs.number]
    assert [trial.state.name for trial in found] == ["WAITING", "RUNNING"]
    assert found[0].intermediate_values == {1: 50.0}
    assert [trial.user_attrs["task"] for trial in found] == [1, 2]


def test_a_begun_task_knows_its_trial_and_its_configuration(here: Process) -> None:
    here.ledger.open_tasks(here.name, [NewTask(0, 0), NewTask(1, 0)])
    first, second = here.claim(), here.claim()
    here.begin(drawn(first, 5))
    assert here.trials.begin(drawn(second, 5), {}) is None
    stored = here.tasks()
    assert (stored[0].config, stored[0].runs, stored[0].trial) == (config(5), ("run",), 0)
    assert (stored[1].config, stored[1].trial) == (None, None)
    here.begin(drawn(second, 6))  # nothing was left of the first attempt
    assert [task.key for task in here.tasks()] == [config(5).key, config(6).key]
    assert [task.trial for task in here.tasks()] == [0, 1]
    assert [trial.number for trial in here.stored()] == [0, 1]


def test_a_repeat_has_no_key(here: Process) -> None:
    here.ledger.open_tasks(here.name, [NewTask(0, 0), NewTask(1, 0)])
    here.begin(drawn(here.claim(), 5))
    here.begin(drawn(here.claim(), 5, key=False))
    assert [(task.key, task.config) for task in here.tasks()] == [
        (config(5).key, config(5)),
        (None, config(5)),
    ]


def test_an_old_token_writes_no_trial(here: Process, new_process: Callable[[], Process]) -> None:
    old, trial = here.started()
    there = new_process()
    new = there.claim("b", grace=0.0)
    before = here.stored()
    with pytest.raises(Fenced, match=TAKEN_OVER):
        here.trials.begin(old, {})
    assert here.stored() == before
    with pytest.raises(Fenced, match=TAKEN_OVER):
        here.trials.complete(old, trial, OUTCOME, [])
    assert here.stored() == before
    there.trials.close_former(new)
    assert here.stored()[0].user_attrs["failed"] == ("its worker died; another one went on with it")
    assert not here.trials.append(trial, [(1, 50.0)], {})
    with pytest.raises(Fenced):
        here.trials.complete(old, trial, OUTCOME, [])
    assert there.trials.take_up(new) is None
    there.trials.complete(new, there.begin(new), OUTCOME, [])
    with pytest.raises(Fenced):
        here.trials.complete(old, trial, dataclasses.replace(OUTCOME, value=9.0), [])
    (task,) = there.tasks()
    assert (task.state, task.outcome, task.trial) == (TaskState.DONE, OUTCOME, 1)
    assert [t.state for t in there.stored()] == [TrialState.FAIL, TrialState.COMPLETE]


def test_an_outcome_counts_only_with_its_trial(here: Process) -> None:
    task, trial = here.started()
    here.source.storage.set_trial_state_values(trial.id, TrialState.FAIL)
    with pytest.raises(Fenced, match=r"The trial of task 0 was ended by somebody else\."):
        here.trials.complete(task, trial, OUTCOME, [])
    (stored,) = here.tasks()
    assert (stored.state, stored.outcome) == (TaskState.CLAIMED, None)


@pytest.mark.parametrize("reason", [None, "SuccessiveHalvingPruner at step 20"])
def test_completing_twice_is_completing_once(here: Process, reason: str | None) -> None:
    task, trial = here.started()
    outcome = dataclasses.replace(OUTCOME, pruned=reason)
    here.trials.complete(task, trial, outcome, [(1, 2.0)])
    (done,) = here.stored()
    assert done.state == (TrialState.COMPLETE if reason is None else TrialState.PRUNED)
    assert (done.value, done.user_attrs.get("pruned")) == (2.0, reason)
    here.trials.complete(task, trial, outcome, [(1, 2.0)])
    assert here.stored() == [done]
    assert [t.state for t in here.tasks()] == [TaskState.DONE]
    assert here.ledger.claim(here.name, "b", 0.0) is None


def test_values_are_appended_once_each(here: Process) -> None:
    _, trial = here.started()
    assert here.trials.append(trial, [(1, 50.0), (2, 60.0)], {"note": 1})
    assert here.trials.append(trial, [(2, 61.0), (3, 70.0)], {"note": 2})  # the first stays
    assert here.trials.append(trial, [], {})
    assert here.trials.append(trial, [(4, math.inf)], {})
    (stored,) = here.stored()
    assert math.isnan(stored.intermediate_values.pop(4))  # a gap in the curve
    assert stored.intermediate_values == {1: 50.0, 2: 60.0, 3: 70.0}
    assert noted(stored) == {"note": 2}


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.COMPLETE, TrialState.WAITING])
def test_a_trial_that_is_not_running_takes_no_values(here: Process, state: TrialState) -> None:
    _, trial = here.started()
    here.trials.append(trial, [(1, 50.0)], {})
    value = [50.0] if state == TrialState.COMPLETE else None
    here.source.storage.set_trial_state_values(trial.id, state, value)
    assert not here.trials.append(trial, [(2, 60.0)], {"note": 1})
    (stored,) = here.stored()
    assert (stored.intermediate_values, noted(stored)) == ({1: 50.0}, {})


@pytest.mark.parametrize("way", ["handed back", "paused"])
def test_a_trial_is_taken_up_as_it_was(
    here: Process, new_process: Callable[[], Process], way: str
) -> None:
    task, trial = here.started()
    assert here.trials.take_up(task) is None
    here.trials.append(trial, [(1, 50.0), (2, 60.0)], {"completed_rung_0": 50.0})
    if way == "handed back":
        here.trials.hand_back(task, trial)
    else:
        here.trials.pause(task, trial, Progress(2, 9, 60.0, trial.number))
        assert here.ledger.claim(here.name, "b", 0.0) is None
        assert here.ledger.resume(here.name, [0]) == 1
    here.trials.leave()
    assert here.stored()[0].state == TrialState.WAITING
    there = new_process()
    again = there.claim("b")
    there.trials.close_former(again)
    taken = there.trials.take_up(again)
    assert taken is not None
    assert (taken.id, taken.number, taken.config) == (trial.id, 0, config(0))
    assert taken.frozen.intermediate_values == {1: 50.0, 2: 60.0}
    assert (SEAL in taken.frozen.system_attrs) is here.ledger.writes_trials
    assert noted(taken.frozen) == {"completed_rung_0": 50.0}
    assert not here.trials.append(trial, [], {}) or there.stored()[0].state == TrialState.RUNNING
    with pytest.raises(Fenced):
        here.trials.complete(task, trial, OUTCOME, [])
    there.trials.complete(again, taken, OUTCOME, [(3, 2.0)])
    (stored,) = there.stored()
    assert (stored.state, list(stored.intermediate_values)) == (TrialState.COMPLETE, [1, 2, 3])


def test_a_waiting_trial_that_somebody_ended_is_begun_anew(here: Process) -> None:
    task, trial = here.started()
    here.trials.hand_back(task, trial)
    here.source.storage.set_trial_state_values(trial.id, TrialState.FAIL)
    again = here.claim()
    assert here.trials.take_up(again) is None
    assert here.begin(again).number == 1


def test_a_task_fails_with_its_trials(here: Process) -> None:
    here.open(0)
    for attempt in range(2):
        task = here.claim()
        here.trials.close_former(task)
        trial = here.begin(task)
        assert here.trials.fail(task, trial, f"reason {attempt}", "trace") is (attempt == 1)
    (stored,) = here.tasks()
    assert (stored.state, stored.reason) == (TaskState.FAILED, "reason 1")
    for attempt, failed in enumerate(here.stored()):
        assert failed.state == TrialState.FAIL
        assert failed.user_attrs["failed"] == f"reason {attempt}"
        assert failed.user_attrs["traceback"] == "trace"


def test_a_task_without_a_trial_fails_and_is_handed_back(here: Process) -> None:
    here.open(0)
    here.trials.hand_back(here.claim(), None)
    assert not here.trials.fail(here.claim(), None, "why")
    assert [(task.state, task.token) for task in here.tasks()] == [(TaskState.OPEN, 2)]
    assert here.stored() == []


def test_racing_writers_lose_nothing(here: Process, new_process: Callable[[], Process]) -> None:
    """Two write each step, and all begin trials, whose numbers follow each other."""
    _, trial = here.started()
    here.open(*range(1, 13))
    processes = [new_process() for _ in range(4)]

    def write(index: int) -> None:
        mine = processes[index]
        for step in range(index % 2, 20, 2):
            mine.trials.append(trial, [(step, float(step))], {})
        for _ in range(3):
            mine.begin(mine.claim())

    race(4, write)
    here.trials.leave()
    stored = here.stored()
    assert stored[0].intermediate_values == {step: float(step) for step in range(20)}
    assert [trial.number for trial in stored] == list(range(13))
    assert {task.trial for task in here.tasks()} == set(range(13))


def test_a_held_trial_is_read_once_it_has_ended(here: Process) -> None:
    task, trial = here.started()
    here.trials.append(trial, [(1, 50.0)], {})
    (read,) = here.trials.all()
    assert read.state == TrialState.RUNNING
    here.trials.complete(task, trial, OUTCOME, [(2, 60.0)])
    (read,) = here.trials.all()
    assert (read.state, read.user_attrs["scores"]) == (TrialState.COMPLETE, [1.5, 2.5])
    assert read.intermediate_values == {1: 50.0, 2: 60.0}


def finish(process: Process, values: list[float]) -> None:
    """Complete a task for each value."""
    first = len(process.tasks())
    process.open(*range(first, first + len(values)))
    for value in values:
        task = process.claim()
        trial = process.begin(task)
        trial.note(1, value)
        _, noted = process.trials.should_prune(trial)
        process.trials.append(trial, [(1, value)], noted)
        process.trials.complete(task, trial, dataclasses.replace(OUTCOME, value=value), [])


def test_a_trial_is_judged_by_what_is_known_here(here: Process) -> None:
    finish(here, [1.0, 2.0, 3.0])
    here.open(3)
    trial = here.begin(here.claim())
    trial.note(1, 1.5)
    trial.note(1, 9.0)  # the first value of a step stays
    assert here.trials.should_prune(trial) == (True, {"completed_rung_0": 1.5})
    stored = here.stored()[-1]
    assert (noted(stored), stored.intermediate_values) == ({}, {})
    assert trial.frozen.system_attrs == {}


def test_suggestions_follow_from_the_history_alone(
    here: Process, new_process: Callable[[], Process]
) -> None:
    first = here.trials.draw(9, 0)
    assert first == new_process().trials.draw(9, 0)
    finish(here, [1.0, 2.0, 3.0, 4.0])
    chosen, draw = here.trials.draw(9, 0)
    assert (draw.trials, draw.unfinished) == (4, ())
    assert new_process().trials.draw(9, 0) == (chosen, draw)
    assert here.trials.draw(9, 1)[0] != chosen
    finish(here, [5.0])
    assert redraw(here.source, SEARCHED, draw) == chosen
    assert len(here.stored()) == 5  # nothing was created


def test_an_outcome_whose_trial_is_gone_gets_one(here: Process) -> None:
    here.open(0)
    task = here.claim()
    here.ledger.complete(here.name, task, OUTCOME)
    here.trials.reconcile()
    (stored,) = here.stored()
    assert (stored.state, stored.value) == (TrialState.COMPLETE, 2.0)
    assert stored.user_attrs["config"] == config(0).model_dump(mode="json")
    here.trials.reconcile()
    assert here.stored() == [stored]


def test_a_study_that_was_deleted_in_optuna_is_said_to_be_gone(here: Process) -> None:
    here.open(0)
    here.source.storage.delete_study(here.source.id)
    with pytest.raises(KeyError):
        here.trials.begin(here.claim(), {})


def test_what_is_not_known_is_said_once(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with unknown_optuna():
        url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}"
        for name in ("a", "b"):
            Process(url, name).close()
    assert [record.getMessage() for record in caplog.records] == [
        "Optuna 5.0.0 is not as this version of hpo knows it (its tables are of revision "
        "v3.2.0.a, not v2.0.0.a); its public calls are used instead, which take longer."
    ]


def test_a_task_that_ends_while_it_is_taken_over_is_done(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner was silent, and completes it between a claim's reading and its writing.

    Only on PostgreSQL: SQLite lets nobody write between the two.
    """
    url = postgres.new_url()
    owner, other = Process(url, "s"), Process(url, "s")
    task, trial = owner.started()
    taken = SqlLedger._take

    def complete_first(self: SqlLedger, *arguments: Any) -> Task | None:
        owner.trials.complete(task, trial, OUTCOME, [])
        return taken(self, *arguments)

    monkeypatch.setattr(SqlLedger, "_take", complete_first)
    assert other.ledger.claim("s", "b", 0.0) is None
    monkeypatch.undo()
    assert other.ledger.claim("s", "b", 0.0) is None
    assert [(t.state, t.token, t.outcome) for t in other.tasks()] == [(TaskState.DONE, 1, OUTCOME)]
    owner.close()
    other.close()


def test_threads_may_write_while_the_trial_is_worked_on(here: Process) -> None:
    """The pulse appends while the one that trains asks the pruner."""
    finish(here, [1.0, 2.0])
    here.open(2)
    trial = here.begin(here.claim())
    stop = threading.Event()
    errors: list[BaseException] = []

    def pulse() -> None:
        try:
            for step in itertools.count(1):
                if stop.is_set():
                    return
                assert here.trials.append(trial, [(step, float(step))], {})
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=pulse)
    thread.start()
    for step in range(1, 40):
        trial.note(step, float(step))
        here.trials.should_prune(trial)
    stop.set()
    thread.join()
    assert errors == []
