"""What a reader of results has to know first: what failed, and who trained the trials."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from identity_samples import begin, finish, tiny_data
from rich.console import Console

from hpo import studies
from hpo.models import Config
from hpo.report import __main__ as report
from hpo.report import finish_study
from hpo.results import CARD
from hpo.search import TaskState
from hpo.study import concerns, failed_tasks
from hpo.training import Trainer, trained_by

SEARCH: dict[str, Any] = {
    "kind": "greedy",
    "stages": [{"name": "d", "params": {"dropout": [0.1, 0.6]}}],
}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While its item is true, configurations with much dropout fail."""
    real, found = Trainer.model, [True]

    def flaky(self: Trainer, config: Config, *args: Any, **kwargs: Any) -> Any:
        if found[0] and config.dropout > 0.5:
            raise RuntimeError("a part of a user's own\nhas a mistake")
        return real(self, config, *args, **kwargs)

    monkeypatch.setattr(Trainer, "model", flaky)
    return found


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 's.db'}"


def test_a_study_in_which_something_failed_says_so_first(
    tmp_path: Path,
    url: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    broken: list[bool],
) -> None:
    data = tiny_data(tmp_path)
    with caplog.at_level(logging.WARNING, "hpo"):
        study = finish(data, url, search=SEARCH)
    assert [task.position for task in failed_tasks(study.stored.tasks())] == [1]
    (said,) = study.concerns
    assert said == (
        "1 of 2 configurations failed and took no part in what follows: trial 2 (dropout 0.6): "
        "RuntimeError: a part of a user's own has a mistake. Once the cause is mended, `hpo study "
        "retry s` opens them again."
    )
    assert said in caplog.text
    out = tmp_path / "out"
    with (tmp_path / "screen").open("w") as file:
        finish_study(study.stored, Console(file=file, width=300), out, "cpu", refit=True)
    assert (tmp_path / "screen").read_text().startswith(f"CAUTION: {said}")
    metrics = json.loads((out / "metrics.json").read_text())
    assert next(iter(metrics)) == "concerns"
    assert metrics["concerns"] == [said]
    assert "> 1 of 2 configurations failed" in (out / "model" / CARD).read_text()
    page = (out / "report" / "index.html").read_text()
    assert page.index("1 of 2 config") < page.index("<dl>")
    assert (out / "report" / "tables.md").read_text().splitlines()[2] == f"> {said}"
    assert report.main(["--study", "s", "--storage", url, "--out", str(out)]) == 5
    assert capsys.readouterr().out.startswith(f"CAUTION: {said}\n")


def test_what_failed_is_tried_again(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str], broken: list[bool]
) -> None:
    data = tiny_data(tmp_path)
    study = finish(data, url, search=SEARCH)
    assert study.stored.counts()[TaskState.FAILED] == 1
    broken[0] = False
    assert studies.main(["retry", "s", "--storage", url]) == 0
    assert capsys.readouterr().out == (
        "task 1, trial 2: RuntimeError: a part of a user's own has a mistake\n"
        "1 failed task opened again\n"
        "`hpo run` with the arguments of before goes on with it.\n"
    )
    assert not study.is_complete
    again = finish(data, url, search=SEARCH)
    assert again.concerns == []
    undisturbed = finish(data, f"sqlite:///{tmp_path / 'other.db'}", search=SEARCH)
    assert again.best_value == undisturbed.best_value
    assert sorted(again.leaderboard()["score"]) == sorted(undisturbed.leaderboard()["score"])
    assert again.retry() == 0
    assert studies.main(["retry", "s", "--storage", url]) == 0
    assert capsys.readouterr().out == "0 failed tasks opened again\n"


def test_a_version_is_the_same_before_pytorch_is_imported() -> None:
    code = (
        "import sys; from hpo.training import trained_by; print(trained_by('float32'))\n"
        "assert 'torch' not in sys.modules"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.partition(", ")[2] == f"PyTorch {torch.__version__}\n"


def test_trials_of_different_trainers_are_told(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny_data(tmp_path)
    study = begin(data, url)
    study.optimize(workers=1, trials=1, progress=False)
    here = trained_by("float32")
    assert {task.outcome.trained_by for task in study.stored.tasks() if task.outcome} == {here}
    assert study.concerns == []
    monkeypatch.setattr("hpo.training._spec._TRAINER_VERSIONS", {"float32": 99})
    study = begin(data, url)
    assert study.concerns == []
    before = concerns(study.stored, study.stored.tasks(), going_on=True)
    assert ", what is still to come by trainer 99 with " in before[0]
    assert study.optimize(workers=1, progress=False)
    (said,) = study.concerns
    trainer, torch = here.split(", ")
    assert said.startswith(
        "The trials of this study were trained by different versions: 1 by "
        f"{trainer} with {torch}, 2 by trainer 99 with {torch}. "
    )
