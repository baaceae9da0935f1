"""The score with each modality taken away: zeros after scaling, as modality dropout has them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from results_samples import PROMOTE, SPLIT, arrays, finish, greedy, study_of

import hpo
from hpo.library import Study
from hpo.results import f1_scores, judge
from hpo.training import RunStore, Trainer, open_device

TEST, VAL = slice(180, 240), slice(240, 300)
FIXED = {**PROMOTE["fixed"], "fusion": "gated", "modality_dropout": 0.3}


@pytest.fixture(scope="module", params=["auto", "standard"])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Study:
    fixed = {**FIXED, "feature_scaling": request.param}
    return study_of(tmp_path_factory.mktemp("without"), {**PROMOTE, "fixed": fixed})


def test_validation_rows_by_the_winner(study: Study, tmp_path: Path) -> None:
    """The winner's run is trained again, and its module is shown zeros."""
    found = judge(study.stored, study.best_task, study.stored.tasks(), "cpu")
    assert found is not None and [*found.without] == ["image", "text"]
    config = study.best_config
    features, labels = arrays()
    data = hpo.load_data(
        features=features, labels=labels, cache=Path(study.stored.definition.cache)
    )
    bundle = data.bundle(study.stored.space.split)
    trainer = Trainer(bundle, open_device("cpu"), RunStore(tmp_path))
    (spec,) = trainer.model(config, 0).specs
    module = trainer.build(spec, torch.Generator())
    module.load_state_dict(dict(trainer.weights(spec, config.epochs)))
    inputs = trainer.data.part("val", config.feature_scaling, "train").inputs
    for name in ("image", "text"):
        gone = {**inputs, name: torch.zeros_like(inputs[name])}
        with torch.no_grad():
            given = (module.eval()(gone) > 0).numpy()
        scores = f1_scores(given, labels[VAL] > 0)
        assert found.without[name] == pytest.approx(scores)


def test_test_rows_by_the_refitted_model(study: Study, tmp_path: Path) -> None:
    printed = finish(study, tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    model = hpo.load_model(tmp_path / "model", device="cpu")
    features, labels = arrays()
    half = {name: array[TEST].astype(np.float16) for name, array in features.items()}
    for name in ("image", "text"):
        lacking = {**half, name: np.full_like(half[name], np.nan)}
        given = model.predict_proba(**lacking).to_numpy() > np.array(model.trained.thresholds)
        scores = f1_scores(given, labels[TEST] > 0)
        parts = found["without"][name]
        assert [*parts] == ["validation", "test"]
        assert parts["test"] == pytest.approx(scores)
        line = next(line for line in printed.splitlines() if line.startswith(f"without {name}: "))
        assert line == f"without {name}: " + "; ".join(
            f"{part} micro-F1 {s['micro_f1']:.2f}, macro-F1 {s['macro_f1']:.2f}, "
            f"samples-F1 {s['samples_f1']:.2f}"
            for part, s in parts.items()
        )
    page = (tmp_path / "report/index.html").read_text()
    assert "<h2>Modalities taken away</h2>" in page
    for parts in found["without"].values():
        for scores in parts.values():
            assert f"{scores['macro_f1']:.2f}</td>" in page


def test_from_python(study: Study) -> None:
    frame = study.scores_without(study.refit(device="cpu"), device="cpu")
    assert [*zip(frame["part"], frame["without"], strict=True)] == [
        *(("validation", "image"), ("test", "image"), ("validation", "text"), ("test", "text"))
    ]
    assert [*frame.columns[2:]] == ["micro_f1", "macro_f1", "samples_f1"]
    assert frame["micro_f1"].between(1, 100).all()


def test_one_modality_alone_is_not_taken_away(tmp_path: Path) -> None:
    split = {key: value for key, value in SPLIT.items() if key != "test_rows"}
    study = study_of(tmp_path, {**greedy(fusion=["image"]), "split": split})
    printed = finish(study, tmp_path / "out")
    assert json.loads((tmp_path / "out/metrics.json").read_text())["without"] == {}
    assert "without" not in printed
    assert "taken away" not in (tmp_path / "out/report/index.html").read_text()
    assert study.scores_without(device="cpu").empty


@pytest.mark.parametrize("fusion", ["sum", "mixed"])
def test_heads_of_two_steps_lack_it_as_well(tmp_path: Path, fusion: str) -> None:
    study = study_of(tmp_path, greedy(fusion=[fusion]))
    found = judge(study.stored, study.best_task, study.stored.tasks(), "cpu")
    assert found is not None
    for scores in found.without.values():
        assert 0 < scores["micro_f1"] < found.validation["micro_f1"].value
