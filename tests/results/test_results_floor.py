"""Scores to beat: against scikit-learn, stored once, and without the untouched rows."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from results_samples import CLASSES, PROMOTE, SPLIT, TEST, arrays, finish, study_of
from safetensors import safe_open
from sklearn.linear_model import Ridge
from sklearn.metrics import f1_score

import hpo
from hpo.data import Split
from hpo.features import Bundle, load_bundle
from hpo.library import Study
from hpo.results import FloorThread, compute_floor, f1_scores, stored_floor
from hpo.results._baselines import constant_baseline, linear_baseline, zero_shot_baseline
from hpo.results._floor import _to_bytes

TRAIN, VAL, UNTOUCHED = slice(0, 180), slice(240, 300), slice(180, 240)


def created(folder: Path, **changes: object) -> Study:
    """A study of which nothing is trained yet."""
    features, labels = arrays()
    data = hpo.load_data(features=features, labels=labels, cache=folder / "cache")
    storage = f"sqlite:///{folder / 'studies.db'}"
    return hpo.create_study(data, {**PROMOTE, **changes}, storage=storage)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    study = created(tmp_path_factory.mktemp("bundle"))
    return load_bundle(study.stored.definition.bundle)


@pytest.mark.parametrize("metric", ["micro_f1", "macro_f1", "samples_f1"])
def test_the_linear_head_is_scikit_learns_best_ridge(bundle: Bundle, metric: str) -> None:
    features, labels = arrays()
    scaled = []
    for x in (array.astype(np.float16).astype(np.float32) for array in features.values()):
        scaled.append(x * np.sqrt(x.shape[1] / np.square(x[TRAIN]).sum(axis=1).mean()))
    x = np.concatenate(scaled, axis=1)
    best = (0.0, 0.0, 0.0)
    for penalty in (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
        ridge = Ridge(alpha=180 * penalty).fit(x[TRAIN], labels[TRAIN])
        scores = ridge.predict(x[VAL])
        for cut in np.linspace(0.2, 0.5, 11):
            score = 100 * f1_score(labels[VAL], scores > cut, average=metric[:-3], zero_division=0)
            best = max(best, (float(score), -penalty, -cut))
    found = linear_baseline(bundle, metric)
    given = found.predict(bundle.features.train, bundle.split["val"])
    assert f1_scores(given, labels[VAL] > 0)[metric] == pytest.approx(best[0], abs=1e-4)
    assert "ridge regression on 180 training rows" in found.about


def test_more_columns_than_rows_are_solved_by_the_other_system(bundle: Bundle) -> None:
    few = Split(train=np.arange(12), val=bundle.split["val"])
    small = dataclasses.replace(bundle, split=few)
    features, labels = arrays()
    found = linear_baseline(small, "micro_f1")
    assert sum(array.shape[1] for array in features.values()) > 12
    weights = found.weights.astype(np.float64)
    # the gradient of the ridge objective vanishes on scaled and centred columns
    x = np.concatenate([array.astype(np.float16).astype(float) for array in features.values()], 1)
    widths = [array.shape[1] for array in features.values()]
    scale = np.concatenate(
        [
            np.full(w, np.sqrt(w / np.square(part[:12]).sum(axis=1).mean()))
            for w, part in zip(widths, np.split(x, [widths[0]], axis=1), strict=True)
        ]
    )
    centred = (x[:12] - x[:12].mean(axis=0)) * scale
    y = labels[:12] - labels[:12].mean(axis=0)
    w = weights / scale[:, None]
    penalty = float(found.about.split("penalty ")[1].split(" ")[0]) * 12
    gradient = centred.T @ (centred @ w - y) + penalty * w
    assert np.abs(gradient).max() < 1e-3


def test_the_constant_gives_the_labels_that_are_best_for_the_metric(bundle: Bundle) -> None:
    _, labels = arrays()
    order = np.argsort(-labels[TRAIN].sum(axis=0), kind="stable")
    for metric in ("micro_f1", "macro_f1"):
        scores = []
        for count in range(1, CLASSES + 1):
            given = np.zeros((180, CLASSES), dtype=bool)
            given[:, order[:count]] = True
            scores.append(f1_scores(given, labels[TRAIN] > 0)[metric])
        found = constant_baseline(bundle, metric)
        given = found.predict(bundle.features.train, bundle.split["val"])
        assert given.shape == (60, CLASSES)
        assert (given == given[0]).all()
        assert given[0].sum() == 1 + int(np.argmax(scores))
        assert given[0, order[: given[0].sum()]].all()


def test_zero_shot_labels_go_by_the_angle_to_the_class_names(bundle: Bundle) -> None:
    """Class embeddings along the directions of the labels tell them; their norms don't matter."""
    features, labels = arrays()
    x, y = features["image"][TRAIN], labels[TRAIN]
    directions = np.linalg.lstsq(y.astype(float), x, rcond=None)[0].astype(np.float32)
    found = zero_shot_baseline(bundle, "macro_f1", directions)
    longer = zero_shot_baseline(bundle, "macro_f1", 7 * directions)
    assert found is not None and longer is not None
    index = bundle.split["val"]
    given = found.predict(bundle.features.train, index)
    assert (given == longer.predict(bundle.features.train, index)).mean() > 0.99
    scores = found.scores(bundle.features.train, index)
    a, b = features["image"][VAL].astype(np.float16).astype(float), directions.astype(float)
    cosines = (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    assert scores == pytest.approx(cosines, abs=1e-5)
    constant = constant_baseline(bundle, "macro_f1").predict(bundle.features.train, index)
    truth = labels[VAL] > 0
    assert f1_scores(given, truth)["macro_f1"] > f1_scores(constant, truth)["macro_f1"] + 5
    assert zero_shot_baseline(bundle, "macro_f1", directions[:, :5]) is None  # another width


def test_it_is_computed_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = created(tmp_path)
    assert stored_floor(study.stored) is None
    floor = study.floor()
    assert [line.name for line in floor.lines] == ["linear", "constant"]
    assert floor.best.name == "linear"
    # whoever comes later computes nothing
    monkeypatch.setattr("hpo.results._floor.linear_baseline", None)
    again = created(tmp_path).floor()
    assert again.to_json() == floor.to_json()
    bundle = load_bundle(study.stored.definition.bundle)
    assert again.on_test(bundle).to_json() == floor.on_test(bundle).to_json()
    FloorThread(study.stored).join()


def test_a_damaged_file_is_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = created(tmp_path)
    floor = study.floor()
    (path,) = (tmp_path / "cache" / "floors").iterdir()
    path.write_bytes(path.read_bytes()[:50])
    with caplog.at_level(logging.WARNING):
        assert study.floor().to_json() == floor.to_json()
    assert "can't be read and is computed again" in caplog.text


def test_a_study_goes_on_without_a_floor_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise OSError("the disk is full")

    FloorThread(created(tmp_path).stored, fail).join()
    assert "There is no floor: the disk is full" in caplog.text


def test_without_a_floor_nothing_is_computed_or_shown(tmp_path: Path) -> None:
    study = created(tmp_path, floor=False)
    assert study.optimize(workers=1, devices="cpu", progress=False)
    assert not (tmp_path / "cache" / "floors").exists()
    printed = finish(study, tmp_path / "out")
    assert "floor, " not in printed
    assert "floor" not in json.loads((tmp_path / "out/metrics.json").read_text())
    with pytest.raises(hpo.InputError, match="has no floor, as its space says floor: false"):
        study.floor()


def test_it_stands_in_every_result(tmp_path: Path) -> None:
    study = study_of(tmp_path, PROMOTE)
    floor = stored_floor(study.stored)
    assert floor is not None  # computed while the worker worked
    printed = finish(study, tmp_path / "out")
    assert "floor, linear, test: micro-F1 " in printed
    found = json.loads((tmp_path / "out/metrics.json").read_text())["floor"]
    assert set(found) == {"linear", "constant"}
    _, labels = arrays()
    bundle = load_bundle(study.stored.definition.bundle)
    for line in floor.lines:
        given = line.baseline.predict(bundle.features.train, bundle.split["test"])
        expected = f1_scores(given, labels[UNTOUCHED] > 0)
        assert len(given) == TEST
        for name, value in expected.items():
            interval = found[line.name]["test"][name]
            assert interval["value"] == pytest.approx(value)
            assert interval["low"] < value < interval["high"]
    assert found["linear"]["validation"]["micro_f1"]["value"] > 60
    tables = (tmp_path / "out/report/tables.md").read_text()
    assert "floor: linear" in tables and "floor: constant" in tables
    assert "floor: linear" in (tmp_path / "out/report/index.html").read_text()
    board = study.leaderboard(floor=True)
    assert set(board["floor"].dropna()) == {"linear", "constant"}
    assert board["score"].is_monotonic_decreasing
    assert len(board) == len(study.leaderboard()) + 2


def test_the_floor_does_not_read_the_untouched_rows_before_the_end(tmp_path: Path) -> None:
    features, labels = arrays()
    other = {name: array.copy() for name, array in features.items()}
    for array in other.values():
        array[UNTOUCHED] = 0
    found = []
    for number, chosen in enumerate((features, other)):
        data = hpo.load_data(features=chosen, labels=labels, cache=tmp_path / str(number))
        storage = f"sqlite:///{tmp_path / str(number)}.db"
        study = hpo.create_study(data, {**PROMOTE, "split": SPLIT}, storage=storage)
        found.append(compute_floor(study.stored).to_json())
    assert found[0] == found[1]


def test_a_floor_that_was_changed_is_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = created(tmp_path)
    floor = study.floor()
    (path,) = (tmp_path / "cache" / "floors").iterdir()
    content = bytearray(path.read_bytes())
    content[-3] ^= 1  # of the last threshold
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert stored_floor(study.stored) is None
    assert "can't be read and is computed again: its checksum is wrong" in caplog.text
    assert study.floor().to_json() == floor.to_json()
    assert stored_floor(study.stored) is not None


def test_the_floor_of_other_data_is_not_taken_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = created(tmp_path)
    floor = study.floor()
    (path,) = (tmp_path / "cache" / "floors").iterdir()
    other = path.with_name("0123456789abcdef0123.safetensors")
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["floor"])
    assert about["of"] == path.stem
    theirs = path.read_bytes()
    path.write_bytes(_to_bytes(floor, other.stem))
    assert stored_floor(study.stored) is None
    assert "computed again: it is that of other data" in caplog.text
    path.write_bytes(theirs)
    assert stored_floor(study.stored) is not None
