"""``hpo export``: the command, and encoders inside the file."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import hpo
from hpo.export.__main__ import main
from hpo.features import LateModel, resolve_encoder
from hpo.models import AssembledModel, Config
from hpo.training import TrainedModel

CLASSES = ("cat", "dog", "traffic light")
CAPTIONS = ["a dog", "two cats on a red sofa", "x"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model behind the demo's encoder, one on imported embeddings, and images."""
    folder = tmp_path_factory.mktemp("export")
    found = resolve_encoder("demo", folder / "cache")
    behind = {
        "source": "open_clip",
        "encoder": found.name,
        "weights_hash": found.weights_hash,
        "preprocessing": found.preprocessing,
    }
    imported = {"source": "import", "encoder": "", "weights_hash": "", "preprocessing": ""}
    config = Config.model_validate({"fusion": "sum", "hidden": (8,), "feature_scaling": "l2"})
    widths = dict.fromkeys(("image", "text"), int(found.config["embed_dim"]))
    for name, features in (("behind", behind), ("imported", imported)):
        module = AssembledModel(config, widths, len(CLASSES))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
        TrainedModel(module, config, widths, CLASSES, (0.5,) * 3, features, {}).save(folder / name)
    rng = np.random.default_rng(0)
    for n in range(3):
        Image.fromarray(rng.integers(0, 255, (80, 90, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    return folder


def test_from_embeddings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "a.onnx"
    assert main(["--model", str(place / "imported"), "--out", str(out)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("checked with onnxruntime: within ")
    assert second == f"  {out}"
    rng = np.random.default_rng(1)
    rows = {name: rng.normal(size=(9, 64)).astype(np.float32) for name in ("image", "text")}
    (found,) = onnxruntime.InferenceSession(out).run(None, rows)
    expected = hpo.load_model(place / "imported").predict_proba(**rows)
    np.testing.assert_allclose(found, expected.to_numpy(), atol=1e-5, rtol=0)


def test_encoders_inside(place: Path) -> None:
    out = place / "b.onnx"
    model = hpo.load_model(place / "behind", cache=place / "cache")
    assert model.export(out, with_encoder=True) == out
    session = onnxruntime.InferenceSession(out)
    assert {one.name: (one.shape, one.type) for one in session.get_inputs()} == {
        "pixels": (["rows", 3, 64, 64], "tensor(float)"),
        "tokens": (["rows", 32], "tensor(int64)"),
    }
    encoder = LateModel(resolve_encoder("demo", place / "cache"), "cpu", 1).get()
    images = [place / f"{n}.png" for n in range(3)]
    pixels = torch.stack([encoder.prepare(path.read_bytes()) for path in images]).numpy()
    tokens = encoder.tokens(CAPTIONS).numpy()
    feed = {"pixels": pixels, "tokens": tokens}
    (found,) = session.run(None, feed)
    expected = model.predict_proba(images=images, captions=CAPTIONS).to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)
    # Rows that lack one of both.
    pixels[0], tokens[1] = np.nan, 0
    (found,) = session.run(None, feed)
    there = [None, *images[1:]], [CAPTIONS[0], None, CAPTIONS[2]]
    expected = model.predict_proba(images=there[0], captions=there[1]).to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)
    about = json.loads(session.get_modelmeta().custom_metadata_map["encoders"])
    assert about[""]["encoder"] == "demo" and about[""]["inside"]


def test_a_transformer_inside(place: Path, tmp_path: Path) -> None:
    """The demo's image tower is a ResNet; those that people use have attention."""
    import open_clip
    from safetensors.torch import save_file

    config = {
        "embed_dim": 64,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 64,
            "patch_size": 8,
            "head_width": 32,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 2,
        },
    }
    folder = tmp_path / "vit"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = open_clip.CLIP(**config).state_dict()
    save_file({k: x.contiguous() for k, x in state.items()}, folder / "open_clip_model.safetensors")
    whole = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    encoder = resolve_encoder(str(folder), place / "cache")
    behind = {
        "source": "open_clip",
        "encoder": encoder.name,
        "weights_hash": encoder.weights_hash,
        "preprocessing": encoder.preprocessing,
    }
    trained = dataclasses.replace(hpo.load_model(place / "behind").trained, features=behind)
    model = hpo.Model(trained, cache=place / "cache")
    loaded = LateModel(encoder, "cpu", 1).get()
    images = [place / f"{n}.png" for n in range(3)]
    pixels = torch.stack([loaded.prepare(path.read_bytes()) for path in images]).numpy()
    session = onnxruntime.InferenceSession(model.export(tmp_path / "v.onnx", with_encoder=True))
    feed = {"pixels": pixels, "tokens": loaded.tokens(CAPTIONS).numpy()}
    (found,) = session.run(None, feed)
    expected = model.predict_proba(images=images, captions=CAPTIONS).to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)


def test_several_encoders_side_by_side(place: Path) -> None:
    """Images by two encoders, captions by one; all are in the file, or none."""
    whole = hpo.load_model(place / "behind", cache=place / "cache")
    info = dict(whole.trained.features)
    parts = {
        "image": [{"name": name, "width": 64, **info} for name in ("one", "two")],
        "text": [{"name": "one", "width": 64, **info}],
    }
    config = whole.config.replace(feature_scaling="auto")
    widths = {"image": 128, "text": 64}
    module = AssembledModel(config, widths, len(CLASSES), {"image": [64, 64], "text": [64]})
    trained = TrainedModel(
        module, config, widths, CLASSES, (0.5,) * 3, {"source": "several", "parts": parts}, {}
    )
    model = hpo.Model(trained, cache=place / "cache")
    images = [place / f"{n}.png" for n in range(3)]
    encoder = LateModel(resolve_encoder("demo", place / "cache"), "cpu", 1).get()
    pixels = torch.stack([encoder.prepare(path.read_bytes()) for path in images]).numpy()
    session = onnxruntime.InferenceSession(model.export(place / "s.onnx", with_encoder=True))
    assert [one.name for one in session.get_inputs()] == ["pixels.one", "pixels.two", "tokens.one"]
    feed = {
        "pixels.one": pixels,
        "pixels.two": pixels,
        "tokens.one": encoder.tokens(CAPTIONS).numpy(),
    }
    (found,) = session.run(None, feed)
    expected = model.predict_proba(images=images, captions=CAPTIONS).to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)
    session = onnxruntime.InferenceSession(model.export(place / "t.onnx"))
    shapes = {one.name: one.shape for one in session.get_inputs()}
    assert shapes == {"image": ["rows", 128], "text": ["rows", 64]}


def test_what_it_refuses(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported = str(place / "imported")
    out = ["--out", str(place / "c.onnx")]
    for arguments, said in (
        (["--with-encoder"], "trained on imported embeddings, so there is no encoder to put into"),
        (["--encoder", "demo"], "so it needs --with-encoder"),
    ):
        assert main(["--model", imported, *out, *arguments]) == 2
        assert said in capsys.readouterr().err
    assert main(["--model", imported, "--out", str(place)]) == 2
    assert "is a folder, but must be a file" in capsys.readouterr().err
    assert not (place / "c.onnx").exists()
    with pytest.raises(hpo.InputError, match="format is 'tflite', but must be 'onnx'"):
        hpo.load_model(imported).export(place / "c", format="tflite")
