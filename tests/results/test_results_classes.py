"""Precision, recall and F1 of each class: against scikit-learn, in files and from Python."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from results_samples import CLASSES, PROMOTE, arrays, finish, study_of
from sklearn.metrics import precision_recall_fscore_support

from hpo.errors import InputError
from hpo.library import Study
from hpo.results import class_scores
from hpo.training import RunStore, open_device, trim_store

NAMES = tuple(map(str, range(CLASSES)))
PARTS = ("validation", "validation_tuned", "test", "test_at_half")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study_of(tmp_path_factory.mktemp("classes"), PROMOTE)


@pytest.fixture(scope="module")
def out(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    finish(study, folder)
    return folder


@pytest.mark.parametrize("thresholds", [0.5, (0.3, 0.5, 0.6, 0.9)])
def test_scores_are_scikit_learns(thresholds: float | tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((80, CLASSES)) < [0.5, 0.2, 0.1, 0.0]  # nobody has the last class
    models = [rng.random((80, CLASSES)).astype(np.float32) for _ in range(3)]
    models[0][:, 1] = 0  # a class that one model never gives
    found = class_scores(models, truth, NAMES, thresholds)
    expected = np.mean(
        [
            precision_recall_fscore_support(truth, p > np.asarray(thresholds), zero_division=0)[:3]
            for p in models
        ],
        axis=0,
    )
    assert [*found] == [*NAMES]
    for k, score in enumerate(found.values()):
        assert (score.precision, score.recall, score.f1) == pytest.approx(100 * expected[:, k])
        assert score.support == truth[:, k].sum()
        assert score.threshold == np.broadcast_to(thresholds, CLASSES)[k]


def test_metrics_have_every_class_of_every_part(study: Study, out: Path) -> None:
    found = json.loads((out / "metrics.json").read_text())
    assert tuple(found["classes"]) == PARTS
    _, labels = arrays()
    for part, classes in found["classes"].items():
        rows = labels[180:240] if part.startswith("test") else labels[240:]
        assert [score["support"] for score in classes.values()] == rows.sum(axis=0).tolist()
    for part, whole in (
        ("validation", found["judged"]["validation"]),
        ("validation_tuned", found["judged"]["validation_tuned"]),
        ("test", found["test"]),
        ("test_at_half", found["test_at_half"]),
    ):
        mean = np.mean([score["f1"] for score in found["classes"][part].values()])
        assert mean == pytest.approx(whole["macro_f1"]["value"])
    kept = json.loads((out / "model/config.json").read_text())["thresholds"]
    for part in ("validation_tuned", "test"):
        thresholds = [score["threshold"] for score in found["classes"][part].values()]
        assert thresholds == kept != [0.5] * CLASSES
    assert {s["threshold"] for s in found["classes"]["test_at_half"].values()} == {0.5}


def test_the_report_has_them_as_a_table_and_a_file(study: Study, out: Path) -> None:
    found = json.loads((out / "metrics.json").read_text())["classes"]
    with (out / "report/classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["part"], row["class"]) for row in rows] == [(p, n) for p in PARTS for n in NAMES]
    for row in rows:
        score = found[row["part"]][row["class"]]
        assert {key: float(row[key]) for key in score} == score
    page = (out / "report/index.html").read_text()
    text = (out / "report/tables.md").read_text()
    assert "<h2>Classes</h2>" in page and 'href="classes.csv"' in page
    assert "## Classes" in text
    for part in ("validation_tuned", "test"):
        for score in found[part].values():
            assert f'<td class="number">{score["f1"]:.2f}</td>' in page
            assert f"| {score['f1']:.2f} | {score['precision']:.2f} |" in text


def test_the_report_command_keeps_them(
    study: Study, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hpo.report.__main__ import main

    before = (out / "report/index.html").read_text()
    where = ["--study", study.name, "--storage", study.stored.url]
    assert main([*where, "--out", str(out / "report")]) == 0
    assert (out / "report/index.html").read_text() == before
    assert "classes.csv" in capsys.readouterr().out
    # Results of another study are not taken for those of this one.
    metrics = out / "metrics.json"
    kept = metrics.read_text()
    metrics.write_text(kept.replace('"value"', '"other"', 1))
    assert main([*where, "--out", str(out / "report")]) == 0
    assert "<h2>Classes</h2>" not in (out / "report/index.html").read_text()
    metrics.write_text(kept)


def test_from_python_they_are_a_table(study: Study, out: Path) -> None:
    found = json.loads((out / "metrics.json").read_text())["classes"]
    frame = study.class_scores(device="cpu")
    assert [*frame.columns] == [
        *("part", "class", "precision", "recall", "f1", "support", "threshold")
    ]
    assert [*frame["part"].unique()] == ["validation", "validation_tuned"]
    for row in frame.to_dict("records"):
        assert found[row.pop("part")][row.pop("class")] == row
    model = study.refit(device="cpu")
    frame = study.class_scores(model, device="cpu").set_index(["part", "class"])
    assert [*frame.index.unique("part")] == [*PARTS]
    features, labels = arrays()
    half = {name: array[180:240].astype(np.float16) for name, array in features.items()}
    probabilities = model.trained.probabilities(half, open_device("cpu"))
    for part, thresholds in (("test", model.trained.thresholds), ("test_at_half", 0.5)):
        given = probabilities > np.asarray(thresholds)
        _, recall, f1, _ = precision_recall_fscore_support(labels[180:240], given, zero_division=0)
        assert frame.loc[part, "f1"].to_numpy() == pytest.approx(100 * f1)
        assert frame.loc[part, "recall"].to_numpy() == pytest.approx(100 * recall)


def test_without_stored_weights_only_the_test_part_is_scored(tmp_path: Path) -> None:
    study = study_of(tmp_path, PROMOTE)
    trim_store(RunStore(study.stored.definition.run_store), 0.0)
    finish(study, tmp_path / "out")
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert tuple(found["classes"]) == ("test", "test_at_half")
    assert "<h2>Classes</h2>" in (tmp_path / "out/report/index.html").read_text()
    trim_store(RunStore(study.stored.definition.run_store), 0.0)
    with pytest.raises(InputError, match=r"has no weights of the best trial of 'promote' any more"):
        study.class_scores(device="cpu")
