"""``hpo run --dry-run``: all that a run says before it begins, and nothing is left of it."""

import contextlib
import re
import sqlite3
from pathlib import Path

import optuna
import pytest
from PIL import Image
from test_run_best import write_folder

import hpo
from hpo.run import main as run

COMMAND = ["--data", "data", "--features", "embeddings", "--devices", "cpu", "--workers", "1"]
SPACE = """
name: small
seeds: 1
floor: false
split: {kind: stratified, val_fraction: 0.2}
fixed: {hidden: [8], epochs: 3}
search: {kind: optuna, trials: 3, params: {dropout: {low: 0.0, high: 0.8}}}
"""
OWN = [*COMMAND, "--study", "small", "--space", "small.yaml"]
END = "Nothing was encoded, stored or trained (--dry-run).\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path, 200, ("image", "text"))
    (tmp_path / "small.yaml").write_text(SPACE)
    return tmp_path


def files(folder: Path) -> dict[Path, object]:
    """All files, with their sizes and times; of a database what is in it.

    SQLite opens a file that is read with two more, and writes into it what stands in these whenever
    the last of its connections is closed.
    """
    return {
        path: rows_of(path)
        if path.suffix == ".db"
        else (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".db-shm", ".db-wal")
    }


def rows_of(database: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def plan(printed: str) -> list[str]:
    """The lines of the plan, from the study to the sum of epochs."""
    lines = printed.splitlines()
    last = next(number for number, line in enumerate(lines) if " epochs asked for a seed" in line)
    return lines[: last + 1]


def test_it_prints_what_the_run_prints_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(folder)
    assert run([*OWN, "--dry-run"]) == 0
    dry = capsys.readouterr().out
    assert dry.endswith(END)
    assert files(folder) == before and not (folder / ".hpo").exists()
    assert run(OWN) == 0
    assert plan(dry) == plan(capsys.readouterr().out)
    before = files(folder)
    assert run([*OWN, "--dry-run", "--trials", "5", "--add", "dropout=0.7"]) == 0
    again = capsys.readouterr().out
    assert files(folder) == before
    (trials,) = [line.split() for line in again.splitlines() if line.startswith("trials")]
    assert trials[:3] == ["trials", "6", "3"]  # three of them are done
    assert len(hpo.load_study("small").optuna.trials) == 3


def test_what_the_run_refuses_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dry = [*OWN, "--dry-run"]
    optuna.create_study(study_name="small", storage="sqlite:///theirs.db")
    for arguments, message in (
        (["--storage", "sqlite:///theirs.db"], "has a study of this name that hpo didn't make"),
        (["--storage", "sqlite://studies.db"], "a file needs three slashes"),
        (["--set", "dropuot=0.1"], "unknown key 'dropuot'"),
        (["--add", "dropout=3"], "dropout is 3"),
        (["--epoch-budget", "2"], "The budget is 2 epochs, but must be at least "),
        (["--warm-start", "none"], "--warm-start none: sqlite:///studies.db has no such study."),
        (["--set", "split.val_fraction=2"], "val_fraction"),
    ):
        assert run([*dry, *arguments]) == 2
        assert message in capsys.readouterr().err
    assert run(OWN) == 0
    capsys.readouterr()
    assert run([*dry, "--set", "hidden=[6]"]) == 2
    assert "fixed.hidden: [8] there, [6] here" in capsys.readouterr().err
    optuna.delete_study(study_name="small", storage="sqlite:///studies.db")
    assert run([*dry, "--set", "hidden=[6]"]) == 0
    assert run([*dry, "--storage", "sqlite:///none.db", "--wait-for-store", "0s"]) == 0
    assert not (folder / "none.db").exists()


def test_what_would_be_encoded_is_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder / "pictures"
    (data / "data").mkdir(parents=True)
    rows = [f"{i}.png,{'a' if i % 3 else 'b'},caption {i % 20}" for i in range(60)]
    (data / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *rows, ""]))
    for i in range(60):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(data / "data" / f"{i}.png")
    before = files(folder)
    command = ["--data", "pictures", "--devices", "cpu", "--study", "small", "--dry-run"]
    assert run([*command, "--space", "small.yaml", "--encoder", "ViT-B-32/openai"]) == 0
    printed = capsys.readouterr().out
    assert (
        "features ViT-B-32/openai · to encode: 60 images and 20 captions, but for those that .hpo "
        "has already"
    ) in printed
    assert "48 rows to train, 12 to validate" in printed
    assert files(folder) == before and not (folder / ".hpo").exists()


def test_a_misspelt_study_gets_the_nearest_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*COMMAND, "--study", "gredy"]) == 2
    assert "There is no search space 'gredy' (did you mean 'greedy'?)" in capsys.readouterr().err
    assert not (folder / "studies.db").exists()
    assert run([*COMMAND, "--study", "mine", "--space", "small.yaml", "--no-refit"]) == 0
    capsys.readouterr()
    assert run([*COMMAND, "--study", "mien"]) == 2
    error = capsys.readouterr().err
    assert "There are studies in the storage (did you mean 'mine'?)." in error
    assert run([*COMMAND, "--study", "mine"]) == 2
    error = capsys.readouterr().err
    assert "The study 'mine' is there: give the file of its space." in error


def test_rows_that_score_at_the_end_are_in_the_plan(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*OWN, "--dry-run", "--set", "split.test_fraction=0.1"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("data "))
    counts = [int(n) for n in re.findall(r"(\d+) (?:rows )?to (?:train|validate|score)", line)]
    assert len(counts) == 3 and sum(counts) == 200 and 10 <= counts[2] <= 30
