"""Budgets, candidates that were added, and early stops, with real workers that are killed."""

import dataclasses
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from worker_samples import (
    chaos,
    create_study,
    crew_of,
    differences_from_alone,
    promote_space,
    violations,
    wait_for,
)

from hpo.queue import Patience, StudyRow
from hpo.search import TaskState, trained_epochs
from hpo.study import StoredStudy, add_candidate, best_so_far, epochs_unfinished, warm_start
from hpo.worker import Worker, WorkerSettings
from hpo.worker._bench import Workbench
from hpo.worker._settings import Stopping
from hpo.worker._tied import StopWhenTied

pytestmark = pytest.mark.slow

LEFT_EARLY = 3


def in_sqlite(folder: Path, name: str = "s", **changes: Any) -> StoredStudy:
    url = f"sqlite:///{folder / 's.db'}"
    return create_study(url, name, promote_space(**changes), folder)


def steps_of(study: StoredStudy) -> dict[int, int]:
    """How far each begun trial is, by position."""
    pauses = study.pauses()
    return {
        task.position: task.outcome.steps
        if task.outcome is not None
        else max((past.step for past in pauses.get(task.position, ())), default=0)
        for task in study.tasks()
        if task.begun
    }


def cost_of(study: StoredStudy) -> int:
    """Epochs of single runs, shared ones counted for each trial."""
    configs = {task.position: task.config for task in study.tasks()}
    total = 0
    for position, step in steps_of(study).items():
        config = configs[position]
        assert config is not None
        total += trained_epochs(study.space, config, study.definition.modalities, step)
    return total


def wholes(study: StoredStudy) -> int:
    return sum(t.outcome is not None and t.outcome.pruned is None for t in study.tasks())


@pytest.mark.timeout(200)
def test_a_budget_is_kept_although_workers_are_killed_and_a_larger_one_goes_on(
    url: str, tmp_path: Path
) -> None:
    study = create_study(url, "s", promote_space(length=45, trials=16), tmp_path)
    budget = 600
    study.ledger.limit("s", None, None, budget)
    rng = random.Random(0)
    chaos(study, tmp_path / "a", rng, workers=3, every=0.8, seconds=90.0, done=LEFT_EARLY)
    assert cost_of(study) <= budget
    assert wholes(study) >= 1
    states = {task.state for task in study.tasks()}
    assert states <= {TaskState.OPEN, TaskState.PAUSED, TaskState.DONE}
    waiting = [t for t in study.optuna.get_trials() if t.state is TrialState.WAITING]
    paused = [t for t in study.tasks() if t.state is TaskState.PAUSED]
    assert len(waiting) == len(paused) > 0
    assert TrialState.RUNNING not in {t.state for t in study.optuna.get_trials()}
    assert epochs_unfinished(study, study.tasks()) > 0
    best = best_so_far(study, study.tasks())
    assert best is not None and best.outcome is not None and best.outcome.pruned is None
    study.ledger.limit("s", None, None, 100_000)
    chaos(study, tmp_path / "b", rng, workers=3, every=0.8, seconds=90.0)
    assert violations(study) == []
    assert wholes(study) >= 3
    assert differences_from_alone(study, tmp_path / "alone") == []


def test_a_budget_is_counted_by_what_was_trained(tmp_path: Path) -> None:
    study = in_sqlite(tmp_path, seeds=1)
    study.ledger.limit("s", None, None, 160)
    assert not Worker(study, WorkerSettings()).run()
    tasks = study.tasks()
    ended = sum(task.outcome.epochs_trained for task in tasks if task.outcome is not None)
    trained = ended + epochs_unfinished(study, tasks)
    assert 0 < trained <= cost_of(study) <= 160
    assert wholes(study) >= 1


@pytest.mark.timeout(200)
def test_candidates_that_are_added_meanwhile_are_trained_by_killed_workers(
    url: str, tmp_path: Path
) -> None:
    study = create_study(url, "s", promote_space(length=36), tmp_path)
    given = [{"lr": 0.02, "fusion": "sum"}, {"lr": 0.03, "ema_decay": 0.9}, {"fusion": "image"}]

    def add() -> None:
        wait_for(lambda: len(study.pauses()) > 0, "a paused trial", 60)
        for values in given:
            assert add_candidate(study, values)
        study.optuna.enqueue_trial({"lr": 0.05, "fusion": "gated"})
        study.optuna.enqueue_trial({"lr": 0.05, "fusion": "concat"})  # isn't in the space

    adding = threading.Thread(target=add)
    adding.start()
    chaos(study, tmp_path / "log", random.Random(1), workers=2, every=2.5, seconds=150.0)
    adding.join()
    assert violations(study) == []
    assert differences_from_alone(study, tmp_path / "alone") == []
    tasks = study.tasks()
    assert len(tasks) == 13 + len(given) + 1
    assert sum(task.added for task in tasks) == len(given) + 1
    for values in given:
        assert not add_candidate(study, values)
    trials = study.optuna.get_trials()
    taken = [t for t in trials if t.params.get("fusion") == "gated" and t.params["lr"] == 0.05]
    # what a killed worker leaves is failed, and another trial takes its place
    assert [t.state is TrialState.FAIL for t in taken] == [True] * (len(taken) - 1) + [False]
    closed = [t for t in trials if t.user_attrs.get("failed", "").startswith("taken up: ")]
    assert [t.state for t in closed] == [TrialState.FAIL]
    (refused,) = [t for t in trials if "is concat, but must be" in t.user_attrs.get("failed", "")]
    assert refused.state is TrialState.FAIL


def test_a_complete_study_goes_on_with_what_is_added(tmp_path: Path) -> None:
    study = in_sqlite(tmp_path, seeds=1, trials=4)
    assert Worker(study, WorkerSettings()).run()
    before = [str(trial) for trial in study.optuna.get_trials()]
    assert add_candidate(study, {"lr": 0.02})
    assert not study.strategy.next(study.board()).complete
    assert Worker(study, WorkerSettings()).run()
    after = study.optuna.get_trials()
    assert [str(trial) for trial in after[:4]] == before
    assert len(after) == 5
    assert after[4].params["lr"] == 0.02
    assert study.strategy.next(study.board()).complete
    assert violations(study) == []


def test_a_study_starts_from_another_one_s_best(tmp_path: Path) -> None:
    other = in_sqlite(tmp_path, "other", seeds=1, trials=6)
    assert Worker(other, WorkerSettings()).run()
    search = {"params": {"lr": {"low": 0.0001, "high": 1e9, "log": True}}}
    study = in_sqlite(tmp_path, "warm", seeds=1, trials=3, **search)
    lines = warm_start(study, other)
    best = other.best()
    assert best is not None and best.config is not None
    assert lines[0].startswith(f"warm start from other: trial {best.trial} (lr ")
    assert Worker(study, WorkerSettings()).run()
    first = study.optuna.get_trials()[0]
    assert first.params == {"lr": best.config.lr}
    assert len(study.tasks()) == 3 + len(lines)
    assert warm_start(study, other) == [
        f"warm start from {other.name}: the study was begun before, so it takes nothing"
    ]
    assert violations(study) == []


@pytest.mark.timeout(120)
def test_a_study_stops_when_more_trials_would_gain_too_little(tmp_path: Path) -> None:
    params = {"lr": {"low": 0.01, "high": 0.011}}
    study = in_sqlite(tmp_path, trials=60, seeds=1, params=params, stop_when="tied")
    with crew_of(study, tmp_path / "log") as crew:
        crew.start(2)
        assert crew.wait(90) == [0, 0], crew.log.read_text()
    row = study.ledger.study("s")
    assert row is not None and row.stopped is not None
    assert row.stopped.startswith("more trials were expected to gain at most ")
    begun = [task for task in study.tasks() if task.begun]
    assert 10 <= len(begun) < 30
    assert all(task.state is TaskState.DONE for task in begun)
    assert wholes(study) >= 3


def test_a_study_is_not_stopped_while_many_trials_are_still_to_come(tmp_path: Path) -> None:
    params = {"lr": {"low": 1e-5, "high": 0.1, "log": True}}
    study = in_sqlite(tmp_path, trials=1000, seeds=1, params=params, stop_when="tied")
    study.ledger.limit("s", None, 16)
    assert Worker(study, WorkerSettings()).run()
    study.ledger.limit("s", None, None)
    question = study.strategy.stop_question(study.board())
    assert question is not None and question.gain > 10  # it was measured with 10 to 16 trials
    bench = Workbench(study.definition, WorkerSettings(), None, Patience(), lambda: None)
    StopWhenTied(study, bench).check()
    row = study.ledger.study("s")
    assert row is not None and row.stopped is None


def test_a_deadline_that_was_moved_is_asked_for_before_a_worker_leaves(tmp_path: Path) -> None:
    """Its last heartbeat told it of an earlier one."""
    study = in_sqlite(tmp_path, length=5000, trials=4)
    study.ledger.ration("s", 3600.0, None)
    ends: list[bool] = []
    worker = Worker(study, WorkerSettings(heartbeat=600.0, grace=3600.0))
    thread = threading.Thread(target=lambda: ends.append(worker.run()))
    thread.start()

    def claim() -> int | None:
        return next((t.token for t in study.tasks() if t.state is TaskState.CLAIMED), None)

    wait_for(lambda: claim() is not None, "a claim")
    first = claim()
    worker._stopping.leave(0.0)
    wait_for(lambda: claim() not in (first, None), "a second claim")
    study.ledger.ration("s", 0.0, None)
    worker._stopping.leave(0.0)
    thread.join(30.0)
    assert ends == [False]


def test_a_clock_that_is_set_moves_no_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = in_sqlite(tmp_path, length=5000, trials=4)
    study.ledger.ration("s", 60.0, None)
    row = study.ledger.study("s")
    assert row is not None and row.seconds_left is not None
    stopping, now = Stopping(), [0.0]
    monkeypatch.setattr("hpo.worker._settings.time.monotonic", lambda: now[0])
    for passed, ahead in ((0.0, 0.0), (20.0, 3600.0), (40.0, -3600.0), (59.0, 3600.0)):
        now[0] = passed
        stopping.leave(row.seconds_left - passed - ahead, row.deadline)
        assert not stopping.due
    now[0] = 60.5
    stopping.leave(3600.0, row.deadline)
    assert stopping.due
    stopping.leave(3600.0, row.deadline + 3600.0)  # it was moved
    assert not stopping.due
    stopping.leave(None, None)
    now[0] = 1e9
    assert not stopping.due


def test_a_worker_goes_on_and_ends_in_time_while_the_clock_is_set(tmp_path: Path) -> None:
    """The ledger tells it what is left by a clock that goes forward, and then back by an hour."""
    study = in_sqlite(tmp_path, length=5000, trials=4)
    study.ledger.limit("s", 6.0, None)
    base, real, ahead = study.ledger._thing, study.ledger._thing.study, [0.0]  # type: ignore[attr-defined]

    def set_clock(name: str) -> StudyRow | None:
        row: StudyRow | None = real(name)
        assert row is not None and row.seconds_left is not None
        return dataclasses.replace(row, seconds_left=row.seconds_left - ahead[0])

    base.study = set_clock
    ends: list[bool] = []
    worker = Worker(study, WorkerSettings(heartbeat=0.2))
    thread = threading.Thread(target=lambda: ends.append(worker.run()))
    began = time.monotonic()
    thread.start()
    wait_for(lambda: any(t.state is TaskState.CLAIMED for t in study.tasks()), "a claim")
    ahead[0] = 3600.0
    time.sleep(1.5)
    assert thread.is_alive()
    ahead[0] = -3600.0
    thread.join(120.0)  # not an hour, which the clock was set by
    assert ends == [False]
    assert time.monotonic() - began > 4.0
