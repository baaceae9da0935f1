"""Which study a row of the ledger is of, and whose a claimed task is."""

import dataclasses

import pytest
from queue_samples import OUTCOME, claim, race, tasks_of

from hpo.queue import Fenced, Ledger
from hpo.search import Progress, TaskState


def test_racing_processes_agree_on_an_identity(ledger: Ledger, study: str) -> None:
    row = ledger.study(study)
    assert row is not None and row.identity is None
    found: list[str | None] = []
    race(6, lambda index: found.append(ledger.identify(study, f"id{index}")))
    assert len(found) == 6 and len(set(found)) == 1 and found[0] is not None
    row = ledger.study(study)
    assert row is not None and row.identity == found[0]
    assert ledger.identify(f"{study} none", "id") is None


def test_a_study_is_renamed_with_its_tasks(ledger: Ledger, study: str) -> None:
    new, other = f"{study} new", f"{study} other"
    ledger.define(other, {})
    ledger.identify(study, "id")
    ledger.open_tasks(study, tasks_of(2))
    task = claim(ledger, study)
    assert not ledger.rename(study, other)
    assert len(ledger.tasks(study)) == 2
    assert ledger.rename(study, new)
    assert ledger.study(study) is None and ledger.tasks(study) == []
    row = ledger.study(new)
    assert row is not None and row.identity == "id"
    assert ledger.counts(new)[TaskState.CLAIMED] == 1
    with pytest.raises(Fenced):
        ledger.heartbeat(study, task, None)
    ledger.complete(new, task, OUTCOME)


def test_a_study_of_another_identity_is_not_deleted(ledger: Ledger, study: str) -> None:
    ledger.identify(study, "id")
    ledger.open_tasks(study, tasks_of(1))
    ledger.delete(study, "another")
    assert len(ledger.tasks(study)) == 1
    ledger.delete(study, "id")
    assert ledger.study(study) is None and ledger.tasks(study) == []
    ledger.delete(study, "id")


def test_a_worker_of_a_deleted_study_has_no_hold_on_the_next_one(
    ledger: Ledger, study: str
) -> None:
    """Its tasks have the same positions and tokens."""
    ledger.open_tasks(study, tasks_of(1))
    old = claim(ledger, study, "old")
    ledger.delete(study)
    ledger.define(study, {})
    ledger.open_tasks(study, tasks_of(1))
    new = claim(ledger, study, "new")
    assert (new.position, new.token) == (old.position, old.token)
    for write in (
        lambda: ledger.heartbeat(study, old, None),
        lambda: ledger.settle(study, old),
        lambda: ledger.attach(study, old, 3),
        lambda: ledger.release(study, old),
        lambda: ledger.pause(study, old, Progress(1, 2, 50.0)),
        lambda: ledger.fail(study, old, "reason"),
        lambda: ledger.complete(study, old, OUTCOME),
    ):
        with pytest.raises(Fenced):
            write()
    (task,) = ledger.tasks(study)
    assert dataclasses.replace(task, age=0.0) == dataclasses.replace(new, age=0.0)
    ledger.complete(study, new, OUTCOME)
