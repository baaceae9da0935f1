"""The ledger's contract, on every store: who works on what is decided once."""

import dataclasses
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from queue_samples import GRACE, OUTCOME, claim, config, new_task, race, state_of, tasks_of

from hpo.models import Config
from hpo.queue import MAX_ATTEMPTS, Fenced, Ledger, PositionTakenError, SqlLedger
from hpo.search import NewTask, Progress, Task, TaskState

OpenLedger = Callable[[], Ledger]


def test_tasks_are_claimed_in_the_order_of_their_positions(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, [*reversed(tasks_of(3))])
    assert [claim(ledger, study).position for _ in range(3)] == [0, 1, 2]
    assert ledger.claim(study, "a", GRACE) is None


def test_a_claimed_task_reads_back_as_it_was_opened(ledger: Ledger, study: str) -> None:
    asked = Config(hidden=(16, 8), loss="focal", **{"focal.gamma": 2.0})
    ledger.open_tasks(study, [NewTask(4, 2, asked, ("x", "y"))])
    task = claim(ledger, study, "somebody")
    assert (task.position, task.stage, task.key) == (4, 2, asked.key)
    assert (task.config, task.runs) == (asked, ("x", "y"))
    assert (task.state, task.owner, task.token) == (TaskState.CLAIMED, "somebody", 1)
    assert (task.attempts, task.trial, task.progress, task.outcome) == (0, None, None, None)
    stored = state_of(ledger, study, 4)
    assert stored.age is not None
    assert 0 <= stored.age < 5
    assert dataclasses.replace(stored, age=0.0) == task


def test_what_failed_is_opened_again(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(3))
    for _ in range(MAX_ATTEMPTS):
        ledger.fail(study, claim(ledger, study), "RuntimeError: why")
    assert state_of(ledger, study, 0).state is TaskState.FAILED
    ledger.complete(study, claim(ledger, study), OUTCOME)
    assert ledger.retry(study) == 1
    assert ledger.retry(study) == 0
    again = claim(ledger, study)
    assert (again.position, again.token, again.attempts) == (0, MAX_ATTEMPTS + 1, 0)
    assert (again.reason, again.config) == (None, config(0))
    assert not ledger.fail(study, again, "once more")
    assert [task.state for task in ledger.tasks(study)] == [
        *(TaskState.OPEN, TaskState.DONE, TaskState.OPEN)
    ]


def test_eight_racing_workers_claim_each_task_once(
    ledger: Ledger, study: str, new_ledger: OpenLedger
) -> None:
    ledger.open_tasks(study, tasks_of(40))
    claimed: list[list[Task]] = [[] for _ in range(8)]

    def work(index: int) -> None:
        mine = new_ledger()
        while (task := mine.claim(study, f"worker{index}", GRACE)) is not None:
            claimed[index].append(task)
            mine.heartbeat(study, task, Progress(1, 2, 50.0))

    race(8, work)
    assert sorted(task.position for tasks in claimed for task in tasks) == list(range(40))
    for index, tasks in enumerate(claimed):
        for task in tasks:
            stored = state_of(ledger, study, task.position)
            assert (stored.owner, stored.token) == (f"worker{index}", 1)


def test_a_stage_is_opened_once_by_racing_openers(
    ledger: Ledger, study: str, new_ledger: OpenLedger
) -> None:
    opened = [0] * 8

    def work(index: int) -> None:
        opened[index] = new_ledger().open_tasks(study, tasks_of(5))

    race(8, work)
    assert sorted(opened) == [0] * 7 + [5]
    assert [task.position for task in ledger.tasks(study)] == list(range(5))


def test_a_configuration_is_opened_once_whatever_its_position(ledger: Ledger, study: str) -> None:
    assert ledger.open_tasks(study, tasks_of(1)) == 1
    assert ledger.open_tasks(study, [NewTask(1000, 1, config(0))]) == 0
    assert ledger.open_tasks(f"{study} other", tasks_of(1)) == 1


def test_a_position_of_another_configuration_is_an_error(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(2))
    mine, theirs = config(7).key, config(1).key
    with pytest.raises(PositionTakenError) as caught:
        ledger.open_tasks(study, [new_task(2), new_task(1, 7), new_task(3)])
    assert str(caught.value) == (
        f"--study {study}: position 1 of its queue holds configuration {theirs} and can't take "
        f"configuration {mine}; another version of hpo or another space opened it. Go on with "
        "what the study was begun with, or begin a new one under another name "
        "(--study NAME --space FILE)."
    )
    assert [task.position for task in ledger.tasks(study)] == [0, 1]  # nothing was opened


def test_a_position_that_waits_for_a_draw_takes_no_configuration(
    ledger: Ledger, study: str
) -> None:
    assert ledger.open_tasks(study, [NewTask(0, 0), NewTask(1, 0)]) == 2
    assert ledger.open_tasks(study, [NewTask(1, 0), NewTask(2, 0)]) == 1
    with pytest.raises(PositionTakenError, match=r"position 0 .* holds one that isn't drawn yet"):
        ledger.open_tasks(study, [new_task(0)])


def test_tables_are_made_once_by_racing_workers(url: str) -> None:
    ledgers: list[Ledger] = []

    def work(index: int) -> None:
        ledger = SqlLedger(url)
        ledgers.append(ledger)
        ledger.define("s", {"by": index})

    race(8, work)
    assert ledgers[0].studies() == ["s"]
    for ledger in ledgers:
        ledger.close()


def test_a_file_that_another_is_writing_is_waited_for(tmp_path: Path) -> None:
    """The switch to write-ahead logging is refused at once while another has the write lock."""
    file = tmp_path / "store.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE t (x)")
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.2, other.rollback)
    done.start()
    ledger = SqlLedger(f"sqlite:///{file}")
    done.join()
    assert ledger.studies() == []
    other.close()
    with closing(sqlite3.connect(file)) as later:
        assert later.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    ledger.close()


def test_the_first_definition_counts(ledger: Ledger, study: str) -> None:
    name = f"{study} again"
    assert ledger.define(name, {"a": [1, {"b": None}]}) == {"a": [1, {"b": None}]}
    assert ledger.define(name, {"a": 2}) == {"a": [1, {"b": None}]}
    names = ledger.studies()
    assert {study, name} <= set(names)
    assert names == sorted(names)
    assert ledger.study("unknown") is None


def test_an_owner_that_is_alive_keeps_its_task(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(1))
    claim(ledger, study, "a")
    assert ledger.claim(study, "b", GRACE) is None


def test_a_silent_owner_loses_its_task_after_the_grace(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(1))
    task = claim(ledger, study, "a")
    ledger.attach(study, task, 7)
    time.sleep(0.3)
    ledger.heartbeat(study, task, Progress(3, 9, 50.0))
    assert ledger.claim(study, "b", 0.25) is None  # the heartbeat started the grace again
    time.sleep(0.3)
    taken = claim(ledger, study, "b", 0.25)
    assert (taken.owner, taken.token, taken.trial, taken.progress) == ("b", 2, 7, None)


WRITES: dict[str, Callable[[Ledger, str, Task], object]] = {
    "heartbeat": lambda ledger, study, task: ledger.heartbeat(study, task, None),
    "settle": lambda ledger, study, task: ledger.settle(study, task),
    "attach": lambda ledger, study, task: ledger.attach(study, task, 1),
    "release": lambda ledger, study, task: ledger.release(study, task),
    "pause": lambda ledger, study, task: ledger.pause(study, task, Progress(1, 2, 50.0)),
    "fail": lambda ledger, study, task: ledger.fail(study, task, "why"),
    "complete": lambda ledger, study, task: ledger.complete(study, task, OUTCOME),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_an_old_token_writes_nothing(
    ledger: Ledger, study: str, write: Callable[[Ledger, str, Task], object]
) -> None:
    ledger.open_tasks(study, tasks_of(1))
    old = claim(ledger, study, "a")
    new = claim(ledger, study, "b", grace=0.0)
    before = state_of(ledger, study)
    with pytest.raises(Fenced, match=r"Task 0 of the study was taken over\."):
        write(ledger, study, old)
    after = state_of(ledger, study)
    assert dataclasses.replace(after, age=before.age) == before
    assert (after.owner, after.token) == ("b", 2)
    ledger.release(study, new)
    with pytest.raises(Fenced):
        write(ledger, study, old)
    assert state_of(ledger, study).state is TaskState.OPEN
    assert ledger.pauses(study) == {}


def test_a_task_takes_the_configuration_that_was_drawn(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, [NewTask(0, 0), NewTask(1, 0)])
    first, second = claim(ledger, study), claim(ledger, study)
    drawn = {"config": config(5), "key": config(5).key, "runs": ("run",)}
    for _ in range(2):  # an answer may have been lost
        assert ledger.settle(study, dataclasses.replace(first, **drawn))
    assert not ledger.settle(study, dataclasses.replace(second, **drawn))
    assert state_of(ledger, study, 1).config is None
    assert ledger.settle(study, dataclasses.replace(second, **{**drawn, "key": None}))
    stored = ledger.tasks(study)
    assert [task.config for task in stored] == [config(5)] * 2
    assert [task.key for task in stored] == [config(5).key, None]


def test_a_task_that_was_handed_back_is_claimed_at_once(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(2))
    task = claim(ledger, study, "a")
    ledger.attach(study, task, 3)
    ledger.release(study, task)
    again = claim(ledger, study, "b")
    assert (again.position, again.token, again.trial, again.attempts) == (0, 2, 3, 0)


def test_a_task_is_given_up_after_its_last_attempt(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(1))
    assert MAX_ATTEMPTS == 2
    for attempt in range(MAX_ATTEMPTS):
        task = claim(ledger, study)
        assert task.attempts == attempt
        assert ledger.fail(study, task, f"reason {attempt}") is (attempt == MAX_ATTEMPTS - 1)
    stored = state_of(ledger, study)
    assert (stored.state, stored.attempts) == (TaskState.FAILED, 2)
    assert stored.reason == "reason 1"
    assert ledger.claim(study, "a", 0.0) is None


def test_tasks_that_share_a_run_are_not_worked_on_at_once(ledger: Ledger, study: str) -> None:
    runs = [("image",), ("image", "text"), ("text",), ("concat",)]
    ledger.open_tasks(study, [new_task(i, i, *r) for i, r in enumerate(runs)])
    first = claim(ledger, study, "a")
    assert [claim(ledger, study, o).position for o in "bc"] == [2, 3]
    assert ledger.claim(study, "d", GRACE) is None
    ledger.release(study, first)
    again = claim(ledger, study, "a")
    ledger.fail(study, dataclasses.replace(again, attempts=MAX_ATTEMPTS - 1), "why")
    assert ledger.claim(study, "d", GRACE) is None  # text is still being trained
    text = state_of(ledger, study, 2)
    ledger.fail(study, dataclasses.replace(text, attempts=MAX_ATTEMPTS - 1), "why")
    assert claim(ledger, study, "d").position == 1


def test_limits_hold_from_now_on(ledger: Ledger, study: str) -> None:
    row = ledger.study(study)
    assert row is not None
    assert (row.seconds_left, row.max_tasks) == (None, None)
    ledger.limit(study, 100.0, 5)
    row = ledger.study(study)
    assert row is not None
    assert row.seconds_left is not None
    assert 95 < row.seconds_left <= 100
    assert row.max_tasks == 5
    ledger.limit(study, 0.05, None)
    time.sleep(0.1)
    row = ledger.study(study)
    assert row is not None
    assert row.seconds_left is not None
    assert row.seconds_left < 0


def test_no_more_tasks_are_started_than_the_limit(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(4))
    ledger.limit(study, None, 2)
    first, second = claim(ledger, study, "a"), claim(ledger, study, "b")
    assert ledger.claim(study, "c", GRACE) is None
    ledger.release(study, second)  # but what was started is gone on with
    assert claim(ledger, study, "c").position == 1
    assert claim(ledger, study, "c", grace=0.0).position == 0
    assert first.position == 0
    ledger.limit(study, None, None)
    assert claim(ledger, study, "d").position == 2


def test_progress_is_shown_while_the_task_is_worked_on(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(1))
    task = claim(ledger, study)
    progress = Progress(3, 9, 81.5, trial=4)
    ledger.heartbeat(study, task, progress)
    assert state_of(ledger, study).progress == progress
    ledger.release(study, task)
    assert state_of(ledger, study).progress is None


def test_an_outcome_is_committed_once(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(1))
    task = claim(ledger, study)
    ledger.heartbeat(study, task, Progress(3, 9, 81.5))
    for _ in range(2):  # an answer may have been lost
        ledger.complete(study, task, OUTCOME)
    stored = state_of(ledger, study)
    assert (stored.state, stored.outcome, stored.progress) == (TaskState.DONE, OUTCOME, None)
    assert ledger.claim(study, "b", 0.0) is None
    with pytest.raises(Fenced):
        ledger.release(study, task)


def test_a_paused_task_waits_until_it_is_resumed(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, [new_task(0, 0, "run"), new_task(1, 1, "run")])
    task = claim(ledger, study)
    ledger.attach(study, task, 3)
    ledger.pause(study, task, Progress(5, 20, 70.0, trial=3))
    paused = state_of(ledger, study)
    assert (paused.state, paused.token, paused.trial) == (TaskState.PAUSED, 1, 3)
    assert paused.progress == Progress(5, 20, 70.0, trial=3)
    with pytest.raises(Fenced):
        ledger.heartbeat(study, task, None)
    other = claim(ledger, study, grace=0.0)
    assert other.position == 1  # its run is free
    assert ledger.claim(study, "b", GRACE) is None
    assert ledger.resume(study, [0, 1, 99]) == 1
    assert ledger.resume(study, [0]) == 0
    assert state_of(ledger, study).progress == paused.progress
    assert ledger.claim(study, "b", GRACE) is None  # its run is trained by the other one
    ledger.complete(study, other, OUTCOME)
    again = claim(ledger, study, "b")
    assert (again.position, again.token, again.trial, again.attempts) == (0, 2, 3, 0)
    ledger.pause(study, again, Progress(10, 20, 75.0, trial=3))
    assert ledger.pauses(study) == {
        0: (Progress(5, 20, 70.0, trial=3), Progress(10, 20, 75.0, trial=3))
    }


def test_a_task_is_resumed_by_one_of_those_who_race(
    ledger: Ledger, study: str, new_ledger: OpenLedger
) -> None:
    ledger.open_tasks(study, tasks_of(5))
    for _ in range(5):
        ledger.pause(study, claim(ledger, study), Progress(1, 2, 50.0))
    resumed = [0] * 4

    def work(index: int) -> None:
        resumed[index] = new_ledger().resume(study, range(5))

    race(4, work)
    assert sum(resumed) == 5
    assert ledger.counts(study)[TaskState.OPEN] == 5


def test_a_resumed_task_is_within_the_limit(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(2))
    ledger.limit(study, None, 1)
    ledger.pause(study, claim(ledger, study), Progress(1, 2, 50.0))
    assert ledger.claim(study, "a", GRACE) is None
    ledger.resume(study, [0])
    assert claim(ledger, study).position == 0


def test_states_are_counted(ledger: Ledger, study: str) -> None:
    assert ledger.counts(study) == dict.fromkeys(TaskState, 0)
    ledger.open_tasks(study, tasks_of(4))
    ledger.complete(study, claim(ledger, study), OUTCOME)
    ledger.pause(study, claim(ledger, study), Progress(1, 2, 50.0))
    assert ledger.counts(study) == {
        TaskState.OPEN: 2,
        TaskState.CLAIMED: 0,
        TaskState.PAUSED: 1,
        TaskState.DONE: 1,
        TaskState.FAILED: 0,
    }


def test_a_study_is_deleted_with_its_tasks(ledger: Ledger, study: str) -> None:
    other = f"{study} other"
    for name in (study, other):
        ledger.define(name, {})
        ledger.open_tasks(name, tasks_of(2))
    task = claim(ledger, study)
    for _ in range(2):
        ledger.delete(study)
    assert ledger.study(study) is None
    assert ledger.tasks(study) == []
    assert len(ledger.tasks(other)) == 2
    with pytest.raises(Fenced):
        ledger.heartbeat(study, task, None)
    with pytest.raises(Fenced):
        ledger.complete(study, task, OUTCOME)


def test_all_that_a_task_holds_goes_through_the_store(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, [NewTask(0, 0)])
    task = claim(ledger, study)
    assert (task.config, task.key, task.runs) == (None, None, ())
    ledger.fail(study, task, "RuntimeError: so\nwhat")
    odd = dataclasses.replace(
        OUTCOME, value=float("inf"), pruned="diverged: x", metrics={"map": float("inf")}
    )
    ledger.complete(study, claim(ledger, study), odd)
    stored = state_of(ledger, study)
    assert (stored.reason, stored.attempts) == ("RuntimeError: so\nwhat", 1)
    assert stored.outcome == odd
