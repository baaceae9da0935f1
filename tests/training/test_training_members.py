"""Several trained models in one model folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from training_samples import CONFIG, WIDTHS, make_bundle, make_trainer

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.models import Config
from hpo.training import (
    Member,
    TrainedModel,
    Trainer,
    combined,
    open_device,
    refit,
    refit_config,
    refitted_megabytes,
)

CPU = open_device("cpu")
NEIGHBOURS = Config(fusion="concat", head="knn", hidden=[], feature_scaling="l2", epochs=1)
#: The first reads the second modality alone, the second both in their order.
CONFIGS = (CONFIG.replace(fusion="text"), CONFIG.replace(fusion="concat"), NEIGHBOURS)
WEIGHTS = (0.5, 0.2, 0.3)


def fit(trainer: Trainer, config: Config, seed: int = 0) -> TrainedModel:
    return refit(trainer, config, seed=seed, max_model_mb=1.0, origin={"study": "s"})


@pytest.fixture
def ensemble(tmp_path: Path, bundle: Bundle) -> tuple[TrainedModel, list[TrainedModel]]:
    trainer = make_trainer(tmp_path / "runs", bundle)
    models = [fit(trainer, config, seed) for seed, config in enumerate(CONFIGS)]
    members = [
        Member(model.config, weight, seed, trial=None if seed == 2 else seed)
        for seed, (model, weight) in enumerate(zip(models, WEIGHTS, strict=True))
    ]
    return combined(models, members, trainer.data.widths), models


def test_a_folder_gives_back_what_was_kept(
    tmp_path: Path, bundle: Bundle, ensemble: tuple[TrainedModel, list[TrainedModel]]
) -> None:
    model, models = ensemble
    inputs = bundle.features.train
    expected = sum(
        weight * single.probabilities(inputs, CPU)
        for weight, single in zip(WEIGHTS, models, strict=True)
    )
    np.testing.assert_allclose(model.probabilities(inputs, CPU), expected, atol=1e-6)
    assert model.modalities == ("image", "text")  # in the order of the data
    model.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    loaded = TrainedModel.load(tmp_path / "model")
    for field in ("config", "widths", "classes", "thresholds", "features", "origin", "members"):
        assert getattr(loaded, field) == getattr(model, field)
    np.testing.assert_array_equal(
        loaded.probabilities(inputs, CPU), model.probabilities(inputs, CPU)
    )
    written = json.loads((tmp_path / "model/config.json").read_text())
    assert written["format"] == 2
    assert [member["weight"] for member in written["members"]] == list(WEIGHTS)
    assert [member["trial"] for member in written["members"]] == [0, 1, None]


def test_a_single_model_is_kept_as_it_always_was(tmp_path: Path, bundle: Bundle) -> None:
    fit(make_trainer(tmp_path / "runs", bundle), CONFIG).save(tmp_path / "model")
    written = json.loads((tmp_path / "model/config.json").read_text())
    assert written["format"] == 1
    assert "members" not in written


def test_a_damaged_folder_is_refused(
    tmp_path: Path, ensemble: tuple[TrainedModel, list[TrainedModel]]
) -> None:
    folder = tmp_path / "model"
    ensemble[0].save(folder)
    written = json.loads((folder / "config.json").read_text())
    written.pop("checksum")
    members = written["members"]
    for change, message in (
        (members[:1], rf"^The weights in {folder} don't fit its config: "),
        ([{**members[0], "weight": "much"}], rf"^{folder} is no model folder: "),
        ([{"weight": 1.0}], rf"^{folder} is no model folder: 'config'"),
        (
            [{**members[0], "config": {**members[0]["config"], "head": "svm"}}, *members[1:]],
            rf"^The model {folder} can't be used: There is no head 'svm'; ",
        ),
    ):
        (folder / "config.json").write_text(json.dumps({**written, "members": change}))
        with pytest.raises(InputError, match=message):
            TrainedModel.load(folder)


@pytest.mark.parametrize("fusion", ["text", "concat", "sum", "mixed", "gated"])
@pytest.mark.parametrize("head", ["mlp", "knn"])
def test_how_large_a_model_will_be(tmp_path: Path, fusion: str, head: str) -> None:
    if (fusion, head) == ("gated", "knn"):
        pytest.skip("fitted heads are not trained together")
    bundle = make_bundle(tuple(WIDTHS))
    config = CONFIG.replace(fusion=fusion, head=head)
    widths = {name: WIDTHS[name] for name in bundle.features.train}
    model = fit(make_trainer(tmp_path, bundle), config)
    assert refitted_megabytes(config, widths, 5, 300) == pytest.approx(model.module.megabytes())


def test_epochs_or_steps_on_more_rows(tmp_path: Path, bundle: Bundle) -> None:
    """220 rows to train and 300 in all."""
    trainer = make_trainer(tmp_path, bundle)
    small = CONFIG.replace(batch_size=20, epochs=15)
    assert refit_config(small, 220, 300) == small
    assert refit_config(small, 220, 300, "steps") == small.replace(epochs=11)
    assert refit_config(small.replace(epochs=1), 10, 300, "steps").epochs == 1
    # in a full batch an epoch is a step
    full = small.replace(batch_size=220)
    for rule in ("keep", "steps"):
        assert refit_config(full, 220, 300, rule) == full.replace(batch_size=300)
    kept, fewer = (
        refit(trainer, small, seed=0, max_model_mb=1.0, origin={}, epochs=rule)
        for rule in ("keep", "steps")
    )
    assert (kept.config.epochs, fewer.config.epochs) == (15, 11)
    expected = fit(trainer, small.replace(epochs=11)).probabilities(bundle.features.train, CPU)
    np.testing.assert_array_equal(fewer.probabilities(bundle.features.train, CPU), expected)
    assert not np.array_equal(kept.probabilities(bundle.features.train, CPU), expected)
