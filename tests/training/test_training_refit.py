"""The refit, and the folder that its model is kept in."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from training_samples import CONFIG, make_bundle, make_trainer

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.models import AssembledModel, Config, build_meta
from hpo.training import (
    Interrupted,
    TrainedModel,
    Trainer,
    forward,
    open_device,
    refit,
)

CPU = open_device("cpu")


def fit(trainer: Trainer, config: Config = CONFIG, **options: object) -> TrainedModel:
    options = {"seed": 0, "max_model_mb": 100.0, "origin": {"study": "greedy"}} | options
    return refit(trainer, config, **options)


@pytest.fixture
def model(tmp_path: Path, bundle: Bundle) -> TrainedModel:
    config = CONFIG.model_copy(update={"fusion": "sum", "feature_scaling": "standard"})
    return fit(make_trainer(tmp_path / "runs", bundle), config)


@pytest.mark.parametrize(
    "changes",
    [
        {"fusion": "image"},
        {"fusion": "concat", "feature_scaling": "l2", "ema_decay": 0.9},
        {"fusion": "sum", "feature_scaling": "standard"},
        {"fusion": "mixed", "head": "gmlp"},
        {"fusion": "sum_joint"},
        {"fusion": "gated", "feature_scaling": "auto", "modality_dropout": 0.2},
        {"fusion": "mixed_joint", "input_dropout": 0.2, "modality_dropout": 0.2},
    ],
)
def test_model_is_the_runs_put_together(
    tmp_path: Path, bundle: Bundle, changes: dict[str, object]
) -> None:
    config = CONFIG.model_copy(update=changes)
    trainer = make_trainer(tmp_path, bundle)
    model = fit(trainer, config)
    probabilities = model.probabilities(bundle.features.train, CPU)
    assert probabilities.shape == (300, 5)
    assert probabilities.dtype == np.float32
    every = trainer.data.part("all", config.feature_scaling, "all")
    specs = trainer.model(config, 0, rows="all").specs
    inputs: dict[str, torch.Tensor] = dict(every.inputs)
    for spec in specs:
        session = trainer.open(spec)
        for _ in range(config.epochs):
            session.advance()
        assert session.trained == 0
        meta = spec.inputs == "meta"
        module = build_meta(5) if meta else trainer.build(spec, torch.Generator())
        module.load_state_dict(session.weights())
        logits = forward(module, inputs, 300)
        if not meta:
            inputs["outputs"] = inputs.get("outputs", 0) + logits
    np.testing.assert_allclose(probabilities, logits.sigmoid(), atol=1e-5)
    # It has learned: better than a coin on the rows it was trained on.
    assert ((probabilities > 0.5) == bundle.labels).mean() > 0.7


def test_what_is_kept_with_the_model(model: TrainedModel) -> None:
    assert model.modalities == ("image", "text")
    assert model.widths == {"image": 12, "text": 8}
    assert model.classes == tuple("abcde")
    assert model.thresholds == (0.5,) * 5
    assert model.features["source"] == "import"
    assert model.origin == {"study": "greedy", "seed": 0, "rows": 300}


def test_a_model_that_was_kept_when_l2_meant_a_norm_of_1_predicts_as_it_did(
    tmp_path: Path, bundle: Bundle
) -> None:
    """There was no factor in its weights, which were trained on embeddings of norm 1."""
    model = fit(make_trainer(tmp_path, bundle), CONFIG.replace(feature_scaling="l2"))
    model.save(tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    tensors = load_file(path)
    assert tensors.pop("scaling.image.factor") == pytest.approx(12**0.5)
    save_file(tensors, path)
    without_checksums(tmp_path / "model")
    x = torch.from_numpy(bundle.features.train["image"]).float()
    unit = {"image": torch.nn.functional.normalize(x, dim=1)}
    with torch.no_grad():
        expected = model.module.heads["image"].eval()(unit).sigmoid().numpy()
    found = TrainedModel.load(tmp_path / "model").probabilities(bundle.features.train, CPU)
    np.testing.assert_array_equal(found, expected)
    assert np.abs(found - model.probabilities(bundle.features.train, CPU)).max() > 0.01


def test_full_batch_grows_with_the_rows(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    for size, expected in ((219, 219), (220, 300), (1000, 300)):
        model = fit(trainer, CONFIG.model_copy(update={"batch_size": size}))
        (spec,) = trainer.model(model.config, 0, rows="all").specs
        assert spec.config.batch_size == expected
    sizes = {
        trainer.store.describe(address)["config"]["batch_size"]
        for address in trainer.store.addresses()
    }
    assert sizes == {219, 300}


def test_refit_can_be_interrupted_and_reports_its_steps(tmp_path: Path, bundle: Bundle) -> None:
    config = CONFIG.model_copy(update={"fusion": "sum"})
    calls = iter(range(100))

    def poll() -> None:
        if next(calls) == 40:
            raise Interrupted

    with pytest.raises(Interrupted):
        fit(make_trainer(tmp_path / "a", bundle, poll=poll, checkpoint_every=1), config)
    steps: list[tuple[int, int]] = []
    second = fit(
        make_trainer(tmp_path / "a", bundle),
        config,
        on_step=lambda step, total: steps.append((step, total)),
    )
    assert steps == [(step, 12) for step in range(1, 13)]
    fresh = fit(make_trainer(tmp_path / "b", bundle), config)
    for name, tensor in fresh.module.state_dict().items():
        assert torch.equal(second.module.state_dict()[name], tensor)


@pytest.mark.parametrize(("enough", "epochs"), [(0, 3), (4, 4), (6, 6)])
def test_a_refit_that_is_cut_short_is_that_of_fewer_epochs_and_can_go_on(
    tmp_path: Path, bundle: Bundle, enough: int, epochs: int
) -> None:
    steps: list[int] = []
    cut = fit(
        make_trainer(tmp_path / "a", bundle),
        on_step=lambda step, _: steps.append(step),
        enough=lambda: steps[-1] >= enough,
    )
    assert steps == list(range(1, epochs + 1))
    assert cut.config.epochs == epochs
    assert cut.origin.get("cut_short") == (None if epochs == 6 else f"{epochs} of 6 epochs")
    assert same_weights(cut, fit(make_trainer(tmp_path / "b", bundle), short(epochs)))
    whole = make_trainer(tmp_path / "a", bundle)
    assert same_weights(fit(whole), fit(make_trainer(tmp_path / "c", bundle)))
    assert whole.epochs_trained == 6 - epochs


def test_a_two_step_fusion_is_not_cut(tmp_path: Path, bundle: Bundle) -> None:
    config = CONFIG.model_copy(update={"fusion": "sum"})
    model = fit(make_trainer(tmp_path, bundle), config, enough=lambda: True)
    assert model.config.epochs == 6
    assert "cut_short" not in model.origin


def short(epochs: int) -> Config:
    return CONFIG.model_copy(update={"epochs": epochs})


def same_weights(a: TrainedModel, b: TrainedModel) -> bool:
    other = b.module.state_dict()
    return all(torch.equal(other[name], x) for name, x in a.module.state_dict().items())


def test_model_above_the_limit_is_not_trained(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    config = CONFIG.model_copy(update={"hidden": (20_000,)})
    megabytes = 4 * (12 * 20_000 + 20_000 + 20_000 * 5 + 5) / 1e6
    assert AssembledModel(config, {"image": 12}, 5).megabytes() == pytest.approx(megabytes)
    message = r"^The model of the best trial has 1\.4 MB, but max_model_mb is 1\.2\.$"
    with pytest.raises(InputError, match=message):
        fit(trainer, config, max_model_mb=1.2)
    assert trainer.store.addresses() == []


def test_refit_that_diverges(tmp_path: Path, bundle: Bundle) -> None:
    config = CONFIG.model_copy(update={"lr": 1e30})
    message = r"^The refit diverged: the loss was not finite in epoch \d\.$"
    with pytest.raises(RuntimeError, match=message):
        fit(make_trainer(tmp_path, bundle), config)


def test_one_modality(tmp_path: Path) -> None:
    bundle = make_bundle(["text"])
    model = fit(make_trainer(tmp_path, bundle), CONFIG.model_copy(update={"fusion": "text"}))
    assert model.widths == {"text": 8}
    assert model.probabilities(bundle.features.train, CPU).shape == (300, 5)


def test_folder_brings_back_the_same_model(
    tmp_path: Path, bundle: Bundle, model: TrainedModel
) -> None:
    model.save(tmp_path / "model")
    names = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert names == ["config.json", "model.safetensors"]
    loaded = TrainedModel.load(tmp_path / "model")
    for field in ("config", "widths", "classes", "thresholds", "features", "origin"):
        assert getattr(loaded, field) == getattr(model, field)
    inputs = bundle.features.train
    expected = model.probabilities(inputs, CPU)
    np.testing.assert_array_equal(loaded.probabilities(inputs, CPU), expected)
    none = {name: array[:0] for name, array in inputs.items()}
    assert loaded.probabilities(none, CPU).shape == (0, 5)
    # Rows in the thousands are done in pieces.
    many = {name: np.tile(array, (20, 1)) for name, array in inputs.items()}
    np.testing.assert_allclose(
        loaded.probabilities(many, CPU), np.tile(expected, (20, 1)), atol=1e-6
    )


def test_folder_that_is_no_model(tmp_path: Path, model: TrainedModel) -> None:
    folder = tmp_path / "model"
    with pytest.raises(InputError, match=rf"^{folder} is no model folder: .*No such file"):
        TrainedModel.load(folder)
    model.save(folder)
    config = folder / "config.json"
    content = without_checksums(folder)
    for change, message in (
        ({"format": 9}, rf"^The model {folder} has format 9, but this version reads 1 and 2\.$"),
        ({"config": {"lr": 0}}, rf"^{folder} is no model folder: 1 validation error"),
        (
            {"config": {"fusion": "video"}},
            rf"^The model {folder} can't be used: The fusion is 'video', but must be a modality of "
            r"the features \(image, text\) or one of: concat, ",
        ),
        (
            {"config": {"head": "svm"}},
            rf"^The model {folder} can't be used: There is no head 'svm'; there are: mlp, gmlp, "
            r"knn\. For one of your own, pass --plugin MODULE, or call "
            r"hpo\.register_head from Python\.$",
        ),
        (
            {"classes": ["a", "b"], "thresholds": [0.5, 0.5]},
            rf"^The weights in {folder} don't fit its config: ",
        ),
    ):
        config.write_text(json.dumps(content | change))
        with pytest.raises(InputError, match=message):
            TrainedModel.load(folder)
    config.write_text("{")
    with pytest.raises(InputError, match=rf"^{folder} is no model folder: "):
        TrainedModel.load(folder)


def test_a_changed_byte_is_never_used(tmp_path: Path, model: TrainedModel) -> None:
    folder = tmp_path / "model"
    model.save(folder)
    for name in ("model.safetensors", "config.json"):
        path = folder / name
        whole = path.read_bytes()
        message = f"The model {folder} is damaged: {name} isn't what was written. Copy the folder "
        message += "again, or refit the study."
        found = 0
        for place in range(0, len(whole), 37):
            changed = bytearray(whole)
            changed[place] ^= 0x01
            path.write_bytes(changed)
            try:
                TrainedModel.load(folder)
                # only what stands between the values of a JSON file may be another character
                assert name == "config.json" and chr(whole[place]).isspace()
            except InputError as error:
                found += str(error) == message
        assert found > len(whole) / 37 / 3
        path.write_bytes(whole)
    TrainedModel.load(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"thresholds": [0.5] * 4}, "thresholds must be a number from 0 to 1 for each class"),
        ({"thresholds": [0.5, 0.5, 2, 0.5, 0.5]}, "thresholds must be a number from 0 to 1"),
        ({"thresholds": "half"}, "thresholds must be a number from 0 to 1"),
        ({"classes": ["a", "a", "b", "c", "d"]}, "classes must be a list of different names"),
        ({"classes": [1, 2, 3, 4, 5]}, "classes must be a list of different names"),
    ],
)
def test_outputs_that_no_model_has(
    tmp_path: Path, model: TrainedModel, change: dict[str, Any], said: str
) -> None:
    model.save(tmp_path)
    content = without_checksums(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(content | change))
    with pytest.raises(InputError, match=f"^{tmp_path} is no model folder: {said}"):
        TrainedModel.load(tmp_path)


def test_weights_that_are_no_numbers(tmp_path: Path, model: TrainedModel) -> None:
    model.save(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["meta.head.bias"][0] = float("nan")
    save_file(tensors, path)
    without_checksums(tmp_path)
    with pytest.raises(InputError, match=r"the weights meta\.head\.bias hold values that are no "):
        TrainedModel.load(tmp_path)


def without_checksums(folder: Path) -> dict[str, Any]:
    """Leave a model folder as earlier versions wrote it; return its config."""
    config = folder / "config.json"
    content: dict[str, Any] = json.loads(config.read_text())
    for name in ("checksum", "sha256"):
        content.pop(name, None)
    config.write_text(json.dumps(content))
    return content


def test_folder_with_damaged_weights(tmp_path: Path, model: TrainedModel) -> None:
    folder = tmp_path / "model"
    model.save(folder)
    without_checksums(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    path.write_bytes(path.read_bytes()[:-4])
    message = rf"^The weights in {folder} don't fit its config: "
    with pytest.raises(InputError, match=message):
        TrainedModel.load(folder)
    tensors.pop("meta.head.bias")
    save_file(tensors, path)
    with pytest.raises(InputError, match=message + r".*\n?.*meta\.head\.bias"):
        TrainedModel.load(folder)


def test_model_reads_what_the_fusion_needs(tmp_path: Path, bundle: Bundle) -> None:
    for fusion, read in (("image", {"image"}), ("sum", {"image", "text"})):
        model = fit(make_trainer(tmp_path, bundle), Config(fusion=fusion, hidden=(4,), epochs=1))
        assert set(model.module.scaling) == set(model.widths) == read
