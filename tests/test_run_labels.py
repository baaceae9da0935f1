"""Labels in doubt, from the command line to the plan and the predictions."""

import csv
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo.run import main as run

SPACE = """
name: tiny
seeds: 1
split: {kind: stratified, val_fraction: 0.25}
fixed: {hidden: [8], epochs: 5, lr: 0.01, batch_size: 64, fusion: image}
search: {kind: greedy, stages: [{name: rate, params: {lr: [0.01, 0.03]}}]}
"""
NAMES = ("dark blue", "green", "red")


@pytest.fixture
def vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Labels of 80 rows, which are vectors in the train.csv of the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 3)) < 0.5).astype(int)
    rows = [f"{i}.jpg,{' '.join(map(str, row))},x" for i, row in enumerate(labels)]
    Path("train.csv").write_text("\n".join(["ImageID,Labels,Caption", *rows, ""]))
    Path("test.csv").write_text("ImageID,Caption\nt.jpg,x\n")
    array = (labels @ rng.normal(size=(3, 8)) * 3).astype(np.float32)
    np.save("image.npy", array)
    np.save("image_test.npy", array[:1])
    Path("tiny.yaml").write_text(SPACE)
    return labels


def test_vectors_get_their_names_on_the_command_line(
    vectors: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--study", "tiny", "--space", "tiny.yaml", "--data", ".", "--features", "."]
    command += ["--workers", "1"]
    assert run(command) == 2
    assert "Labels looks like vectors of 3 zeros and ones" in capsys.readouterr().err
    assert run([*command, "--labels-as", "multihot"]) == 2
    assert "(did you mean 'multi-hot'?)" in capsys.readouterr().err
    Path("classes.list").write_text("\n".join(NAMES))
    assert run([*command, "--classes", "classes.list"]) == 0
    out = capsys.readouterr().out
    counts = ", ".join(f"{name} {n}" for name, n in zip(NAMES, vectors.sum(axis=0), strict=True))
    assert f"classes {counts}\n" in out
    assert "note: Labels is read as vectors of 3 zeros and ones\n" in out
    (row,) = csv.DictReader(Path("runs/tiny/predictions.csv").read_text().splitlines())
    assert {name for name in row["Labels"].split(";") if name} <= set(NAMES)
    data = hpo.load_data(".", features=".", classes=NAMES, progress=False)
    assert data.classes == NAMES and data.dataset.labels.tolist() == vectors.tolist()
    with pytest.raises(hpo.InputError, match="Labels looks like vectors"):
        hpo.load_data(".", features=".", progress=False)
