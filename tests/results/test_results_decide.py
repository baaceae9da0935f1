"""Thresholds and calibration of a study's model: by unseen rows, and kept with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from results_samples import PROMOTE, SPLIT, arrays, finish, study_of

import hpo
from hpo.features import load_bundle
from hpo.library import Study
from hpo.results import decide, f1_scores, tune_thresholds
from hpo.training import TrainedModel, open_device

UNTOUCHED = slice(180, 240)
FOLDS = {"metrics": ["micro_f1", "samples_f1"], "folds": 3}


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study_of(tmp_path_factory.mktemp("folded"), {**PROMOTE, "thresholds": FOLDS})


def test_folds_are_made_of_training_and_validation_rows_alone(folded: Study) -> None:
    found = decide(folded.stored, folded.best_task, "cpu")
    assert found is not None
    _, labels = arrays()
    used = np.r_[0:180, 240:300]
    assert np.array_equal(found.truth, labels[used] > 0)
    (probabilities,) = found.held_out
    assert probabilities.shape == (240, 4)
    assert found.rows == "training and validation rows, out of 3 folds"
    expected = tune_thresholds(probabilities, labels[used] > 0, FOLDS["metrics"])
    assert found.thresholds == tuple(expected)
    # about as good as a model is on rows it was not trained on
    assert 60 < f1_scores(probabilities > 0.5, found.truth)["micro_f1"] < 95
    again = decide(folded.stored, folded.best_task, "cpu")
    assert again is not None
    assert (again.thresholds, again.epochs) == (found.thresholds, 0)


def test_their_epochs_count_and_without_a_refit_none_is_trained(tmp_path: Path) -> None:
    study = study_of(tmp_path, {**PROMOTE, "thresholds": FOLDS})
    from rich.console import Console

    from hpo.report import finish_study

    finish_study(study.stored, Console(quiet=True), tmp_path / "plain", "cpu", refit=False)
    plain = json.loads((tmp_path / "plain/metrics.json").read_text())
    assert plain["calibration"]["rows"] == "validation rows"
    finish(study, tmp_path / "out")
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["calibration"]["rows"] == "training and validation rows, out of 3 folds"
    assert found["epochs_trained"] == plain["epochs_trained"] + 12 + 3 * 12


def test_without_a_refit_the_test_is_that_of_the_winner(tmp_path: Path) -> None:
    from rich.console import Console

    from hpo.report import finish_study

    study = study_of(tmp_path, PROMOTE)
    console = Console(width=200, record=True, quiet=False, file=(tmp_path / "log").open("w"))
    finish_study(study.stored, console, tmp_path / "out", "cpu", refit=False)
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["test_model"] == "winner"
    assert found["test"] == found["judged"]["winner_on_test_tuned"]
    assert found["test_at_half"] == found["judged"]["winner_on_test"]
    assert found["calibration"]["test"]["ece"]["value"] > 0
    printed = console.export_text()
    assert "test, not refitted: micro-F1 " in printed
    assert "test, not refitted, at 0.5: micro-F1 " in printed
    assert "no test part" not in printed
    finish(study, tmp_path / "refitted")
    refitted = json.loads((tmp_path / "refitted/metrics.json").read_text())
    assert refitted["test_model"] == "refitted"
    assert refitted["test"] != found["test"]


def overconfident(folder: Path, **changes: object) -> Study:
    """Many epochs on few rows: probabilities nearer to 0 and 1 than they should be."""
    fixed = {**PROMOTE["fixed"], "epochs": 60, "dropout": 0.0, "hidden": [64]}
    return study_of(folder, {**PROMOTE, "fixed": fixed, "calibrate": True, **changes})


def test_a_calibration_that_helps_is_kept_with_the_model(tmp_path: Path) -> None:
    study = overconfident(tmp_path)
    printed = finish(study, tmp_path / "out")
    found = json.loads((tmp_path / "out/metrics.json").read_text())["calibration"]
    assert found["method"] in ("temperature", "platt")
    assert set(found["tried"]) == {"temperature", "platt"}
    assert found["tried"][found["method"]]["gain"]["low"] > 0
    for part in ("validation", "test"):
        assert found[part]["ece_calibrated"]["value"] < found[part]["ece"]["value"]
    assert f"after {found['method']} scaling, which predict_proba uses: " in printed

    model = TrainedModel.load(tmp_path / "out/model")
    assert model.calibration is not None
    features, labels = arrays()
    half = {name: array[UNTOUCHED].astype(np.float16) for name, array in features.items()}
    device = open_device("cpu")
    mine = model.probabilities(half, device)
    plain = model.plain().probabilities(half, device)
    assert not np.allclose(mine, plain)
    decision = decide(study.stored, study.best_task, "cpu")
    assert decision is not None and decision.calibration == model.calibration
    given = plain > np.array(decision.thresholds)
    assert np.array_equal(mine > np.array(model.thresholds), given)
    expected = f1_scores(given, labels[UNTOUCHED] > 0)
    tests = json.loads((tmp_path / "out/metrics.json").read_text())["test"]
    assert {n: s["value"] for n, s in tests.items()} == pytest.approx(expected)
    # from Python it is the same model
    again = study.refit(device="cpu")
    assert again.trained.thresholds == model.thresholds
    assert again.trained.calibration == model.calibration
    loaded = hpo.load_model(tmp_path / "out/model", device="cpu")
    arrays_of = {name: array[UNTOUCHED] for name, array in features.items()}
    assert np.array_equal(loaded.predict_proba(**arrays_of).to_numpy(), mine)


def test_a_model_folder_that_is_used_again_is_not_calibrated_twice(tmp_path: Path) -> None:
    study = overconfident(tmp_path)
    finish(study, tmp_path / "out")
    written = (tmp_path / "out/model/config.json").read_text()
    (tmp_path / "out/metrics.json").unlink()
    finish(study, tmp_path / "out")
    assert (tmp_path / "out/model/config.json").read_text() == written


def test_unless_asked_for_nothing_is_calibrated_but_the_error_is_stated(tmp_path: Path) -> None:
    study = study_of(tmp_path, {**PROMOTE, "split": SPLIT})
    printed = finish(study, tmp_path / "out")
    found = json.loads((tmp_path / "out/metrics.json").read_text())["calibration"]
    assert (found["bins"], found["method"], found["tried"]) == (15, None, {})
    assert "expected calibration error, 15 bins: " in printed
    assert TrainedModel.load(tmp_path / "out/model").calibration is None
    raw = json.loads((tmp_path / "out/model/config.json").read_text())
    assert raw["format"] == 1 and "calibration" not in raw
    bundle = load_bundle(study.stored.definition.bundle)
    assert len(bundle.split["test"]) == 60
    assert (tmp_path / "out/report/reliability.csv").read_text().startswith("part,low,high,")
