"""``hpo status``: how far a study is that others run."""

import json
from pathlib import Path

import pytest
from report_samples import make_study

from hpo.search import Progress
from hpo.status import main
from hpo.study import StoredStudy, status_lines, study_status


def test_a_finished_study(finished: StoredStudy, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--study", finished.name, "--storage", finished.url]
    assert main([*arguments, "--json", "--cache", finished.definition.cache]) == 0
    found = json.loads(capsys.readouterr().out)
    tasks, best = finished.tasks(), finished.best()
    assert found == json.loads(json.dumps(study_status(finished, tasks)))
    assert best is not None and best.outcome is not None
    assert found["complete"] and found["in_progress"] == [] and found["concerns"] == []
    assert found["configurations"] == {"done": len(tasks), "planned": len(tasks)}
    assert (found["best"]["trial"], found["best"]["value"]) == (best.trial, best.outcome.value)
    trained = sum(task.outcome.epochs_trained for task in tasks if task.outcome)
    assert found["epochs_trained"] == trained
    assert main([*arguments, "--cache", finished.definition.cache]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        f"study {finished.name}: {len(tasks)} done of {len(tasks)} configurations, complete"
    )
    score = f"{best.outcome.value:.3f} ± {best.outcome.std:.3f}"
    assert lines[-1].startswith(f"best: trial {best.trial}, {score} (")


def test_a_study_that_somebody_works_on(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.open_next()
    assert status_lines(study_status(study, study.tasks()))[-1] == "no result yet"
    task = study.ledger.claim(study.name, "somebody", 60.0)
    assert task is not None
    trial = study.trials.begin(task, study.strategy.attributes(task))
    assert trial is not None
    study.trials.append(trial, [(1, 50.0), (2, 60.0)], {})
    study.ledger.heartbeat(study.name, task, Progress(2, 12, 60.0, trial.number))
    status = study_status(study, study.tasks())
    (in_progress,) = status["in_progress"]
    assert (in_progress["trial"], in_progress["step"], in_progress["steps"]) == (0, 2, 12)
    assert in_progress["worker"] == "somebody"
    line = next(line for line in status_lines(status) if line.startswith("  trial 0"))
    assert line.startswith("  trial 0, step 2 of 12, 60.000 (")


def test_a_study_that_is_not_there(
    finished: StoredStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--study", finished.name[:-1] + "x", "--storage", finished.url]) == 2
    assert f"(did you mean '{finished.name}'?)" in capsys.readouterr().err
