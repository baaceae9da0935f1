"""What is there all the same if the end of a study fails: its numbers, its report, one sentence."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna_dashboard import get_note

import hpo
import hpo.results
from hpo.__main__ import main
from hpo.errors import DivergedError, InputError

RUN = [
    "run",
    "--study",
    "s",
    "--space",
    "space.yaml",
    "--data",
    "data",
    "--features",
    "data/emb",
    "--devices",
    "cpu",
    "--workers",
    "1",
    "--out",
    "out",
]
#: The refit has more rows than the search, in one batch.
LOSS = """\
import torch

import hpo


@hpo.register_loss("brittle")
def brittle(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    return loss * torch.nan if len(logits) > 45 else loss
"""
THERE = "There is no model, but the numbers of the study are in out/metrics.json. "


@pytest.fixture
def home(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = Path(shutil.copytree(whole, tmp_path / "home"))
    monkeypatch.chdir(home)
    return home


def note() -> str:
    return get_note(hpo.load_study("s", "sqlite:///studies.db").optuna)


def check_numbers(out: Path) -> None:
    written = json.loads((out / "metrics.json").read_text())
    assert written["best"]["value"] > 0
    assert "judged" in written and "epochs_trained" in written and "model" not in written
    assert (out / "report/index.html").exists() and (out / "report/figures/01_rate.png").exists()
    assert not (out / "model").exists()


def test_a_refit_that_diverges(home: Path) -> None:
    (home / "loss.py").write_text(LOSS)
    arguments = [*RUN, "--study", "d", "--plugin", "loss.py", "--set", "loss=brittle"]
    arguments += ["--set", "batch_size=1000"]
    done = subprocess.run(
        [sys.executable, "-m", "hpo", *arguments], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 1
    message = f"error: The refit diverged: the loss was not finite in epoch 1. {THERE}--pick "
    assert done.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in done.stderr
    assert "best: trial" in done.stdout and "out/metrics.json" in done.stdout
    check_numbers(home / "out")


@pytest.mark.parametrize(
    ("error", "status"), [(DivergedError("It diverged."), 1), (InputError("It is too large."), 2)]
)
def test_the_numbers_are_written_whatever_keeps_the_refit_from_its_end(
    error: Exception,
    status: int,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object, **__: object) -> None:
        before = json.loads((home / "out/metrics.json").read_text())
        assert before["best"]["value"] > 0 and "judged" in before  # a kill loses none of it
        raise error

    monkeypatch.setattr("hpo.report._results.refit_best", fails)
    (home / "out").mkdir()
    old, new = home / "out/.metrics.json.0.tmp", home / "out/.metrics.json.1.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    assert main(RUN) == status
    assert f"error: {error} {THERE}--pick refits another trial" in capsys.readouterr().err
    check_numbers(home / "out")
    assert not old.exists() and new.exists()
    assert f"- **No model**: {error}\n" in note() and "| validation | " in note()
    monkeypatch.undo()
    monkeypatch.chdir(home)
    assert main(RUN) == 0  # the same command goes on once the cause is gone
    assert (home / "out/model/config.json").exists()
    written = json.loads((home / "out/metrics.json").read_text())
    assert "model" in written and "refit_failed" not in written
    assert "**No model**" not in note() and "- **Model**: " in note()


def test_a_stage_that_looks_like_mathematics(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (home / "space.yaml").read_text().replace("name: rate", "name: $\\frac$")
    (home / "space.yaml").write_text(text)
    data = hpo.load_data("data", features="data/emb", cache=".hpo", progress=False)
    study = hpo.create_study(data, "space.yaml", name="m", storage="sqlite:///studies.db")
    assert study.optimize(workers=1, devices="cpu", progress=False)
    assert main([*RUN, "--study", "m"]) == 0
    assert "can't be drawn" not in capsys.readouterr().err
    assert (home / "out/report/figures/01_frac.png").exists()


def test_files_have_the_rights_of_the_umask(home: Path) -> None:
    before = os.umask(0o027)
    try:
        assert main([*RUN, "--cache", "new"]) == 0
    finally:
        os.umask(before)
    modes = {
        (path.is_dir(), oct(path.stat().st_mode & 0o777))
        for root in (home / "out", home / "new/features", home / "new/bundles")
        for path in (root, *root.rglob("*"))
    }
    assert modes == {(True, "0o750"), (False, "0o640")}
