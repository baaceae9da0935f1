"""The small commands, as a user runs them on a finished study."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hpo import __main__, check, replay, runs

pytestmark = pytest.mark.slow

REPO = Path(__file__).resolve().parents[1]
SPACE = """
name: tiny
seeds: 2
fixed: {hidden: [64], epochs: 20, fusion: text}
search:
  kind: optuna
  trials: 6
  sampler: {name: TPESampler, multivariate: true, constant_liar: true, n_startup_trials: 2}
  pruner: {name: SuccessiveHalvingPruner, min_resource: 4, reduction_factor: 2}
  params:
    lr: {low: 0.0001, high: 0.1, log: true}
    dropout: {low: 0.0, high: 0.8}
    loss: {choices: [bce, asl]}
refit: null
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished sampled study on the demo."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "tiny.yaml").write_text(SPACE)
    command = [sys.executable, "-m", "hpo.run", "--study", "tiny", "--space", "tiny.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert "best 6 of 6 trials" in done.stdout
    return folder


@pytest.mark.parametrize("trial", [0, 5])
def test_replay_is_equal_to_the_last_bit(
    folder: Path, capsys: pytest.CaptureFixture[str], trial: int
) -> None:
    storage = f"sqlite:///{folder / 'studies.db'}"
    status = replay.main(["--study", "tiny", "--storage", storage, "--trial", str(trial)])
    assert capsys.readouterr().out == (
        "suggestion: equal\nscores: equal to the last bit\ncurve: equal to the last bit\n"
    )
    assert status == 0


def test_replay_of_an_unknown_trial(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)  # the working folder's own cache would be named in a line
    storage = f"sqlite:///{folder / 'studies.db'}"
    assert replay.main(["--study", "tiny", "--storage", storage, "--trial", "6"]) == 2
    assert capsys.readouterr().err == "error: --trial 6: the study has trials 0 to 5.\n"


def test_unknown_study_and_missing_store(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    storage = f"sqlite:///{folder / 'studies.db'}"
    assert replay.main(["--study", "tinny", "--storage", storage, "--trial", "0"]) == 2
    assert "has no such study (did you mean 'tiny'?); it has: tiny." in capsys.readouterr().err
    missing = tmp_path / "no.db"
    arguments = ["--study", "tiny", "--storage", f"sqlite:///{missing}", "--trial", "0"]
    assert replay.main(arguments) == 2
    assert "there is no such file." in capsys.readouterr().err
    assert not missing.exists()


def test_runs_list_check_and_prune(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = ["--cache", str(folder / ".hpo")]
    assert runs.main(["list", *cache]) == 0
    assert "12 runs, " in capsys.readouterr().out
    assert runs.main(["check", *cache]) == 0
    assert capsys.readouterr().out == "12 runs, 0 damaged files\n"
    assert runs.main(["prune", *cache, "--run-store-gb", "0.000001"]) == 0
    assert capsys.readouterr().out.startswith("freed ")
    assert runs.main(["prune", "--cache", str(folder / "none")]) == 2
    assert "there is no run store in it." in capsys.readouterr().err


def test_a_stage_without_a_result_ends_the_run(folder: Path) -> None:
    space = """
name: hopeless
seeds: 1
max_model_mb: 1.0e+15
search:
  kind: greedy
  stages: [{name: layers, params: {hidden: [[100000000000000], [1000000000000000]]}}]
"""
    (folder / "hopeless.yaml").write_text(space)
    command = [sys.executable, "-m", "hpo.run", "--study", "hopeless", "--workers", "1"]
    done = subprocess.run(
        [*command, "--space", "hopeless.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 4
    assert "failed: InputError: hidden [" in done.stdout and "can't be trained" in done.stdout
    assert "Traceback" not in done.stderr
    assert "error: All candidates of the stage 'layers' failed." in done.stderr


def test_verbs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["hpo", "--help"])
    assert __main__.main() == 0
    assert "  run       run a study to its end" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["hpo", "rnu"])
    assert __main__.main() == 2
    assert "unknown verb 'rnu' (did you mean 'run'?)" in capsys.readouterr().err


def test_check_says_what_is_whole(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(folder / ".hpo", cache)
    storage = f"sqlite:///{folder / 'studies.db'}"
    arguments = ["--cache", str(cache), "--storage", storage]
    assert check.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *("features", "bundles", "run files", "studies")
    ]
    assert all(line.endswith(" whole, 0 damaged") for line in lines)
    assert int(lines[-1].split()[1]) >= 1

    (array,) = cache.glob("features/*/train_text.npy")
    (first, *_) = sorted(cache.glob("runs/*/*.safetensors"))
    epoch, kind, _ = first.name.split(".")
    for path in (array, first):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert check.main([*arguments, "--model", str(tmp_path / "none")]) == 1
    printed = capsys.readouterr().out
    assert "features: 0 whole, 1 damaged\n" in printed
    assert "    train_text.npy is damaged: its checksum is wrong\n" in printed
    assert "bundles: 0 whole, 1 damaged\n" in printed
    assert f"  {first.parent} epoch {int(epoch)} {kind}; it is made again when" in printed
    assert "models: 0 whole, 1 damaged\n" in printed
    assert f"  {tmp_path / 'none'} is no model folder: " in printed

    shutil.copy(folder / "studies.db", tmp_path / "s.db")
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection, connection:
        connection.execute("UPDATE trial_values SET value = value + 1")
    assert check.main(["--cache", str(cache), "--storage", f"sqlite:///{tmp_path / 's.db'}"]) == 1
    printed = capsys.readouterr().out
    assert "  The storage is damaged: what it has of trial 0 isn't what was written. " in printed


def test_check_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--cache", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == (
        f"error: --cache {tmp_path / 'none'}: there is no such folder.\n"
    )


def test_check_of_a_place_that_is_not_there(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = ["--cache", str(folder / ".hpo")]
    assert check.main([*cache, "--storage", f"sqlite:///{tmp_path / 'no.db'}"]) == 2
    assert capsys.readouterr().err.endswith("no.db: there is no such file.\n")
    assert not (tmp_path / "no.db").exists()
    storage = f"sqlite:///{folder / 'studies.db'}"
    assert check.main(["--cache", str(tmp_path / "none"), "--storage", storage]) == 2
    assert capsys.readouterr().err.endswith("none: there is no such folder.\n")
