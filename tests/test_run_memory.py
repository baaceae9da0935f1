"""A study whose workers hold no rows, from the command line: everything as if they did."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo._run_plan import memory_notes
from hpo.data import TailSplit
from hpo.run import main as run
from hpo.training import copy_gb
from hpo.worker import main as worker

pytestmark = pytest.mark.slow

ROWS = 400
SPACE = """
name: tiny
seeds: 2
split: {kind: tail, val_rows: 80, test_rows: 40}
fixed: {hidden: [16], epochs: 4, lr: 0.01, batch_size: 64}
search:
  kind: greedy
  stages:
    - {name: fusion, params: {fusion: [concat, mixed, sum_joint]}}
    - {name: scaling, params: {feature_scaling: [none, auto, standard]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with embeddings of rows to train on and to predict."""
    rng = np.random.default_rng(0)
    labels = rng.random((ROWS, 3)) < [0.6, 0.4, 0.2]
    cells = [" ".join(map(str, np.flatnonzero(row) + 1)) or "1" for row in labels]
    rows = [f"{index}.jpg,{cell},x" for index, cell in enumerate(cells)]
    (tmp_path / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *rows, ""]))
    asked = [f"t{index}.jpg,x" for index in range(30)]
    (tmp_path / "test.csv").write_text("\n".join(["ImageID,Caption", *asked, ""]))
    for name, width in (("image", 6), ("text", 4)):
        array = labels @ rng.normal(size=(3, width)) + rng.normal(size=(ROWS, width))
        np.save(tmp_path / f"{name}.npy", array.astype(np.float32))
        np.save(tmp_path / f"{name}_test.npy", array[:30].astype(np.float32))
    (tmp_path / "tiny.yaml").write_text(SPACE)
    return tmp_path


def results(folder: Path, out: str, *options: str) -> tuple[str, dict[str, bytes]]:
    """Run the whole study with a cache of its own; return what it printed and what it wrote."""
    command = [
        *(sys.executable, "-m", "hpo.run", "--study", "tiny", "--space", "tiny.yaml"),
        *("--data", ".", "--features", ".", "--cache", f"{out}/cache", "--out", out),
        *("--storage", f"sqlite:///{out}.db", "--workers", "1", *options),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    files = ("predictions.csv", "model/model.safetensors")
    found = {name: (folder / out / name).read_bytes() for name in files}
    metrics = json.loads((folder / out / "metrics.json").read_text())
    scores = ("judged", "test", "test_at_half", "epochs_trained")
    found["scores"] = json.dumps([metrics[name] for name in scores]).encode()
    return done.stdout, found


def test_everything_is_as_if_rows_were_held(folder: Path) -> None:
    printed, held = results(folder, "held")
    assert "mapped files" not in printed
    printed, mapped = results(folder, "mapped", "--memory-gb", "0.00001")
    assert (
        "workers read the rows from mapped files, batch by batch: as float32 they are 1.87e-05 "
        "GB, and a worker may hold 1e-05 GB (--memory-gb)"
    ) in printed
    assert mapped == held


def test_the_plan_names_the_workers_that_hold_nothing(tmp_path: Path) -> None:
    arrays = {"image": np.random.default_rng(0).normal(size=(50, 6))}
    data = hpo.load_data(features=arrays, labels=np.ones((50, 2), dtype=int), cache=tmp_path)
    bundle = data.bundle(TailSplit(kind="tail", val_rows=10))
    size = copy_gb(bundle)
    assert size == 50 * 8 * 4 / 1e9
    assert memory_notes(bundle, [size, 2 * size]) == []
    (note,) = memory_notes(bundle, [size, size / 2, size])
    assert note.startswith("1 of 3 workers read the rows from mapped files")


@pytest.mark.parametrize(
    ("value", "said"),
    [("0", "is 0, but must be above 0"), ("-1", "is -1, but"), ("much", "'much' is not a number")],
)
def test_memory_must_be_above_0(capsys: pytest.CaptureFixture[str], value: str, said: str) -> None:
    for main in (run, worker):
        with pytest.raises(SystemExit) as caught:
            main(["--study", "tiny", f"--memory-gb={value}"])
        assert caught.value.code == 2
        assert f"error: argument --memory-gb: {said}" in capsys.readouterr().err
