"""Budgets, early stops and candidates that were added, on every store."""

from collections.abc import Callable

import pytest
from queue_samples import GRACE, OUTCOME, claim, config, race, state_of, tasks_of

from hpo.queue import Ledger, PositionTakenError, StudyRow
from hpo.search import NewTask, Progress, TaskState

OpenLedger = Callable[[], Ledger]


def row_of(ledger: Ledger, study: str) -> StudyRow:
    row = ledger.study(study)
    assert row is not None
    return row


def test_with_a_budget_tasks_are_begun_as_far_as_they_are_allotted(
    ledger: Ledger, study: str
) -> None:
    ledger.open_tasks(study, tasks_of(4))
    ledger.limit(study, None, 3, epochs=100)
    assert (row_of(ledger, study).epochs, row_of(ledger, study).allotted) == (100, 0)
    assert ledger.claim(study, "a", GRACE) is None
    assert ledger.allot(study, row_of(ledger, study).revision, 2)
    assert [claim(ledger, study).position for _ in range(2)] == [0, 1]
    assert ledger.claim(study, "a", GRACE) is None
    assert ledger.allot(study, row_of(ledger, study).revision, 9)
    assert claim(ledger, study).position == 2
    assert ledger.claim(study, "a", GRACE) is None  # the limit on tasks holds as well
    ledger.limit(study, None, None)
    assert (row_of(ledger, study).epochs, row_of(ledger, study).allotted) == (None, None)
    assert claim(ledger, study).position == 3


def test_a_decision_from_an_older_row_is_not_carried_out(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(2))
    ledger.limit(study, None, None, epochs=100)
    old = row_of(ledger, study).revision
    assert ledger.allot(study, old, 1)
    ledger.pause(study, claim(ledger, study), Progress(1, 2, 50.0))
    assert not ledger.allot(study, old, 2, [0])
    assert row_of(ledger, study).allotted == 1
    assert state_of(ledger, study).state is TaskState.PAUSED
    assert ledger.allot(study, row_of(ledger, study).revision, 1, [0, 1])
    assert state_of(ledger, study).state is TaskState.OPEN
    assert state_of(ledger, study, 1).token == 0


def test_of_those_who_decide_at_the_same_time_one_succeeds(
    ledger: Ledger, study: str, new_ledger: OpenLedger
) -> None:
    ledger.limit(study, None, None, epochs=100)
    revision = row_of(ledger, study).revision
    succeeded = [False] * 4

    def decide(index: int) -> None:
        succeeded[index] = new_ledger().allot(study, revision, 1 + index)

    race(4, decide)
    assert sum(succeeded) == 1
    assert row_of(ledger, study).allotted == 1 + succeeded.index(True)


def test_a_ration_changes_time_and_budget_alone(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(3))
    ledger.limit(study, None, 2)
    claim(ledger, study)
    ledger.ration(study, 50.0, 70)
    row = row_of(ledger, study)
    assert (row.max_tasks, row.epochs, row.allotted) == (2, 70, 1)  # what was begun
    assert row.seconds_left is not None and 45 < row.seconds_left <= 50
    assert ledger.allot(study, row.revision, 2)
    ledger.ration(study, None, 60)
    row = row_of(ledger, study)
    assert (row.seconds_left, row.epochs, row.allotted) == (None, 60, 2)
    ledger.ration(study, None, None)
    assert row_of(ledger, study).allotted is None


def test_a_deadline_that_stays_about_the_same_stays(ledger: Ledger, study: str) -> None:
    ledger.ration(study, 50.0, 70)
    first = row_of(ledger, study).deadline
    assert first is not None
    ledger.ration(study, 50.1, 60)
    row = row_of(ledger, study)
    assert (row.deadline, row.epochs) == (first, 60)
    ledger.ration(study, 55.0, 60)
    moved = row_of(ledger, study).deadline
    assert moved is not None and 4 < moved - first < 7
    ledger.ration(study, None, 60)
    assert row_of(ledger, study).deadline is None


def test_a_study_that_is_stopped_begins_nothing_more(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(3))
    first = claim(ledger, study)
    ledger.stop(study, "enough")
    ledger.stop(study, "more than enough")
    row = row_of(ledger, study)
    assert (row.stopped, row.max_tasks) == ("enough", 1)
    assert ledger.claim(study, "a", GRACE) is None
    ledger.release(study, first)
    assert claim(ledger, study).position == 0
    ledger.limit(study, None, None)
    assert row_of(ledger, study).stopped is None
    assert claim(ledger, study).position == 1


def test_what_was_added_comes_first_and_beyond_every_limit(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(2))
    ledger.limit(study, None, 1, epochs=100)
    ledger.open_tasks(study, [NewTask(-1, 0, config(7)), NewTask(-2, 0, config(8))])
    assert [claim(ledger, study).position for _ in range(2)] == [-2, -1]
    assert ledger.claim(study, "a", GRACE) is None
    assert ledger.allot(study, row_of(ledger, study).revision, 1)
    assert claim(ledger, study).position == 0  # the added ones are not counted
    assert ledger.claim(study, "a", GRACE) is None
    assert ledger.counts(study)[TaskState.CLAIMED] == 3
    assert ledger.counts(study, added=True) == {
        **dict.fromkeys(TaskState, 0),
        TaskState.CLAIMED: 2,
    }
    assert ledger.open_tasks(study, [NewTask(-3, 0, config(7))]) == 0  # the study has it
    with pytest.raises(PositionTakenError):
        ledger.open_tasks(study, [NewTask(-2, 0, config(9))])


def test_a_task_that_is_resumed_to_be_ended_says_why(ledger: Ledger, study: str) -> None:
    ledger.open_tasks(study, tasks_of(2))
    for _ in range(2):
        ledger.pause(study, claim(ledger, study), Progress(1, 2, 50.0))
    assert ledger.resume(study, [0], "fell behind") == 1
    assert ledger.resume(study, [1]) == 1
    ended = claim(ledger, study)
    assert (ended.position, ended.ending) == (0, "fell behind")
    ledger.release(study, ended)
    assert claim(ledger, study, "b").ending == "fell behind"
    other = claim(ledger, study)
    assert other.ending is None
    ledger.complete(study, other, OUTCOME)
