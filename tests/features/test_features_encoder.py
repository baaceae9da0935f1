"""Names of encoders: what they stand for, and what is said when they stand for nothing."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import open_clip
import open_clip.factory
import pytest
import torch
from features_samples import MODEL_CONFIG, parts_of, write_image
from safetensors.torch import load_file, save_file

from hpo.data import Dataset
from hpo.errors import InputError
from hpo.features import Counts, _hub, extract_features
from hpo.features._encoder import resolve_encoder
from hpo.features._model import Model

MakeDataset = Callable[..., Dataset]


@pytest.fixture
def tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the tiny config one of open_clip's own models."""
    path = tmp_path / "tiny-clip.json"
    path.write_text(json.dumps(MODEL_CONFIG))
    models = {**open_clip.factory._MODEL_CONFIGS, "tiny-clip": MODEL_CONFIG}
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", models)
    return "tiny-clip"


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hub, "hub_is_reachable", lambda: False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("no_hub")
def test_no_hub_fails_fast_and_says_what_to_do(make_dataset: MakeDataset, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        extract_features(parts_of(make_dataset(2, 0)), "ViT-L-14/openai", tmp_path / "store")
    assert time.monotonic() - start < 60  # the hub's own tries again would go on for minutes
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        "the weights of encoder 'ViT-L-14/openai' are not on this machine and can't be "
        "downloaded: Failed to download file (open_clip_pytorch_model.bin) for "
        "timm/vit_large_patch14_clip_224.openai."
    )
    assert second == (
        "To go on, pass a local checkpoint (--encoder FOLDER with open_clip_config.json and "
        "open_clip_model.safetensors, or --encoder MODEL/PATH/weights.safetensors) or embeddings "
        "that you have already (--features DIR)."
    )
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False


def test_openai_weights_get_their_activation(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Downloading is open_clip's business; what it finds is not looked into here.
    weights = checkpoint / "open_clip_model.safetensors"
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: str(weights))
    openai = resolve_encoder("ViT-L-14/openai", tmp_path)
    laion = resolve_encoder("ViT-L-14/laion400m_e32", tmp_path)
    assert openai.config["quick_gelu"] is True and not laion.config.get("quick_gelu")
    assert openai.config["embed_dim"] == 768
    assert openai.key("float32") != laion.key("float32")
    assert openai.key("float32") != openai.key("float16")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-L-41/openai", r"^encoder 'ViT-L-41/openai' is neither a folder nor a model of "),
        ("ViT-L-14/openia", r"'openia' is neither a file nor weights .* mean 'openai'\?\); it has"),
        ("ViT-L-14", r"^encoder 'ViT-L-14' names no weights; write ViT-L-14/TAG with one of ope"),
        ("ViT-L-14/", r"^encoder 'ViT-L-14/' names no weights"),
        ("dmeo", r"\(did you mean 'demo'\?\)"),
        ("ViTL-14/openai", r"\(did you mean 'ViT-L-14/openai'\?\)"),
        ("ViT-B/32", r"\(did you mean 'ViT-B-32/openai'\?\)"),
        ("openai/clip-vit-large-patch14-336", r"\(did you mean 'ViT-L-14-336/openai'\?\)"),
        ("/no/such/folder", r"^encoder '/no/such/folder' is neither a folder nor a model"),
        ("local-dir:/no/such", r"^encoder 'local-dir:/no/such' is neither a folder nor"),
    ],
)
def test_unknown_names(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        resolve_encoder(name, tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_file(
    suffix: str, checkpoint: Path, tiny_model: str, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    weights = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(load_file(checkpoint / "open_clip_model.safetensors"), weights)
    else:
        shutil.copy(checkpoint / "open_clip_model.safetensors", weights)
    dataset, store = make_dataset(3, 0), tmp_path / "store"
    features = extract_features(parts_of(dataset), f"{tiny_model}/{weights}", store)
    # The captions' encoding is the folder's; the images' isn't: the folder has its own mean.
    folder = extract_features(parts_of(dataset), str(checkpoint), store)
    np.testing.assert_array_equal(features.train["text"], folder.train["text"])
    assert (features.train["image"] != folder.train["image"]).any()
    # The name that is kept finds the same encoder from anywhere.
    again = extract_features(parts_of(dataset), features.info.encoder, store)
    assert again.key == features.key and again.counts["text"] == Counts(0, 3)


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_weights_are_never_unpickled(
    tiny_model: str, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    torch.save({"state_dict": _Evil(tmp_path / "touched")}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt': it holds Python objects besides weights"):
        extract_features(
            parts_of(make_dataset(2, 0)), f"{tiny_model}/{tmp_path}/evil.pt", tmp_path / "s"
        )
    assert not (tmp_path / "touched").exists()


def test_weights_of_an_unknown_kind(tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "weights.npz").touch()
    with pytest.raises(
        InputError, match=r"ends with '\.npz', but must end with \.safetensors, \.pt, \.pth, \.bin$"
    ):
        resolve_encoder(f"{tiny_model}/{tmp_path}/weights.npz", tmp_path)


def test_folder_problems_are_listed_together(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    with pytest.raises(InputError) as caught:
        resolve_encoder(str(folder), tmp_path)
    assert str(caught.value).splitlines() == [
        f"The encoder '{folder}' can't be used:",
        "  the folder has no open_clip_model.safetensors",
        "  the folder has no open_clip_config.json",
    ]
    (folder / "open_clip_model.safetensors").touch()
    (folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(InputError, match="must have a model_cfg with a vision_cfg and a text_cfg"):
        resolve_encoder(str(folder), tmp_path)
    (folder / "open_clip_config.json").write_text("{")
    with pytest.raises(InputError, match=r"open_clip_config\.json can't be read: Expecting"):
        resolve_encoder(str(folder), tmp_path)


def test_damaged_weights(checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(
        InputError, match=r"^the encoder '.*copy' can't be loaded from '.*': SafetensorError: "
    ):
        extract_features(parts_of(make_dataset(2, 0)), str(folder), tmp_path / "store")


def test_weights_that_do_not_fit(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    config = folder / "open_clip_config.json"
    config.write_text(config.read_text().replace('"embed_dim": 16', '"embed_dim": 24'))
    with pytest.raises(
        InputError, match=r"its weights are those of another model: 2 weights have another size"
    ):
        extract_features(parts_of(make_dataset(2, 0)), str(folder), tmp_path / "store")


def test_weights_that_are_no_numbers(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    path = folder / "open_clip_model.safetensors"
    weights = load_file(path)
    weights["visual.proj"][0, 0] = float("nan")
    save_file(weights, path)
    with pytest.raises(InputError, match=r"its weight visual\.proj has NaN or infinity; get the f"):
        extract_features(parts_of(make_dataset(2, 0)), str(folder), tmp_path / "store")


def test_weights_as_transformers_names_them(
    tiny_model: str, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"vision_model.post_layernorm.bias": torch.zeros(2)}, path)
    with pytest.raises(InputError) as caught:
        extract_features(parts_of(make_dataset(2, 0)), f"{tiny_model}/{path}", tmp_path / "store")
    assert (
        "1 weight is not in the model, vision_model.post_layernorm.bias; they are named as "
        "transformers names them; take open_clip's weights of this model, or extract embeddings "
        "with transformers and give them with --features"
    ) in str(caught.value)


def test_a_file_in_place_of_its_folder(checkpoint: Path, tmp_path: Path) -> None:
    name = str(checkpoint / "open_clip_model.safetensors")
    with pytest.raises(InputError) as caught:
        resolve_encoder(name, tmp_path)
    assert str(caught.value) == (
        f"encoder '{name}' is a file, but must be its folder: --encoder {checkpoint}"
    )


def test_half_precision_agrees(checkpoint: Path, tmp_path: Path) -> None:
    """The arithmetic of a GPU, tried on the CPU: autocast to float16."""
    encoder = resolve_encoder(str(checkpoint), tmp_path)
    model = Model(encoder, "cpu")
    image = model.prepare(write_image(tmp_path / "a.png", 1).read_bytes())
    full = [model.encode_images([image]), model.encode_texts(["a dog"])]
    model._half = True
    half = [model.encode_images([image]), model.encode_texts(["a dog"])]
    for one, other in zip(full, half, strict=True):
        assert (one != other).any()  # it was another arithmetic
        np.testing.assert_allclose(one, other, rtol=0.02, atol=0.01)


def test_half_precision_that_overflows_is_done_again(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(resolve_encoder(str(checkpoint), tmp_path), "cpu")
    expected = model.encode_texts(["a dog"])
    model._half = True
    encode = model._model.encode_text

    def overflowing(batch: torch.Tensor, normalize: bool) -> torch.Tensor:
        output: torch.Tensor = encode(batch, normalize=normalize)
        return output * torch.inf if torch.is_autocast_enabled("cpu") else output

    monkeypatch.setattr(model._model, "encode_text", overflowing)
    np.testing.assert_array_equal(model.encode_texts(["a dog"]), expected)


def test_embeddings_that_float16_cannot_hold(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    weights = load_file(folder / "open_clip_model.safetensors")
    weights["text_projection"] *= 1e6
    save_file(weights, folder / "open_clip_model.safetensors")
    with pytest.raises(InputError) as caught:
        extract_features(parts_of(make_dataset(2, 0)), str(folder), tmp_path / "store")
    assert str(caught.value).splitlines() == [
        "Captions can't be encoded:",
        "  the embedding of caption 'a train picture, number 0' is not finite in float16",
        "  the embedding of caption 'a train picture, number 1' is not finite in float16",
    ]
