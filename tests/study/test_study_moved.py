"""A cache that was moved: every command finds it by ``--cache``, and the study goes on."""

import re
import shutil
from pathlib import Path

import pytest
from plugin_samples import write_files

import hpo
from hpo import replay
from hpo.report.__main__ import main as report
from hpo.run import main as run
from hpo.search import TaskState
from hpo.worker import main as worker

SPACE = """
name: moved
seeds: 1
split: {kind: tail, val_rows: 40}
fixed: {hidden: [8], lr: 0.05, epochs: 5}
search:
  kind: greedy
  stages:
    - {name: fusion, params: {fusion: [image, text, sum]}}
    - {name: rate, params: {lr: [0.05, 0.01]}}
"""
RUN = ["--study=moved", "--space=moved.yaml", "--data=data", "--features=data", "--workers=1"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study that was begun; its cache has been moved to ``elsewhere`` since."""
    write_files(tmp_path)
    (tmp_path / "moved.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    assert run([*RUN, "--trials=2"]) == 3
    (tmp_path / ".hpo").rename(tmp_path / "elsewhere")
    return tmp_path


def epochs_trained(study: hpo.Study) -> int:
    outcomes = [task.outcome for task in study.stored.tasks()]
    return sum(outcome.epochs_trained for outcome in outcomes if outcome is not None)


def test_without_the_cache_it_is_said_where_it_was(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert worker(["--study=moved"]) == 2
    assert re.search(
        rf"error: The study's features are not at {folder}/\.hpo/bundles/\w+; give the folder that "
        "holds them on this machine with --cache",
        capsys.readouterr().err,
    )
    assert report(["--study=moved"]) == 0
    assert f"There are no runs at {folder}/.hpo/runs" in capsys.readouterr().err


def test_a_worker_replay_and_report_take_it_from_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = hpo.load_study("moved")
    study.stored.ledger.limit("moved", None, None)
    assert worker(["--study=moved", "--cache=elsewhere", "--device=cpu"]) == 0
    assert study.stored.counts()[TaskState.DONE] == 4
    # image, text and the meta-classifier of `sum`, whose heads are there; then one more rate
    assert 15 < epochs_trained(study) <= 5 + 5 + 5 + 15
    capsys.readouterr()
    assert replay.main(["--study=moved", "--cache=elsewhere", "--trial=2"]) == 0
    assert "equal to the last bit" in capsys.readouterr().out
    assert report(["--study=moved", "--cache=elsewhere"]) == 0
    assert capsys.readouterr().err == ""
    assert not (folder / ".hpo").exists()


def test_a_folder_that_was_renamed_or_copied_is_gone_on_with_as_it_is(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (folder / "elsewhere").rename(folder / ".hpo")
    before = epochs_trained(hpo.load_study("moved"))
    assert not caplog.records  # it is where it was
    copy, renamed = folder / "copy", folder / "renamed"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("copy"))
    runs = sorted(path.name for path in (folder / ".hpo" / "runs").iterdir())
    monkeypatch.chdir(copy)
    assert run([*RUN, "--no-refit"]) == 0
    assert hpo.load_study("moved").stored.definition.cache == str(copy / ".hpo")
    assert sorted(path.name for path in (folder / ".hpo" / "runs").iterdir()) == runs
    assert epochs_trained(hpo.load_study("moved")) <= before + 5 + 15
    copy.rename(renamed)
    monkeypatch.chdir(renamed)
    shutil.rmtree(folder / ".hpo")
    capsys.readouterr()
    assert replay.main(["--study=moved", "--trial=2"]) == 0
    replayed = capsys.readouterr()
    assert "equal to the last bit" in replayed.out
    assert report(["--study=moved"]) == 0
    assert "no losses" not in capsys.readouterr().err
    assert replayed.err.splitlines()[0].endswith(
        f" The study 'moved' was made with the cache {folder / '.hpo'}; this is {renamed / '.hpo'}."
    )
    assert run(RUN) == 0
    monkeypatch.chdir(folder)  # the database file knows where it is
    study = hpo.load_study("moved", f"sqlite:///{renamed / 'studies.db'}")
    assert study.stored.definition.cache == str(renamed / ".hpo")
    assert study.refit().config == hpo.load_model(renamed / "runs/moved/model").config


def test_a_run_goes_on_with_it_and_refits(folder: Path) -> None:
    before = epochs_trained(hpo.load_study("moved"))
    assert run([*RUN, "--cache=elsewhere"]) == 0
    study = hpo.load_study("moved", cache="elsewhere")
    assert study.is_complete
    assert epochs_trained(study) <= before + 5 + 15
    assert (folder / "runs" / "moved" / "predictions.csv").is_file()
    assert study.refit().config == hpo.load_model("runs/moved/model").config
    assert not (folder / ".hpo").exists()
