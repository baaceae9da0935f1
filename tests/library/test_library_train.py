"""One configuration from Python: trained and scored, and trained on everything."""

import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from library_samples import CONFIG, TAIL, TrainedEpochs, array_data, arrays

import hpo
from hpo.training._gradient import GradientLearner

METRICS = ["micro_f1", "samples_f1", "macro_f1", "map"]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> TrainedEpochs:
    counter = TrainedEpochs()
    monkeypatch.setattr(GradientLearner, "train_epoch", counter)
    return counter


def test_a_run_has_a_score_over_seeds_and_a_curve(tmp_path: Path) -> None:
    data = array_data(tmp_path / "cache")
    run = hpo.train(data, CONFIG, seeds=3, split=TAIL)
    assert run.config == CONFIG and run.metric == "micro_f1" and run.ended is None
    assert len(run.scores) == 3 and len(set(run.scores)) > 1
    assert run.score == statistics.fmean(run.scores)
    assert run.std == statistics.stdev(run.scores)
    assert list(run.curve.columns) == ["train_loss", "val_loss", *METRICS]
    assert list(run.curve.index) == [1, 2, 3, 4] and run.curve.index.name == "epoch"
    for seed, curve in enumerate(run.curves):
        assert curve["micro_f1"].iloc[-1] == run.scores[seed]
    mean = np.mean([curve.to_numpy() for curve in run.curves], axis=0)
    np.testing.assert_allclose(run.curve.to_numpy(), mean)
    assert run.curve["train_loss"].iloc[-1] < run.curve["train_loss"].iloc[0]
    assert repr(run) == f"Run(micro_f1 {run.score:.3f} ± {run.std:.3f}, 3 seeds)"
    one = hpo.train(data, CONFIG, seeds=1, split=TAIL, metric="map")
    assert one.std == 0.0
    assert one.score == one.curves[0]["map"].iloc[-1]


def test_what_is_in_the_cache_is_not_trained_again(tmp_path: Path, trained: TrainedEpochs) -> None:
    data = array_data(tmp_path / "cache")
    first = hpo.train(data, CONFIG, seeds=2, split=TAIL)
    assert trained.count == 8
    again = hpo.train(data, CONFIG, seeds=2, split=TAIL)
    assert trained.count == 8
    assert again.scores == first.scores
    pd.testing.assert_frame_equal(again.curve, first.curve)
    longer = hpo.train(data, CONFIG.replace(epochs=6), seeds=3, split=TAIL)
    assert trained.count == 8 + 2 * 2 + 6  # two seeds go on, the third one is new
    pd.testing.assert_frame_equal(longer.curves[0].head(4), first.curves[0])
    hpo.train(data, CONFIG.replace(fusion="sum"), seeds=1, split=TAIL)
    counted = trained.count
    hpo.train(data, CONFIG.replace(fusion="image"), seeds=1, split=TAIL)
    assert trained.count == counted  # a head of `sum` is the run of its modality


def test_an_interrupted_run_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: TrainedEpochs
) -> None:
    data = array_data(tmp_path / "cache")
    config = CONFIG.replace(epochs=10)
    measure = hpo.training.Session.advance

    def interrupted(session: hpo.training.Session) -> object:
        if session.epoch == 6:
            raise KeyboardInterrupt
        return measure(session)

    with monkeypatch.context() as patch:
        patch.setattr(hpo.training.Session, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hpo.train(data, config, seeds=1, split=TAIL)
    assert trained.count == 6
    run = hpo.train(data, config, seeds=1, split=TAIL)
    assert trained.count == 10
    elsewhere = hpo.train(array_data(tmp_path / "other"), config, seeds=1, split=TAIL)
    assert elsewhere.scores == run.scores


def test_a_run_is_the_one_that_a_study_makes(tmp_path: Path, trained: TrainedEpochs) -> None:
    data = array_data(tmp_path / "cache")
    run = hpo.train(data, CONFIG, seeds=2, split=TAIL)
    space = {
        "name": "same",
        "seeds": 2,
        "split": TAIL,
        "fixed": CONFIG.model_dump(mode="json"),
        "search": {"kind": "greedy", "stages": [{"name": "lr", "params": {"lr": [CONFIG.lr]}}]},
    }
    counted = trained.count
    study = hpo.create_study(data, space, storage=f"sqlite:///{tmp_path / 's.db'}")
    assert study.optimize(workers=1, progress=False)
    assert trained.count == counted
    assert study.best_value == run.score


def test_the_default_split_is_a_column_or_a_stratified_fifth(tmp_path: Path) -> None:
    embeddings, labels = arrays()
    frame = pd.DataFrame(
        {"caption": ["a thing"] * len(labels), "labels": [list(r) for r in labels]}
    )
    frame["labels"] = [
        [name for name, there in zip("abc", row, strict=True) if there] for row in labels
    ]
    frame.loc[frame["labels"].str.len() == 0, "labels"] = pd.Series([["a"]] * len(frame))
    plain = hpo.load_data(frame, features=embeddings, cache=tmp_path / "cache")
    run = hpo.train(plain, CONFIG, seeds=1)
    fifth = {"kind": "stratified", "val_fraction": 0.2}
    assert run.scores == hpo.train(plain, CONFIG, seeds=1, split=fifth).scores
    frame["Split"] = ["train"] * 120 + ["val"] * 40
    named = hpo.load_data(frame, features=embeddings, cache=tmp_path / "cache")
    run = hpo.train(named, CONFIG, seeds=1)
    assert run.scores == hpo.train(plain, CONFIG, seeds=1, split=TAIL).scores


def test_fit_trains_on_all_rows(tmp_path: Path) -> None:
    data = array_data(tmp_path / "cache")
    model = hpo.fit(data, CONFIG, seed=3)
    assert (model.config, model.modalities) == (CONFIG.capped(160), ("image", "text"))
    assert model.classes == ("cat", "dog", "fish")
    assert (model.trained.origin["rows"], model.trained.origin["seed"]) == (160, 3)
    embeddings, labels = arrays()
    given = model.predict_proba(**embeddings).to_numpy() > 0.5
    assert (given == labels).mean() > 0.7
    again = hpo.fit(array_data(tmp_path / "other"), CONFIG, seed=3)
    pd.testing.assert_frame_equal(
        again.predict_proba(**embeddings), model.predict_proba(**embeddings)
    )
