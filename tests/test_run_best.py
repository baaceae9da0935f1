"""The recommended study as it comes, on data of any shape: few rows, one modality, three."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo.library import Study
from hpo.report import finish_study
from hpo.run import main as run

pytestmark = pytest.mark.slow

WIDTHS = {"image": 24, "text": 16, "audio": 8}


def write_folder(folder: Path, rows: int, modalities: tuple[str, ...]) -> None:
    """A data folder without images, and embeddings of unit norm for its rows and six to predict."""
    rng = np.random.default_rng(0)
    labels = rng.random((rows + 6, 3)) < [0.6, 0.4, 0.3]
    labels[~labels.any(axis=1), 0] = True
    (folder / "data").mkdir(parents=True)
    names = [" ".join(str(k + 1) for k in np.flatnonzero(row)) for row in labels]
    lines = [f"{i}.jpg,{name},a caption" for i, name in enumerate(names[:rows])]
    head = "ImageID,Labels,Caption"
    (folder / "data" / "train.csv").write_text("\n".join([head, *lines, ""]))
    lines = [f"t{i}.jpg,a caption" for i in range(6)]
    (folder / "data" / "test.csv").write_text("\n".join(["ImageID,Caption", *lines, ""]))
    (folder / "embeddings").mkdir()
    for name in modalities:
        directions = rng.normal(size=(3, WIDTHS[name]))
        array = labels @ directions + 0.7 * rng.normal(size=(rows + 6, WIDTHS[name]))
        array = (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)
        np.save(folder / "embeddings" / f"{name}.npy", array[:rows])
        np.save(folder / "embeddings" / f"{name}_test.npy", array[rows:])


@pytest.mark.parametrize(
    ("rows", "modalities"),
    [
        (60, ("image", "text")),
        (200, ("text",)),
        (200, ("audio",)),
        (200, ("image", "text", "audio")),
    ],
    ids=["60 rows", "text alone", "audio alone", "three modalities"],
)
def test_best_is_what_runs_without_a_study(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: int,
    modalities: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path, rows, modalities)
    command = ["--data", "data", "--features", "embeddings", "--workers", "1", "--devices", "cpu"]
    assert run(command) == 0, capsys.readouterr()
    printed = capsys.readouterr().out
    assert "study best · space " in printed
    assert "no test part: " in printed
    note = f"note: batches are halved, 500 to 16 rows, since an epoch of {rows * 4 // 5} "
    assert note in printed
    found = json.loads((tmp_path / "runs/best/metrics.json").read_text())
    study = hpo.load_study("best")
    trials = study.optuna.get_trials()
    assert len(trials) == 10
    alone = len(modalities) == 1
    fusions = {"sum_joint", "mixed_joint"} if not alone else {*modalities}
    assert {trial.params["fusion"] for trial in trials} <= fusions
    assert found["best"]["config"]["fusion"] in fusions
    first = study.stored.tasks()[0].config
    assert first is not None
    fixed = study.stored.space.fixed
    assert first.batch_size == 16
    assert (first.fusion, first.lr) == ("mixed_joint" if not alone else modalities[0], fixed.lr)
    assert found["epochs_trained"] < 10 * 20 + 20
    assert found["wall_s"] > 0
    assert len((tmp_path / "runs/best/predictions.csv").read_text().splitlines()) == 7
    assert (tmp_path / "runs/best/report/index.html").is_file()
    if rows == 200:  # unit-norm embeddings are learned from in these few epochs
        assert found["best"]["value"] > 70
    # Once more, it only prints; with more trials it goes on.
    assert run(command) == 0
    assert "best: trial " in capsys.readouterr().out
    assert run([*command, "--trials", "13"]) == 0
    assert len(hpo.load_study("best").optuna.get_trials()) == 13


def test_a_test_part_is_in_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path, 200, ("image", "text"))
    command = ["--data", "data", "--features", "embeddings", "--workers", "1", "--trials", "3"]
    assert run([*command, "--devices", "cpu", "--set", "split.test_fraction=0.2"]) == 0
    found = json.loads((tmp_path / "runs/best/metrics.json").read_text())
    assert found["test"].keys() == {"micro_f1", "macro_f1", "samples_f1"}
    for score in found["test"].values():
        assert score["low"] <= score["value"] <= score["high"]
    assert found["model"]["rows"] == 160
    config = json.loads((tmp_path / "runs/best/model/config.json").read_text())
    assert config["thresholds"] != [0.5] * 3


def test_a_sampled_study_leaves_out_fusions_that_the_data_cannot_have(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 3)) < 0.5).astype(int)
    data = hpo.load_data(
        features={"text": rng.normal(size=(80, 6)) + labels.sum(axis=1, keepdims=True)},
        labels=labels,
        cache=tmp_path / "cache",
    )
    space = {
        **{"name": "s", "seeds": 1, "split": {"kind": "tail", "val_rows": 20}},
        "fixed": {"hidden": [8], "epochs": 2, "fusion": "sum"},
        "search": {
            **{"kind": "optuna", "trials": 5, "sampler": {"name": "RandomSampler"}},
            "params": {
                "fusion": {"choices": ["text", "concat", "mixed"]},
                "lr": {"low": 0.001, "high": 0.1},
            },
        },
    }

    def fusions(name: str, given: dict[str, object]) -> Study:
        study = hpo.create_study(data, given, name=name, storage=f"sqlite:///{tmp_path / 's.db'}")
        assert study.optimize(workers=1, progress=False)
        assert {task.config.fusion for task in study.stored.tasks() if task.config} == {"text"}
        return study

    fusions("some", space)
    only = {**space, "search": {**space["search"], "params": {"lr": {"low": 0.001, "high": 0.1}}}}
    study = fusions("none", only)
    from rich.console import Console

    finish_study(study.stored, Console(quiet=True), tmp_path / "out", "cpu", refit=True)
    model = hpo.load_model(tmp_path / "out" / "model")
    assert model.predict_proba(text=rng.normal(size=(2, 6))).shape == (2, 3)


def test_without_data_the_help_names_the_default() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hpo.run", "--help"], capture_output=True, text=True, check=True
    )
    assert "name of the study (default: best)" in " ".join(done.stdout.split())
    worker = subprocess.run(
        [sys.executable, "-m", "hpo.worker"], capture_output=True, text=True, check=False
    )
    assert worker.returncode == 2
    assert "the following arguments are required: --study" in worker.stderr
