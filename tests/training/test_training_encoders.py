"""Runs on one of several sources of embeddings: their addresses, numbers and model folders."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from training_samples import CONFIG, make_bundle, make_trainer, train

from hpo.errors import InputError
from hpo.features import Bundle, Features
from hpo.features._bundle import NamedSource
from hpo.models import Config, FeatureScaling
from hpo.training import TrainedModel, head_runs, open_device, refit

CPU = open_device("cpu")
BOTH = ("image", "text")


def features(seed: int, key: str, modalities: tuple[str, ...] = BOTH) -> Features:
    """The embeddings of the sample with noise."""
    plain = make_bundle(modalities).features
    rng = np.random.default_rng(seed)
    arrays = {
        name: (array + seed * rng.normal(size=array.shape)).astype(np.float16)
        for name, array in plain.train.items()
    }
    return dataclasses.replace(plain, key=key, train=arrays)


SOURCES = {"good": features(0, "fg"), "bad": features(3, "fb"), "dino": features(1, "fd", BOTH[:1])}


def named_bundle(*names: str) -> Bundle:
    named = {name: NamedSource(f"bundle {name}", SOURCES[name]) for name in names}
    return dataclasses.replace(
        make_bundle(), key=f"all {names}", features=SOURCES[names[0]], named=named
    )


def alone(name: str) -> Bundle:
    return dataclasses.replace(make_bundle(), key=f"bundle {name}", features=SOURCES[name])


def addresses(bundle: Bundle, config: Config, folder: Path) -> list[str]:
    return [spec.address for spec in make_trainer(folder, bundle).model(config, 0).specs]


@pytest.mark.parametrize("fusion", ["image", "concat", "sum", "mixed_joint"])
def test_runs_of_a_source_are_those_of_a_study_with_it_alone(tmp_path: Path, fusion: str) -> None:
    config = CONFIG.replace(fusion=fusion)
    for name in ("good", "bad"):
        expected = addresses(alone(name), config, tmp_path)
        chosen = config.replace(encoder=name)
        for names in (("good", "bad"), ("bad", "good"), ("bad", "dino", "good")):
            assert addresses(named_bundle(*names), chosen, tmp_path) == expected
    assert addresses(named_bundle("good", "bad"), config, tmp_path) == addresses(
        alone("good"), config, tmp_path
    )


def test_heads_are_shared_between_choices(tmp_path: Path) -> None:
    bundle = named_bundle("good", "bad")
    heads = {
        encoder: addresses(bundle, CONFIG.replace(fusion="sum", encoder=encoder), tmp_path)
        for encoder in ("good", "bad", "image=good,text=bad", "good+bad")
    }
    image, text, meta = heads["image=good,text=bad"]
    assert image == heads["good"][0]
    assert text == heads["bad"][1]
    assert meta not in (heads["good"][2], heads["bad"][2])
    assert not set(heads["good+bad"]) & {*heads["good"], *heads["bad"], image, text}
    # the plan and the queue see it in the same way
    runs = {
        encoder: head_runs(CONFIG.replace(fusion="sum", encoder=encoder), BOTH) for encoder in heads
    }
    assert runs["image=good,text=bad"] == (runs["good"][0], runs["bad"][1])
    assert len({run for those in runs.values() for run in those}) == 6
    joint = [head_runs(CONFIG.replace(fusion="concat", encoder=e), BOTH) for e in heads]
    assert len(set(joint)) == 4


def test_a_source_without_the_other_modality(tmp_path: Path) -> None:
    bundle = named_bundle("bad", "dino")
    mixed = CONFIG.replace(fusion="sum", encoder="image=dino,text=bad")
    image, text, _ = addresses(bundle, mixed, tmp_path)
    assert text == addresses(alone("bad"), CONFIG.replace(fusion="text"), tmp_path)[0]
    assert image != addresses(alone("dino"), CONFIG.replace(fusion="image"), tmp_path)[0]
    with pytest.raises(InputError, match="'dino' has no text embeddings"):
        make_trainer(tmp_path, bundle).model(CONFIG.replace(encoder="dino"), 0)


@pytest.mark.parametrize("fusion", ["image", "concat", "sum", "gated"])
def test_side_by_side_trains_as_one_wide_encoder(tmp_path: Path, fusion: str) -> None:
    config = CONFIG.replace(fusion=fusion, encoder="good+bad", epochs=3)
    run = make_trainer(tmp_path / "a", named_bundle("good", "bad")).model(config, 0)
    wide = {
        name: np.concatenate([SOURCES["good"].train[name], SOURCES["bad"].train[name]], axis=1)
        for name in BOTH
    }
    one = make_bundle()
    one = dataclasses.replace(one, features=dataclasses.replace(one.features, train=wide))
    other = make_trainer(tmp_path / "b", one).model(config.replace(encoder=None), 0)
    assert train(run, run.steps) == train(other, other.steps)


@pytest.mark.parametrize("kind", ["auto", "l2", "standard"])
def test_side_by_side_is_gathered_from_files_with_the_same_numbers(
    tmp_path: Path, kind: str
) -> None:
    bundle = named_bundle("good", "bad")
    records = []
    for memory_gb in (1.0, 0.0):
        trainer = make_trainer(tmp_path / str(memory_gb), bundle, memory_gb=memory_gb)
        config = CONFIG.replace(
            fusion="concat", encoder="good+bad", feature_scaling=kind, batch_size=70
        )
        assert trainer.data_of(config).in_memory == (memory_gb > 0)
        records.append(train(trainer.model(config, 0), 3))
    assert records[0] == records[1]


@pytest.mark.parametrize("kind", ["none", "auto", "l2", "standard"])
def test_parts_are_scaled_each_by_itself(kind: str) -> None:
    rng = torch.Generator().manual_seed(0)
    parts = [torch.randn(50, 6, generator=rng), 20 * torch.randn(50, 3, generator=rng) + 5]
    whole = torch.cat(parts, dim=1)
    scaling = FeatureScaling(kind, 9, [6, 3]).fit(whole)
    expected = torch.cat(
        [FeatureScaling(kind, part.shape[1]).fit(part)(part) for part in parts], dim=1
    )
    torch.testing.assert_close(scaling(whole), expected, rtol=0, atol=0)
    restored = FeatureScaling(kind, 9, [6, 3])
    restored.load_state_dict(scaling.state_dict())
    assert torch.equal(restored(whole), expected)
    zeros = torch.cat([parts[0], torch.zeros(50, 3)], dim=1)
    assert torch.isfinite(FeatureScaling(kind, 9, [6, 3]).fit(zeros)(zeros)).all()


@pytest.mark.parametrize(
    ("encoder", "record"),
    [
        ("bad", {"source": "import", "name": "bad"}),
        ("image=bad,text=good", {"source": "several"}),
        ("good+bad", {"source": "several"}),
    ],
)
def test_the_model_folder_names_its_sources(
    tmp_path: Path, encoder: str, record: dict[str, str]
) -> None:
    bundle = named_bundle("good", "bad")
    config = CONFIG.replace(fusion="sum", encoder=encoder, feature_scaling="auto")
    trainer = make_trainer(tmp_path / "runs", bundle)
    model = refit(trainer, config, seed=0, max_model_mb=10.0, origin={})
    model.save(tmp_path / "model")
    again = TrainedModel.load(tmp_path / "model")
    assert again.features.items() >= record.items()
    assert again.config.encoder == encoder
    chosen = bundle.choosing(encoder)
    assert {name: [p.name for p in parts] for name, parts in again.parts.items()} == {
        name: [p.name for p in parts] for name, parts in chosen.parts.items()
    }
    inputs = chosen.features.train
    np.testing.assert_array_equal(
        again.probabilities(inputs, CPU), model.probabilities(inputs, CPU)
    )
    assert ((again.probabilities(inputs, CPU) > 0.5) == bundle.labels).mean() > 0.7


def test_a_folder_whose_sources_do_not_fit_its_widths_is_refused(tmp_path: Path) -> None:
    config = CONFIG.replace(encoder="good+bad")
    trainer = make_trainer(tmp_path / "runs", named_bundle("good", "bad"))
    refit(trainer, config, seed=0, max_model_mb=10.0, origin={}).save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    content = re.sub(r',\s*"checksum": "\w+"', "", path.read_text())
    path.write_text(content.replace('"width": 12', '"width": 13', 1))
    with pytest.raises(
        InputError, match="the sources of image are 25 wide, but the model reads 24"
    ):
        TrainedModel.load(tmp_path / "model")
