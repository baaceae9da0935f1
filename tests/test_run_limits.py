"""``hpo run`` with limits: it ends in time with all results, and the same command goes on."""

import json
import time
from pathlib import Path

import pytest
from test_run_best import write_folder

import hpo
from hpo.run import main as run

pytestmark = pytest.mark.slow

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
    assert run([*command, "1", "--no-refit"]) == 2
    said = "The budget is 1 epoch, but must be at least 20: a trial of this space may take 20.\n"
    assert said in capsys.readouterr().err
    assert run([*command, "90", "--no-refit", "--dry-run"]) == 0
    assert "\nbudget 90 epochs\n" in capsys.readouterr().out
    assert run(COMMAND) == 0
    assert metrics(folder)["ended_by"] is None


def test_a_budget_in_epochs_holds_for_the_folds_as_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*COMMAND, "--workers", "2", "--set", "thresholds.folds=2", "--set", "ensemble=null"]
    assert run([*command, "--epoch-budget", "79"]) == 2
    said = "The budget is 79 epochs, but must be at least 80: a trial of this space may take 20"
    assert said in capsys.readouterr().err
    assert run([*command, "--epoch-budget", "110"]) == 0
    trained = metrics(folder)["epochs_trained"]
    assert isinstance(trained, int) and 80 <= trained <= 110


@pytest.mark.timeout(150)
def test_a_time_limit_holds_for_the_whole_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All 4,000 trials would take half an hour; a busy machine exceeds the limit a little."""
    began = time.monotonic()
    command = [*COMMAND, "--workers", "2", "--set", "search.trials=4000", "--time-limit", "40s"]
    assert run(command) == 0
    assert time.monotonic() - began < 120
    printed = capsys.readouterr().out
    assert "ended by the time limit of 40s: " in printed
    found = metrics(folder)
    assert found["ended_by"] == "the time limit of 40s"
    best = found["best"]
    assert isinstance(best, dict) and len(best["scores"]) == 1
    assert (folder / "runs/best/predictions.csv").is_file()
    assert (folder / "runs/best/report/index.html").is_file()


def test_a_refit_that_would_pass_the_time_limit_is_cut_short_and_goes_on_later(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*COMMAND, "--trials", "2", "--set", "ensemble=null"]
    with monkeypatch.context() as slow:
        slow.setattr("hpo.library._limits.Limits.refit_is_over", lambda limits: True)
        assert run(command) == 0
    said = "its training was cut short by the time limit: 10 of 20 epochs; the same command with"
    assert said in capsys.readouterr().out
    assert hpo.load_model(folder / "runs/best/model").config.epochs == 10
    assert run(command) == 0
    assert "cut short" not in capsys.readouterr().out
    assert hpo.load_model(folder / "runs/best/model").config.epochs == 20


def test_candidates_and_another_study_s_best_come_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*COMMAND, "--workers", "1", "--no-refit"]
    assert run([*command, "--trials", "3"]) == 0
    again = [*command, "--trials", "3", "--add", "lr=0.0015,dropout=0.7"]
    assert run(again) == 0
    trials = hpo.load_study("best").optuna.get_trials()
    assert len(trials) == 4
    assert (trials[3].params["lr"], trials[3].params["dropout"]) == (0.0015, 0.7)
    capsys.readouterr()
    assert run(again) == 0
    assert "--add lr=0.0015,dropout=0.7: the study has this configuration already" in (
        capsys.readouterr().out
    )
    best = hpo.load_study("best").best_config
    space = Path(hpo.__file__).parents[1] / "search_spaces" / "best.yaml"
    warm = [*command, "--study", "warm", "--space", str(space), "--trials", "2"]
    assert run([*warm, "--warm-start", "best"]) == 0
    assert "warm start from best: trial " in capsys.readouterr().out
    assert hpo.load_study("warm").stored.tasks()[0].config == best


LONG = """
name: long
seeds: 1
floor: false
split: {kind: stratified, val_fraction: 0.2}
fixed: {hidden: [16], epochs: 60}
search:
"""
SAMPLED = "  {kind: optuna, trials: 4000, params: {dropout: {low: 0.0, high: 0.8}}}"
RATES = ", ".join(f"{number / 1000}" for number in range(1, 900))
GREEDY = f"  {{kind: greedy, stages: [{{name: a, params: {{dropout: [{RATES}]}}}}]}}"


@pytest.mark.timeout(150)
@pytest.mark.parametrize("search", [SAMPLED, GREEDY])
def test_a_timeout_leaves_the_best_so_far_and_going_on_improves_it(
    folder: Path, search: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "long.yaml").write_text(LONG + search)
    command = [*COMMAND, "--study", "long", "--space", "long.yaml", "--workers", "1"]
    assert run([*command, "--timeout", "0.001"]) == 3
    printed = capsys.readouterr().out
    assert "timeout 0.001s, refit and results not included" in printed
    assert printed.endswith(
        "The study is not complete. It was ended by the timeout of 0.001s, with no score yet. The "
        "same command with more goes on.\n"
    )
    assert not (folder / "runs").exists()
    assert run([*command, "--timeout", "12"]) == 3
    printed = capsys.readouterr().out
    assert "ended by the timeout of 12s: " in printed
    assert (
        "The study is unfinished, and what follows is the best so far. The same command with more "
        "goes on."
    ) in printed
    first = metrics(folder, "long")
    assert first["ended_by"] == "the timeout of 12s"
    assert (folder / "runs/long/predictions.csv").is_file()
    model = hpo.load_model("runs/long/model")
    study = hpo.load_study("long")
    done = sum(task.outcome is not None for task in study.stored.tasks())
    assert 0 < done < 899
    assert run([*command, "--trials", str(done + 2)]) == (0 if search is SAMPLED else 3)
    second = metrics(folder, "long")
    ended = None if search is SAMPLED else f"the limit of {done + 2} trials"
    assert second["ended_by"] == ended
    best = [found["best"] for found in (first, second)]
    assert isinstance(best[0], dict) and isinstance(best[1], dict)
    assert best[1]["scores"] >= best[0]["scores"]
    if best[0]["trial"] == best[1]["trial"]:
        assert hpo.load_model("runs/long/model").config == model.config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time-limit", "ten"], "is 'ten', but must be a time such as 90s, 10m or 1h30m"),
        (["--add", "lr"], "--add lr: must be name=value,name=value with each name once"),
        (["--add", "lr=1,lr=2"], "--add lr=1,lr=2: must be name=value,name=value"),
        (["--add", "lr=5"], "lr is 5.0, but must be 0.0007 to 0.0015"),
        (["--add", "fusion=sum"], "fusion is sum, but must be one of sum_joint, mixed_joint"),
        (["--warm-start", "nothing"], "--warm-start nothing: "),
        (["--epoch-budget", "20"], "The budget is 20 epochs, but must be at least 40"),
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
    assert not (folder / "studies.db").exists()  # a study that is refused takes no name
