"""The ledger's contract, on every store: who works on what is decided once."""

import dataclasses
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hpo.service import MAX_ATTEMPTS, Fenced, Ledger, NewTask, Task

GRACE = 30.0
OpenLedger = Callable[[], Ledger]


def tasks_of(count: int, first: int = 0) -> list[NewTask]:
    return [NewTask(i, 0, f"key{i}", {"lr": i}, (f"run{i}",)) for i in range(first, first + count)]


def claim(ledger: Ledger, owner: str = "a", grace: float = GRACE) -> Task:
    task = ledger.claim("s", owner, grace)
    assert task is not None
    return task


def state_of(ledger: Ledger, position: int = 0) -> Task:
    return next(task for task in ledger.tasks("s") if task.position == position)


def race(count: int, action: Callable[[int], object]) -> None:
    """Let so many threads start at the same moment; what one raises is raised here."""
    barrier = threading.Barrier(count)
    errors: list[BaseException] = []

    def run(index: int) -> None:
        try:
            barrier.wait()
            action(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_tasks_are_claimed_in_the_order_of_their_positions(ledger: Ledger) -> None:
    ledger.open_tasks("s", [*reversed(tasks_of(3))])
    assert [claim(ledger).position for _ in range(3)] == [0, 1, 2]
    assert ledger.claim("s", "a", GRACE) is None


def test_a_claimed_task_reads_back_as_it_was_opened(ledger: Ledger) -> None:
    ledger.open_tasks("s", [NewTask(4, 2, "key", {"hidden": [16, 8]}, ("x", "y"))])
    task = claim(ledger, "somebody")
    assert (task.position, task.stage, task.config_key) == (4, 2, "key")
    assert (task.config, task.runs) == ({"hidden": [16, 8]}, ("x", "y"))
    assert (task.state, task.owner, task.token, task.attempts) == ("claimed", "somebody", 1, 0)
    stored = state_of(ledger, 4)
    assert stored.age is not None
    assert 0 <= stored.age < 5
    assert (stored.state, stored.owner, stored.token) == ("claimed", "somebody", 1)


def test_eight_racing_workers_claim_each_task_once(ledger: Ledger, new_ledger: OpenLedger) -> None:
    ledger.open_tasks("s", tasks_of(40))
    claimed: list[list[Task]] = [[] for _ in range(8)]

    def work(index: int) -> None:
        mine = new_ledger()
        while (task := mine.claim("s", f"worker{index}", GRACE)) is not None:
            claimed[index].append(task)
            mine.heartbeat("s", task, {"step": 1})

    race(8, work)
    assert sorted(task.position for tasks in claimed for task in tasks) == list(range(40))
    for index, tasks in enumerate(claimed):
        for task in tasks:
            stored = state_of(ledger, task.position)
            assert (stored.owner, stored.token) == (f"worker{index}", 1)


def test_a_stage_is_opened_once_by_racing_openers(ledger: Ledger, new_ledger: OpenLedger) -> None:
    opened = [0] * 8

    def work(index: int) -> None:
        opened[index] = new_ledger().open_tasks("s", tasks_of(5))

    race(8, work)
    assert sorted(opened) == [0] * 7 + [5]
    assert [task.position for task in ledger.tasks("s")] == list(range(5))


def test_a_configuration_is_opened_once_whatever_its_position(ledger: Ledger) -> None:
    assert ledger.open_tasks("s", tasks_of(1)) == 1
    assert ledger.open_tasks("s", [NewTask(1000, 1, "key0", {}, ())]) == 0
    assert ledger.open_tasks("other", tasks_of(1)) == 1


def test_tables_are_made_once_by_racing_workers(url: str) -> None:
    ledgers: list[Ledger] = []

    def work(index: int) -> None:
        ledger = Ledger(url)
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
    ledger = Ledger(f"sqlite:///{file}")
    done.join()
    assert ledger.studies() == []
    other.close()
    with closing(sqlite3.connect(file)) as later:
        assert later.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    ledger.close()


def test_the_first_definition_counts(ledger: Ledger) -> None:
    assert ledger.define("t", {"a": 1}) == {"a": 1}
    assert ledger.define("t", {"a": 2}) == {"a": 1}
    assert ledger.studies() == ["s", "t"]
    assert ledger.study("unknown") is None


def test_an_owner_that_is_alive_keeps_its_task(ledger: Ledger) -> None:
    ledger.open_tasks("s", tasks_of(1))
    claim(ledger, "a")
    assert ledger.claim("s", "b", GRACE) is None


def test_a_silent_owner_loses_its_task_after_the_grace(ledger: Ledger) -> None:
    ledger.open_tasks("s", tasks_of(1))
    task = claim(ledger, "a")
    ledger.attach("s", task, 7)
    time.sleep(0.3)
    ledger.heartbeat("s", task, {"step": 3})
    assert ledger.claim("s", "b", 0.25) is None  # the heartbeat started the grace again
    time.sleep(0.3)
    taken = claim(ledger, "b", 0.25)
    assert (taken.owner, taken.token, taken.trial, taken.progress) == ("b", 2, 7, None)


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger, task: ledger.heartbeat("s", task, None),
        lambda ledger, task: ledger.attach("s", task, 1),
        lambda ledger, task: ledger.release("s", task),
        lambda ledger, task: ledger.fail("s", task, "why"),
    ],
    ids=["heartbeat", "attach", "release", "fail"],
)
def test_an_old_token_writes_nothing(
    ledger: Ledger, write: Callable[[Ledger, Task], object]
) -> None:
    ledger.open_tasks("s", tasks_of(1))
    old = claim(ledger, "a")
    new = claim(ledger, "b", grace=0.0)
    before = state_of(ledger)
    with pytest.raises(Fenced, match=r"Task 0 of the study was taken over\."):
        write(ledger, old)
    after = state_of(ledger)
    assert (after.owner, after.token, after.state, after.outcome) == ("b", 2, "claimed", None)
    assert (after.config_key, after.trial, after.attempts) == (before.config_key, None, 0)
    ledger.release("s", new)
    with pytest.raises(Fenced):
        write(ledger, old)
    assert state_of(ledger).state == "open"


def test_a_task_that_was_handed_back_is_claimed_at_once(ledger: Ledger) -> None:
    ledger.open_tasks("s", tasks_of(2))
    task = claim(ledger, "a")
    ledger.attach("s", task, 3)
    ledger.release("s", task)
    again = claim(ledger, "b")
    assert (again.position, again.token, again.trial, again.attempts) == (0, 2, 3, 0)


def test_a_task_is_given_up_after_its_last_attempt(ledger: Ledger) -> None:
    ledger.open_tasks("s", tasks_of(1))
    assert MAX_ATTEMPTS == 3
    for attempt in range(MAX_ATTEMPTS):
        task = claim(ledger)
        assert task.attempts == attempt
        assert ledger.fail("s", task, f"reason {attempt}") is (attempt == MAX_ATTEMPTS - 1)
    stored = state_of(ledger)
    assert (stored.state, stored.attempts, stored.reason) == ("failed", 3, "reason 2")
    assert ledger.claim("s", "a", 0.0) is None


def test_tasks_that_share_a_run_are_not_worked_on_at_once(ledger: Ledger) -> None:
    runs = [("image",), ("image", "text"), ("text",), ("concat",)]
    ledger.open_tasks("s", [NewTask(i, 0, str(i), {}, r) for i, r in enumerate(runs)])
    first = claim(ledger, "a")
    assert [claim(ledger, o).position for o in "bc"] == [2, 3]
    assert ledger.claim("s", "d", GRACE) is None
    ledger.release("s", first)
    again = claim(ledger, "a")
    ledger.fail("s", dataclasses.replace(again, attempts=MAX_ATTEMPTS - 1), "why")
    assert ledger.claim("s", "d", GRACE) is None  # text is still being trained
    text = state_of(ledger, 2)
    ledger.fail("s", dataclasses.replace(text, attempts=MAX_ATTEMPTS - 1), "why")
    assert claim(ledger, "d").position == 1


def test_limits_hold_from_now_on(ledger: Ledger) -> None:
    row = ledger.study("s")
    assert row is not None
    assert (row.seconds_left, row.max_tasks) == (None, None)
    ledger.limit("s", 100.0, 5)
    row = ledger.study("s")
    assert row is not None
    assert row.seconds_left is not None
    assert 95 < row.seconds_left <= 100
    assert row.max_tasks == 5
    ledger.limit("s", 0.05, None)
    time.sleep(0.1)
    row = ledger.study("s")
    assert row is not None
    assert row.seconds_left is not None
    assert row.seconds_left < 0


def test_no_more_tasks_are_started_than_the_limit(ledger: Ledger) -> None:
    ledger.open_tasks("s", tasks_of(4))
    ledger.limit("s", None, 2)
    first, second = claim(ledger, "a"), claim(ledger, "b")
    assert ledger.claim("s", "c", GRACE) is None
    ledger.release("s", second)  # but what was started is gone on with
    assert claim(ledger, "c").position == 1
    assert claim(ledger, "c", grace=0.0).position == 0
    assert first.position == 0
    ledger.limit("s", None, None)
    assert claim(ledger, "d").position == 2


def test_progress_is_shown_while_the_task_is_worked_on(ledger: Ledger) -> None:
    ledger.open_tasks("s", tasks_of(1))
    task = claim(ledger)
    ledger.heartbeat("s", task, {"step": 3, "steps": 9, "value": 81.5})
    assert state_of(ledger).progress == {"step": 3, "steps": 9, "value": 81.5}
    ledger.release("s", task)
    assert state_of(ledger).progress is None
