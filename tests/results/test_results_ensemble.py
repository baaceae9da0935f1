"""The ensemble of a study: kept where it gains, left out where it doesn't, and one model folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_samples import SMALL, SPLIT, arrays, finish, greedy, study_of

import hpo
from hpo.errors import InputError
from hpo.features import load_bundle
from hpo.library import Study
from hpo.results import Selection, decide_on, refit_best, select_ensemble
from hpo.search import load_space
from hpo.training import RunStore, TrainedModel, open_device, trim_store

CPU = open_device("cpu")
ROWS = 900
#: Each modality alone: two models that know different things; 240 rows to train, as elsewhere.
APART: dict[str, Any] = {
    **greedy(fusion=["image", "text"]),
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 600, "test_rows": 60},
    "ensemble": {"members": 3, "neighbours": False},
    "thresholds": {"metrics": ["micro_f1", "macro_f1"]},
}


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study_of(tmp_path_factory.mktemp("apart"), APART, rows=ROWS)


def selected(study: Study) -> Selection:
    found = select_ensemble(study.stored, study.best_task, study.stored.tasks(), "cpu")
    assert found is not None
    return found


def test_modalities_apart_gain_together(apart: Study, tmp_path: Path) -> None:
    found = selected(apart)
    assert found.looked_at == 2
    assert {member.config.fusion for member in found.members} == {"image", "text"}
    assert sum(member.weight for member in found.members) == pytest.approx(1)
    assert found.epochs_trained == 0
    printed = finish(apart, tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    gain = written["ensemble"]["gain"]["micro_f1"]
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    assert (
        f"ensemble: 2 models, which gain micro-F1 {gain['value']:+.2f} ({gain['low']:+.2f} to "
        f"{gain['high']:+.2f}) over the best one alone; 2 models looked at"
    ) in printed
    assert [m["weight"] for m in written["ensemble"]["members"]] == [
        member.weight for member in found.members
    ]
    # two refits of 12 epochs each, beside the two trials
    assert written["epochs_trained"] == 4 * 12


def test_one_folder_and_one_predict(apart: Study, tmp_path: Path) -> None:
    finish(apart, tmp_path)
    model = TrainedModel.load(tmp_path / "model")
    assert model.modalities == ("image", "text")
    assert (
        model.thresholds == decide_on(selected(apart), apart.stored.space).thresholds != (0.5,) * 4
    )
    features, _ = arrays(ROWS)
    singles = {
        member.config.fusion: refit_best(
            apart.stored, apart.best_task, "cpu", members=[member], seed=0
        )[0]
        for member in selected(apart).members
    }
    inputs = {name: array.astype(np.float16) for name, array in features.items()}
    expected = sum(
        member.weight * singles[member.config.fusion].probabilities(inputs, CPU)
        for member in model.members
    )
    np.testing.assert_allclose(model.probabilities(inputs, CPU), expected, atol=1e-6)
    by_hand = hpo.load_model(tmp_path / "model", device="cpu").predict_proba(**features)
    np.testing.assert_allclose(by_hand, expected, atol=1e-6)
    refitted = apart.refit(device="cpu").predict_proba(**features)
    np.testing.assert_array_equal(refitted, by_hand)


def test_nothing_is_trained_twice(apart: Study, tmp_path: Path) -> None:
    finish(apart, tmp_path)
    before = json.loads((tmp_path / "metrics.json").read_text())
    weights = (tmp_path / "model/model.safetensors").read_bytes()
    # a command that was killed before it wrote its numbers finds the model
    (tmp_path / "metrics.json").unlink()
    finish(apart, tmp_path)
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert again["epochs_trained"] == 2 * 12
    assert again["ensemble"] == before["ensemble"]
    # and one that was killed between two members goes on from the run store
    (tmp_path / "model/model.safetensors").unlink()
    model, epochs = refit_best(
        apart.stored, apart.best_task, "cpu", members=selected(apart).members
    )
    assert epochs == 0
    model.save(tmp_path / "other")
    assert (tmp_path / "other/model.safetensors").read_bytes() == weights


def test_trials_that_are_alike_stay_single(tmp_path: Path) -> None:
    """A learning rate of next to nothing: all trials predict the same."""
    alike = {**greedy(dropout=[0.2, 0.3]), "fixed": {**SMALL, "lr": 1e-9}}
    space = {**alike, "ensemble": {"members": 2, "neighbours": False}}
    study = study_of(tmp_path / "a", space)
    found = selected(study)
    assert found.members == ()
    printed = finish(study, tmp_path / "out")
    written = json.loads((tmp_path / "out/metrics.json").read_text())
    assert written["ensemble"]["kept"] is False
    assert (
        "ensemble: none, its gain over the best one alone would be micro-F1 +0.00 (+0.00 to "
        "+0.00); 2 models looked at"
    ) in printed
    # then everything is as without an ensemble
    plain = study_of(tmp_path / "b", alike)
    finish(plain, tmp_path / "plain")
    for name in ("model/model.safetensors", "model/config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert "ensemble" not in json.loads((tmp_path / "plain/metrics.json").read_text())
    assert "ensemble" not in finish(plain, tmp_path / "plain")


def test_neighbours_are_looked_at(tmp_path: Path) -> None:
    space = {**APART, "ensemble": {"members": 3, "neighbours": True}}
    found = selected(study_of(tmp_path, space, rows=ROWS))
    assert found.looked_at == 3
    assert found.epochs_trained == 1  # that of fitting them
    heads = {member.config.head for member in found.members}
    assert heads <= {"mlp", "knn"}
    # where they would be too large they are not: 840 rows of 20 columns and 4 labels
    small = {**space, "max_model_mb": 0.03}
    assert selected(study_of(tmp_path / "small", small, rows=ROWS)).looked_at == 2


def test_an_ensemble_keeps_to_the_size(tmp_path: Path) -> None:
    found = selected(study_of(tmp_path, {**APART, "max_model_mb": 0.0013}, rows=ROWS))
    assert found.comparison is not None
    assert not found.comparison.keeps  # two models don't fit


def test_one_candidate_is_no_ensemble(tmp_path: Path) -> None:
    space = {**greedy(dropout=[0.2]), "ensemble": {"neighbours": False}}
    printed = finish(study_of(tmp_path, space), tmp_path / "out")
    assert "ensemble: none, 1 model looked at" in printed


def test_without_stored_weights_the_best_trial_stays(tmp_path: Path) -> None:
    study = study_of(tmp_path, APART, rows=ROWS)
    trim_store(RunStore(study.stored.definition.run_store), 0.0)
    assert select_ensemble(study.stored, study.best_task, study.stored.tasks(), "cpu") is None
    assert "ensemble" not in finish(study, tmp_path / "out")
    assert not TrainedModel.load(tmp_path / "out/model").members


def test_seeds_of_the_refit_are_averaged(tmp_path: Path) -> None:
    study = study_of(tmp_path, {**greedy(dropout=[0.2]), "refit": {"seeds": 3, "seed": 4}})
    finish(study, tmp_path / "out")
    model = TrainedModel.load(tmp_path / "out/model")
    assert [(member.seed, member.trial) for member in model.members] == [(4, 0), (5, 0), (6, 0)]
    bundle = load_bundle(study.stored.definition.bundle)
    inputs = bundle.features.train
    one = {**greedy(dropout=[0.2])}
    single = study_of(tmp_path / "one", one)
    expected = np.mean(
        [
            refit_best(single.stored, single.best_task, "cpu", seed=seed)[0].probabilities(
                inputs, CPU
            )
            for seed in (4, 5, 6)
        ],
        axis=0,
    )
    np.testing.assert_allclose(model.probabilities(inputs, CPU), expected, atol=1e-6)
    written = json.loads((tmp_path / "out/metrics.json").read_text())
    assert written["epochs_trained"] == 2 * 12 + 3 * 12  # two seeds of the trial


def test_models_that_are_too_large_together_are_refused_before_work(tmp_path: Path) -> None:
    space = {**greedy(dropout=[0.2]), "refit": {"seeds": 3}, "max_model_mb": 0.003}
    study = study_of(tmp_path, space)
    with pytest.raises(InputError) as caught:
        finish(study, tmp_path / "out")
    assert str(caught.value).startswith(
        "The 3 models that are averaged have 0.0 MB together, but max_model_mb is 0.003; lower "
        "refit.seeds or raise it. There is no model, but the numbers of the study are in "
    )
    assert not (tmp_path / "out/model").exists()


def test_steps_are_kept_where_the_space_says_so(tmp_path: Path) -> None:
    """180 rows to train and 240 in all: 12 epochs have the steps of 9."""
    study = study_of(tmp_path, {**greedy(dropout=[0.2]), "refit": {"epochs": "steps"}})
    assert study.refit(device="cpu").config.epochs == 9
    kept = {**greedy(dropout=[0.2]), "split": SPLIT}
    assert study_of(tmp_path / "keep", kept).refit(device="cpu").config.epochs == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"ensemble": {"members": 1}},
            "members is 1, but must be greater than or equal to 2",
        ),
        (
            {"ensemble": {"neighbors": True}},
            "unknown key 'neighbors' (did you mean 'neighbours'?); allowed: members, neighbours",
        ),
        (
            {"ensemble": {}, "refit": None},
            "ensemble is given, but refit is null; an ensemble is made of refitted models, so "
            "leave one of the two out",
        ),
        ({"refit": {"seeds": 0}}, "seeds is 0, but must be greater than 0"),
        (
            {"refit": {"epochs": "same"}},
            "epochs is 'same', but must be one of: keep, steps",
        ),
    ],
)
def test_what_a_space_may_not_say(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_space({**APART, **change})
    assert caught.value.problems == [f"The search space: {message}"]
