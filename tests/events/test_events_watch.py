"""What happens to a study is told from what the store has of it."""

import dataclasses
from pathlib import Path

import pytest
from events_samples import PROMOTE, Heard, make_study, watched, work

from hpo.events import StudyWatch
from hpo.results import compute_floor
from hpo.search import Progress, Task, TaskState


def test_a_study_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    watch, heard = watched(study)
    assert [event.kind for event in heard] == ["study_begun", "plan", "stage_begun", "progress"]
    work(study)
    watch.update(study.tasks())
    (first, second) = heard.of("stage_begun")
    assert (first.stage, first.index, first.stages, first.parameters) == (
        "fusion",
        1,
        2,
        ("fusion",),
    )
    assert (second.stage, second.configurations, second.parameters) == ("rate", 3, ("lr",))
    ended = heard.of("trial_ended")
    tasks = study.tasks()
    assert [event.trial for event in ended] == [task.trial for task in tasks]
    assert {event.state for event in ended} == {"done"} and not any(e.earlier for e in ended)
    for event, task in zip(ended, tasks, strict=True):
        assert task.outcome is not None
        assert (event.value, event.std) == (task.outcome.value, task.outcome.std)
        assert event.params.keys() == {"fusion", "lr"}
    best = study.best(tasks)
    assert best is not None and best.outcome is not None
    decided = heard.of("stage_decided")
    assert [event.stage for event in decided] == ["fusion", "rate"]
    assert decided[-1].trial == best.trial
    assert heard.of("best")[-1].trial == best.trial
    assert heard.of("best")[-1].std == best.outcome.std
    why = [event for event in heard.of("decision") if event.what.startswith("stage rate: ")]
    assert len(why) == 1 and " ahead of lr " in why[0].why
    totals = heard.of("progress")[-1]
    assert (totals.ended, totals.total, totals.failed, totals.paused) == (4, 4, 0, 0)
    assert totals.epochs == sum(task.outcome.epochs_trained for task in tasks if task.outcome)


def test_what_had_ended_before_is_told_as_such(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    work(study)
    _, heard = watched(study)
    assert all(event.earlier for event in heard.of("trial_ended"))
    assert heard.of("decision") == []  # they were made by somebody else
    assert heard.of("study_begun")[0].done == len(heard.of("trial_ended"))
    assert len(heard.of("stage_decided")) == 2


def test_nothing_is_told_twice(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    work(study)
    watch, heard = watched(study)
    heard.clear()
    watch.update(study.tasks())
    assert [event.kind for event in heard] == ["progress"]


def test_a_trial_in_progress(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    watch, heard = watched(study)
    first, second = study.tasks()
    claimed = dataclasses.replace(
        first, state=TaskState.CLAIMED, token=1, owner="vm:1", trial=0, config=first.config
    )
    heard.clear()
    watch.update([claimed, second])
    begun = heard.of("trial_begun")[0]
    assert (begun.trial, begun.stage, begun.worker) == (0, "fusion", "vm:1")
    for step, value in ((1, 50.0), (3, float("nan"))):
        progress = Progress(step, 4, value, trial=0)
        watch.update([dataclasses.replace(claimed, progress=progress), second])
    assert [(e.step, e.steps, e.value) for e in heard.of("trial_progress")] == [
        (1, 4, 50.0),
        (3, 4, None),
    ]
    # its worker goes away, another one takes it over as another trial
    watch.update([dataclasses.replace(claimed, token=2, trial=1, owner="vm:2"), second])
    assert [event.trial for event in heard.of("trial_paused")] == [0]
    assert [event.trial for event in heard.of("trial_begun")] == [0, 1]
    # and hands it back
    watch.update([dataclasses.replace(claimed, state=TaskState.OPEN, token=2, trial=1), second])
    assert [event.trial for event in heard.of("trial_paused")] == [0, 1]


def test_why_a_trial_goes_on_and_what_is_best_before_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(tmp_path, PROMOTE)
    heard = Heard()
    watch = StudyWatch(study, heard)
    real = study.plain.ledger.pause

    def pause(name: str, task: Task, progress: Progress) -> None:
        real(name, task, progress)
        watch.update(study.tasks())

    watch.update(study.tasks())
    monkeypatch.setattr(study.plain.ledger, "pause", pause)
    work(study)
    watch.update(study.tasks())
    goes_on = [event for event in heard.of("decision") if event.what.endswith(" goes on")]
    assert goes_on and all(" at epoch " in event.why for event in goes_on)
    assert any("1st of " in event.why for event in goes_on)
    pruned = [event for event in heard.of("decision") if event.what.endswith(" is pruned")]
    assert pruned and all("not among the best" in event.why for event in pruned)
    unfinished = [event for event in heard.of("best") if event.step is not None]
    assert unfinished and [(e.step, e.value) for e in unfinished] == sorted(
        (e.step, e.value) for e in unfinished
    )
    assert heard.of("best")[-1].step is None
    assert heard.of("trial_paused")


def test_the_floor_is_told_once(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    watch, heard = watched(study)
    compute_floor(study)
    watch.update(study.tasks())
    watch.update(study.tasks())
    (floor,) = heard.of("floor")
    assert set(floor.to_json()["scores"]) == {"linear", "constant"}


def test_an_interval_is_that_of_the_present_best(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    work(study)
    watch, heard = watched(study)
    best = heard.of("best")[-1]
    watch.know_interval(best.trial + 1000, 1.0, 2.0)
    assert heard.of("best")[-1] == best
    watch.know_interval(best.trial, 1.0, 2.0)
    assert heard.of("best")[-1] == dataclasses.replace(best, low=1.0, high=2.0)


def test_a_failed_trial_has_its_reason(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    watch, heard = watched(study)
    first, second = study.tasks()
    failed = dataclasses.replace(first, state=TaskState.FAILED, trial=0, reason="out of memory")
    watch.update([failed, second])
    (ended,) = heard.of("trial_ended")
    assert (ended.state, ended.reason, ended.value) == ("failed", "out of memory", None)
    assert [(e.what, e.why) for e in heard.of("decision")] == [("trial 0 fails", "out of memory")]


def test_a_store_that_is_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import OperationalError

    study = make_study(tmp_path)
    watch, heard = watched(study)
    patient = study.telling(watch.wait)
    answers = iter([OperationalError("", {}, Exception("database is locked")), None])
    real = study.plain.ledger.tasks

    def tasks(name: str) -> object:
        error = next(answers, None)
        if error is not None:
            raise error
        return real(name)

    monkeypatch.setattr(study.plain.ledger, "tasks", tasks)
    assert len(patient.tasks()) == 2
    assert [event.reason is None for event in heard.of("waiting")] == [False, True]
