"""The main job as a user runs it: on the demo, killed, resumed, finished, refused."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from hpo.queue import open_ledger
from hpo.search import TaskState

pytestmark = pytest.mark.slow

REPO = Path(__file__).resolve().parents[1]
GREEDY = REPO / "search_spaces" / "greedy.yaml"
SMALL = ["--seeds", "1", "--set", "scale.epochs=0.04", "--set", "scale.width=0.03125"]


def hpo_run(folder: Path, *arguments: str, study: str = "small") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "hpo.run", "--study", study, "--space", str(GREEDY)]
    return subprocess.run(
        [*command, *SMALL, *arguments], cwd=folder, capture_output=True, text=True, timeout=280
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the study has run undisturbed, and what the run printed."""
    folder = tmp_path_factory.mktemp("finished")
    done = hpo_run(folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def kill_all(study: str) -> int:
    """Kill the run of a study and its workers with -9; return how many processes there were."""
    killed = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if study.encode() in words and any(word.startswith(b"hpo.") for word in words):
            try:
                os.kill(int(entry.name), signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed += 1
    return killed


def test_plan_tables_and_results_are_printed(finished: tuple[Path, str]) -> None:
    _, out = finished
    assert "3,000 rows to train, 600 to validate, 600 to predict, 18 classes" in out
    assert "scale.epochs=" in out  # the demo's smaller scale shows in the plan
    for stage in ("classification head", "fusion", "loss", "layer structure", "epochs"):
        assert re.search(rf"^{stage}", out, re.MULTILINE)
    assert out.count("→") == 8
    assert "best: trial" in out
    assert "runs/small/predictions.csv" in out


def test_predictions_cover_every_test_row_in_order(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    with (folder / ".hpo/demo/test.csv").open(newline="") as file:
        expected = [row["ImageID"] for row in csv.DictReader(file)]
    with (folder / "runs/small/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ImageID"] for row in rows] == expected
    config = json.loads((folder / "runs/small/model/config.json").read_text())
    assert {label for row in rows for label in row["Labels"].split()} <= set(config["classes"])
    assert config["origin"]["rows"] == 3600


def test_trials_show_in_optuna(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    storage = f"sqlite:///{folder / 'studies.db'}"
    study = optuna.load_study(study_name="small", storage=storage)
    trials = study.get_trials()
    states = {trial.state for trial in trials}
    assert states <= {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    for trial in trials:
        assert trial.user_attrs["stage"]
        assert len(trial.user_attrs["scores"]) == 1
        assert trial.user_attrs["runs"][0]
        last = max(trial.intermediate_values)
        assert trial.intermediate_values[last] == pytest.approx(trial.value)
        assert set(trial.intermediate_values) == set(range(1, last + 1))
    configs = [json.dumps(trial.user_attrs["config"], sort_keys=True) for trial in trials]
    assert len(configs) == len(set(configs))  # no configuration twice


def test_finished_study_only_prints(finished: tuple[Path, str]) -> None:
    folder, first = finished
    model = folder / "runs/small/model/model.safetensors"
    before = model.stat().st_mtime_ns
    again = hpo_run(folder)
    assert again.returncode == 0, again.stderr
    assert again.stdout[again.stdout.index("best:") :] == first[first.index("best:") :]
    assert model.stat().st_mtime_ns == before


def test_a_plan_needs_no_library_that_takes_long_to_import() -> None:
    """PyTorch takes longer than all else that a finished study needs; scikit-learn a second."""
    code = (
        "import sys, hpo.run, hpo._dry_run, hpo._run_study, hpo.training\n"
        "slow = {'torch', 'sklearn', 'scipy', 'pandas', 'matplotlib', 'plotly', 'open_clip'}\n"
        "print(*slow & set(sys.modules), hpo.training.Trainer.__name__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Trainer", "True"]


def test_killed_three_times_ends_with_the_same_tables(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    reference, _ = finished
    shutil.copytree(reference / ".hpo", tmp_path / ".hpo", ignore=shutil.ignore_patterns("runs"))
    study = f"killed-{os.getpid()}"
    command = [sys.executable, "-m", "hpo.run", "--study", study, "--space", str(GREEDY), *SMALL]
    quick = ["--grace", "1", "--heartbeat", "0.2", "--no-refit"]
    ledger = open_ledger(f"sqlite:///{tmp_path / 'studies.db'}")
    for done in (3, 10, 18):
        process = subprocess.Popen(
            [*command, *quick], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 120
        while ledger.counts(study)[TaskState.DONE] < done:
            assert time.monotonic() < end, f"waited 120 s for {done} configurations"
            time.sleep(0.02)
        assert kill_all(study) >= 2  # the run and at least one worker, at their work
        process.wait()
    ledger.close()
    resumed = hpo_run(tmp_path, *quick, study=study)
    assert resumed.returncode == 0, resumed.stderr
    got = json.loads((tmp_path / "runs" / study / "metrics.json").read_text())
    expected = json.loads((reference / "runs/small/metrics.json").read_text())
    assert got["stages"] == expected["stages"]


def test_another_space_under_the_same_name_is_refused(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    other = hpo_run(folder, "--set", "dropout=0.4")
    assert other.returncode == 2
    assert "The study 'small' in sqlite:///studies.db is a different one:" in other.stderr
    assert "fixed.dropout: 0.5 there, 0.4 here" in other.stderr


def test_another_arithmetic_under_the_same_name_is_refused(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    other = hpo_run(folder, "--precision", "bf16")
    assert other.returncode == 2
    assert "precision: float32 there, bf16 here" in other.stderr


def test_arithmetic_that_the_device_cannot_do_is_refused(tmp_path: Path) -> None:
    done = hpo_run(tmp_path, "--precision", "tf32", "--compile", "reduce-overhead")
    assert done.returncode == 2
    assert "--precision is tf32, which needs cuda, but must be float32 or bf16" in done.stderr
    assert "--compile is reduce-overhead, which captures CUDA graphs" in done.stderr
    assert not (tmp_path / "studies.db").exists()


def test_bad_input_is_one_clear_error(tmp_path: Path) -> None:
    done = hpo_run(tmp_path, "--data", str(tmp_path), "--set", "dropuot=0.4")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--set dropuot=0.4: unknown key 'dropuot'" in done.stderr


def test_help_is_fast_and_complete() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hpo.run", "--help"], capture_output=True, text=True, check=True
    )
    flags = (
        *("--study", "--space", "--data", "--features", "--encoder", "--storage", "--workers"),
        *(
            "--threads",
            "--precision",
            "--compile",
            "--devices",
            "--seeds",
            "--trials",
            "--timeout",
            "--set",
            "--out",
        ),
        "--no-refit",
    )
    for flag in flags:
        assert flag in done.stdout
