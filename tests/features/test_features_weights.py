"""Weights of an encoder from whatever holds them, with the config beside them."""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import open_clip
import open_clip.factory
import pytest
import torch
from features_samples import MODEL_CONFIG, parts_of
from safetensors.torch import load_file

from hpo.data import Dataset
from hpo.errors import InputError
from hpo.features import Features, _hub, extract_features
from hpo.features._encoder import resolve_encoder
from hpo.features._model import Model

MakeDataset = Callable[..., Dataset]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> str:
    models = {**open_clip.factory._MODEL_CONFIGS, "tiny-clip": MODEL_CONFIG}
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", models)
    return "tiny-clip"


@pytest.fixture
def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(checkpoint / "open_clip_model.safetensors"))


def images_of(model: Model, seed: int = 0) -> np.ndarray:
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    return model.encode_images(list(pixels))


def optimizer_state() -> dict[str, Any]:
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


@pytest.mark.parametrize("kind", ["trainer", "model", "nested", "compiled", "namespace", "old"])
def test_checkpoints_of_training(
    kind: str, model: str, weights: dict[str, torch.Tensor], checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "epoch_3.pt"
    content: Any = {"epoch": 3, "state_dict": weights, "optimizer": optimizer_state()}
    if kind == "model":
        content = {"model": {f"module.{k}": v for k, v in weights.items()}, "step": 5}
    elif kind == "nested":
        content["state_dict"] = {f"model.{k}": v for k, v in weights.items()}
    elif kind == "compiled":
        content = {f"module._orig_mod.{k}": v for k, v in weights.items()}
    elif kind == "namespace":
        content |= {"args": argparse.Namespace(lr=0.1), "best": np.float64(3.5)}
    torch.save(content, path, _use_new_zipfile_serialization=kind != "old")
    taken = Model(resolve_encoder(f"{model}/{path}", tmp_path), "cpu")
    plain = Model(
        resolve_encoder(f"{model}/{checkpoint / 'open_clip_model.safetensors'}", tmp_path), "cpu"
    )
    np.testing.assert_array_equal(images_of(taken), images_of(plain))


def test_torchscript(model: str, checkpoint: Path, tmp_path: Path) -> None:
    """As OpenAI's files are: half precision, with three settings among the weights."""
    plain = Model(
        resolve_encoder(f"{model}/{checkpoint / 'open_clip_model.safetensors'}", tmp_path), "cpu"
    )

    class Holder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, value in load_file(checkpoint / "open_clip_model.safetensors").items():
                place: torch.nn.Module = self
                *folders, last = name.split(".")
                for folder in folders:
                    if folder not in dict(place.named_children()):
                        place.add_module(folder, torch.nn.Module())
                    place = getattr(place, folder)
                place.register_buffer(last, value.half())
            self.register_buffer("input_resolution", torch.tensor(32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    path = tmp_path / "ViT.pt"
    torch.jit.script(Holder()).save(str(path))
    taken = Model(resolve_encoder(f"{model}/{path}", tmp_path), "cpu")
    np.testing.assert_allclose(images_of(taken), images_of(plain), atol=2e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"optimizer": {"lr": 1}},
            ": it holds no weights by name; save them with torch.save(model.",
        ),
        ([1, 2], ": it holds no weights by name"),
        ({"a": Path("x")}, ": it holds Python objects besides weights, which could run code when"),
        ({"a": torch.ones(2)}, ": its weights are those of another model: "),
    ],
)
def test_files_without_these_weights(
    content: Any, message: str, model: str, tmp_path: Path
) -> None:
    path = tmp_path / "w.pt"
    torch.save(content, path)
    with pytest.raises(InputError) as caught:
        Model(resolve_encoder(f"{model}/{path}", tmp_path), "cpu")
    assert message in str(caught.value)
    assert "weights_only" not in str(caught.value) and "\n" not in str(caught.value)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"': it is damaged, or was not written by PyTorch$"):
        Model(resolve_encoder(f"{model}/{path}", tmp_path), "cpu")


def encode(make_dataset: MakeDataset, name: str, store: Path) -> Features:
    return extract_features(parts_of(make_dataset(3, 0)), name, store)


def test_config_beside_the_weights(
    model: str, checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    """What a folder gives, its file of weights gives, too: preprocessing and activation."""
    shutil.copy(checkpoint / "open_clip_model.safetensors", tmp_path / "own.safetensors")
    name, store = f"{model}/{tmp_path / 'own.safetensors'}", tmp_path / "store"
    alone = encode(make_dataset, name, store)
    assert [str(note) for note in alone.notes] == [
        "no open_clip_config.json lies beside 'own.safetensors', so it is taken on trust that it "
        "was trained with GELU and open_clip's default preprocessing"
    ]
    preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}
    preprocess |= {"resize_mode": "squash"}
    config = {"model_cfg": {**MODEL_CONFIG, "quick_gelu": True}, "preprocess_cfg": preprocess}
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(checkpoint / "open_clip_model.safetensors", folder)
    for place in (tmp_path, folder):
        (place / "open_clip_config.json").write_text(json.dumps(config))
    beside = encode(make_dataset, name, store)
    expected = encode(make_dataset, str(folder), store)
    for modality in ("image", "text"):
        np.testing.assert_array_equal(beside.train[modality], expected.train[modality])
        assert (beside.train[modality] != alone.train[modality]).any()
    assert beside.key == expected.key and beside.notes == ()
    assert beside.info.preprocessing == expected.info.preprocessing
    assert '"interpolation":"bilinear"' in beside.info.preprocessing
    (tmp_path / "open_clip_config.json").write_text("{")
    with pytest.raises(InputError, match="The config beside the weights of encoder"):
        resolve_encoder(name, tmp_path)


def test_a_model_of_the_hub_from_its_cache(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache has the hub's own layout; nothing is asked for over the network."""
    cache = tmp_path / "hub"
    revision = "a" * 40
    repository = cache / "models--some-lab--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    shutil.copytree(checkpoint, repository / "snapshots" / revision)
    monkeypatch.setattr(_hub, "hub_is_reachable", lambda: False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(cache))
    features = encode(make_dataset, "hf-hub:some-lab/tiny", tmp_path / "store")
    folder = encode(make_dataset, str(checkpoint), tmp_path / "store")
    np.testing.assert_array_equal(features.train["image"], folder.train["image"])
    assert features.info.encoder == "hf-hub:some-lab/tiny"
    with pytest.raises(InputError) as caught:
        resolve_encoder("hf-hub:some-lab/other", tmp_path)
    assert str(caught.value).startswith(
        "the weights of encoder 'hf-hub:some-lab/other' are not on this machine and can't be "
        "downloaded: "
    )
    with pytest.raises(InputError, match="must be hf-hub:ORGANISATION/MODEL"):
        resolve_encoder("hf-hub:other", tmp_path)
