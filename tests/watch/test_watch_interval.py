"""How sure the best so far is, found out by a process of its own."""

import threading
from pathlib import Path

import pytest
from events_samples import make_study, watched, work

from hpo.events import Best
from hpo.results import judge
from hpo.study import StoredStudy
from hpo.watch import IntervalProcess


@pytest.fixture
def study(tmp_path: Path) -> StoredStudy:
    study = make_study(tmp_path)
    work(study)
    return study


def asked(
    study: StoredStudy, event: Best, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> list[tuple[int | None, float, float]]:
    """What is found out of a best trial."""
    monkeypatch.setattr("hpo.watch._interval._EVERY_S", 0.05)
    found: list[tuple[int | None, float, float]] = []
    there = threading.Event()

    def known(trial: int | None, low: float, high: float) -> None:
        found.append((trial, low, high))
        there.set()

    cache = Path(study.definition.cache)
    with IntervalProcess(study.name, study.url, cache, [], known) as process:
        process(event)
        there.wait(seconds)
    return found


def test_it_is_the_interval_of_the_results(
    study: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, heard = watched(study)
    best = heard.of("best")[-1]
    tasks = study.tasks()
    task = next(task for task in tasks if task.trial == best.trial)
    judged = judge(study, task, tasks, "cpu")
    assert judged is not None
    expected = judged.validation["micro_f1"]
    found = asked(study, best, monkeypatch, 200)
    assert found == [(best.trial, expected.low, expected.high)]
    watch.know_interval(*found[0])
    assert heard.of("best")[-1].low == expected.low


def test_without_weights_there_is_none_and_nothing_fails(
    study: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(study, Best(99, {}, 1.0, 0.0), monkeypatch, 8) == []
