"""The store's clock is set while a study has a deadline."""

from pathlib import Path

import pytest
from library_samples import SPACE, array_data

import hpo
from hpo.library import _deadline as module
from hpo.library._deadline import SteadyDeadline
from hpo.study import StoredStudy


@pytest.fixture
def study(tmp_path: Path) -> StoredStudy:
    storage = f"sqlite:///{tmp_path / 's.db'}"
    return hpo.create_study(array_data(tmp_path / "cache"), SPACE, storage=storage).stored


def left(study: StoredStudy) -> float:
    row = study.ledger.study(study.name)
    assert row is not None and row.seconds_left is not None
    return row.seconds_left


def set_clock(monkeypatch: pytest.MonkeyPatch, study: StoredStudy, ahead: float) -> None:
    dialect = study.plain.ledger._dialect  # type: ignore[attr-defined]
    now = type(dialect).now(dialect)
    monkeypatch.setattr(dialect, "now", lambda: now + ahead)


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_what_is_left_stays(
    study: StoredStudy, ahead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.ledger.limit(study.name, 600.0, 7, 50)
    deadline, passed = SteadyDeadline(study), [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: passed[0])
    deadline.check()
    passed[0] += 2.0
    set_clock(monkeypatch, study, ahead)
    assert left(study) == pytest.approx(600 - ahead, abs=60)
    deadline.check()
    assert left(study) == pytest.approx(598, abs=2)
    row = study.ledger.study(study.name)
    assert row is not None and (row.epochs, row.max_tasks) == (50, 7)  # nothing else is changed
    deadline.check()
    assert study.ledger.study(study.name).revision == row.revision  # type: ignore[union-attr]


def test_a_deadline_that_others_move_or_take_away_is_theirs(
    study: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline = SteadyDeadline(study)
    deadline.check()
    for seconds in (600.0, 5000.0, None, 60.0):
        study.ledger.limit(study.name, seconds, None)
        deadline.check()
        row = study.ledger.study(study.name)
        assert row is not None
        expected = None if seconds is None else pytest.approx(seconds, abs=30)
        assert row.seconds_left == expected


def test_clocks_may_drift(study: StoredStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    study.ledger.limit(study.name, 600.0, None)
    deadline = SteadyDeadline(study)
    deadline.check()
    before = study.ledger.study(study.name)
    set_clock(monkeypatch, study, 3.0)
    deadline.check()
    after = study.ledger.study(study.name)
    assert before is not None and after is not None and after.deadline == before.deadline
