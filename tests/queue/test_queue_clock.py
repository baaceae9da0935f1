"""Clocks that are set: who is alive is not taken from a time that can't be."""

import time
from pathlib import Path

import pytest
from queue_samples import GRACE, claim, tasks_of
from sqlalchemy import create_engine, text

from hpo.queue import Fenced, SqlLedger
from hpo.search import Progress


@pytest.fixture
def ledger(tmp_path: Path) -> SqlLedger:
    return SqlLedger(f"sqlite:///{tmp_path / 's.db'}")


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_a_dead_worker_s_task_doesn_t_wait_for_a_clock(
    ledger: SqlLedger, tmp_path: Path, ahead: float
) -> None:
    ledger.define("s", {})
    ledger.open_tasks("s", tasks_of(1))
    dead = claim(ledger, "s", "dead")
    engine = create_engine(f"sqlite:///{tmp_path / 's.db'}")
    with engine.begin() as connection:  # as if its clock had been so much ahead
        connection.execute(
            text("UPDATE hpo_tasks SET heartbeat = heartbeat + :ahead"), {"ahead": ahead}
        )
    task = ledger.claim("s", "other", GRACE)
    assert task is not None
    assert (task.position, task.owner, task.token) == (0, "other", 2)
    with pytest.raises(Fenced):
        ledger.heartbeat("s", dead, Progress(1, 2, 50.0))


def test_a_living_one_s_is_left_to_it(ledger: SqlLedger) -> None:
    ledger.define("s", {})
    ledger.open_tasks("s", tasks_of(1))
    mine = claim(ledger, "s", "living")
    time.sleep(0.05)
    ledger.heartbeat("s", mine, Progress(1, 2, 50.0))
    assert ledger.claim("s", "other", GRACE) is None
