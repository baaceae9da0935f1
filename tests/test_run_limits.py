"""``hpo run`` with limits: it ends in time with all results, and the same command goes on."""

import json
import time
from pathlib import Path

import pytest
from test_run_best import write_folder

import hpo
from hpo.run import main as run

COMMAND = ["--data", "data", "--features", "embeddings", "--devices", "cpu"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path, 200, ("image", "text"))
    return tmp_path


def metrics(folder: Path, name: str = "best") -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / f"runs/{name}/metrics.json").read_text())
    return found


def test_a_budget_in_epochs_holds_for_the_refit_as_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*COMMAND, "--workers", "2", "--epoch-budget"]
    assert run([*command, "70"]) == 0
    printed = capsys.readouterr().out
    assert "ended by the budget of 70 epochs: " in printed
    assert "The same command with more goes on." in printed
    first = metrics(folder)
    assert first["ended_by"] == "the budget of 70 epochs"
    trained = first["epochs_trained"]
    assert isinstance(trained, int) and 30 < trained <= 70
    assert (folder / "runs/best/predictions.csv").is_file()
    assert run([*command, "120"]) == 0
    second = metrics(folder)
    assert isinstance(second["epochs_trained"], int) and 70 < second["epochs_trained"] <= 120
    assert run([*command, "20"]) == 2
    assert "The budget is 20 epochs, but must be at least 40" in capsys.readouterr().err
    assert run(COMMAND) == 0
    assert metrics(folder)["ended_by"] is None


@pytest.mark.timeout(150)
def test_a_time_limit_holds_for_the_whole_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    command = [*COMMAND, "--workers", "2", "--set", "search.trials=4000", "--time-limit", "40s"]
    assert run(command) == 0
    assert time.monotonic() - began < 40
    printed = capsys.readouterr().out
    assert "ended by the time limit of 40s: " in printed
    found = metrics(folder)
    assert found["ended_by"] == "the time limit of 40s"
    best = found["best"]
    assert isinstance(best, dict) and len(best["scores"]) == 1
    assert (folder / "runs/best/predictions.csv").is_file()
    assert (folder / "runs/best/report/index.html").is_file()


def test_candidates_and_another_study_s_best_come_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*COMMAND, "--trials", "3"]) == 0
    again = [*COMMAND, "--trials", "3", "--add", "lr=0.002,dropout=0.6"]
    assert run(again) == 0
    trials = hpo.load_study("best").optuna.get_trials()
    assert len(trials) == 4
    assert (trials[3].params["lr"], trials[3].params["dropout"]) == (0.002, 0.6)
    capsys.readouterr()
    assert run(again) == 0
    assert "--add lr=0.002,dropout=0.6: the study has this configuration already" in (
        capsys.readouterr().out
    )
    best = hpo.load_study("best").best_config
    space = Path(hpo.__file__).parents[1] / "search_spaces" / "best.yaml"
    warm = [*COMMAND, "--study", "warm", "--space", str(space), "--trials", "2"]
    assert run([*warm, "--warm-start", "best"]) == 0
    assert "warm start from best: trial " in capsys.readouterr().out
    assert hpo.load_study("warm").stored.tasks()[0].config == best


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time-limit", "ten"], "is 'ten', but must be a time such as 90s, 10m or 1h30m"),
        (["--add", "lr"], "--add lr: must be name=value,name=value with each name once"),
        (["--add", "lr=1,lr=2"], "--add lr=1,lr=2: must be name=value,name=value"),
        (["--add", "lr=5"], "lr is 5.0, but must be 0.0005 to 0.002"),
        (["--add", "hidden=[7,7]"], "hidden is 7-7, but must be one of 512, 1024"),
        (["--warm-start", "nothing"], "--warm-start nothing: "),
    ],
)
def test_wrong_options_are_one_clear_error(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    try:
        status = run([*COMMAND, *arguments])
    except SystemExit as stop:  # argparse
        status = int(str(stop.code))
    assert status == 2
    assert message in capsys.readouterr().err
