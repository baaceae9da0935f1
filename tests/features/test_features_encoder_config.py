"""Configs of encoders that others made: what they may say, and that nothing of theirs is run."""

import copy
import json
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import open_clip.factory
import pytest
from features_samples import MODEL_CONFIG

from hpo.errors import InputError
from hpo.features._encoder import resolve_encoder
from hpo.features._encoder_config import config_faults

WAY_ON = (
    "nothing that a config brings may choose code or a download. Name the model as open_clip does, "
    "MODEL/PRETRAINED, or extract embeddings elsewhere and give them with --features"
)


def changed(place: str, value: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"model_cfg": copy.deepcopy(MODEL_CONFIG), "preprocess_cfg": {}}
    *path, last = place.split(".")
    inner = content
    for key in path:
        inner = inner.setdefault(key, {})
    inner[last] = value
    return content


def test_all_of_open_clips_own_architectures_may_stand_in_a_config() -> None:
    names = open_clip.list_models()
    assert len(names) > 100
    refused: dict[str, str] = {}
    for name in names:
        config = open_clip.get_model_config(name)
        for fault in config_faults({"model_cfg": config}):
            refused[fault.partition(" is ")[0].strip("'")] = name
    # what remains is what names a tokenizer or a text tower of Hugging Face's
    assert set(refused) == {
        "model_cfg.text_cfg.hf_model_name",
        "model_cfg.text_cfg.hf_pooler_type",
        "model_cfg.text_cfg.hf_proj_type",
        "model_cfg.text_cfg.hf_tokenizer_name",
        "model_cfg.text_cfg.tokenizer_kwargs",
    }


def test_what_open_clip_says_of_the_model_itself_may_stand_beside_weights_of_it() -> None:
    config = open_clip.get_model_config("ViT-B-16-SigLIP")
    assert config["text_cfg"]["hf_tokenizer_name"]
    assert config_faults({"model_cfg": config}, config) == []
    other = copy.deepcopy(config)
    other["text_cfg"]["hf_tokenizer_name"] = "somebody/else"
    assert len(config_faults({"model_cfg": other}, config)) == 1


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("model_cfg.text_cfg.hf_tokenizer_name", "a/b", f"is set, but {WAY_ON}"),
        ("model_cfg.text_cfg.hf_model_name", "a/b", f"is set, but {WAY_ON}"),
        ("model_cfg.text_cfg.tokenizer_kwargs", {"trust_remote_code": True}, "is set, but"),
        ("model_cfg.text_cfg.tokenizer_mode", "clips", "is set, but"),
        ("model_cfg.text_cfg.trust_remote_code", True, "is set, but"),
        ("model_cfg.trust_remote_code", True, "is set, but"),
        ("model_cfg.pretrained_image_path", "/x.pt", "is set, but"),
        ("model_cfg.pretrained_hf", True, "is set, but"),
        ("tokenizer", "x.py", "is set, but"),
        ("model_cfg.cache_dir", "/tmp", "is no key that a config may have"),
        ("model_cfg.jit", True, "is no key that a config may have"),
        ("model_cfg.vision_cfg.patch_sise", 8, "may have (did you mean 'patch_size'?)"),
        ("auto_map", {"AutoTokenizer": ["x.X", None]}, "is no key that a config may have"),
        (
            "model_cfg.vision_cfg.timm_model_name",
            "hf-hub:somebody/model",
            "is 'hf-hub:somebody/model', but must be a model that timm knows by its name alone; ",
        ),
        ("model_cfg.vision_cfg.timm_model_name", "local-dir:/x", "is 'local-dir:/x', but must be"),
        ("model_cfg.vision_cfg.timm_model_name", "a/b", "is 'a/b', but must be a model that timm"),
        ("model_cfg.vision_cfg.timm_model_pretrained", True, "is True, but nothing that"),
        ("model_cfg.vision_cfg", [1], "is [1], but must be an object"),
        ("model_cfg.text_cfg.norm_kwargs", 1, "is 1, but must be an object"),
        ("model_cfg.text_cfg.norm_kwargs", {"eps": {"a": 1}}, ".eps' is {'a': 1}, but must be a"),
        ("model_cfg.text_cfg.width", {"a": 1}, "is {'a': 1}, but must be a text, true, false,"),
        ("model_cfg.text_cfg.context_length", 10**12, "is 1000000000000, but must be a text, "),
        ("model_cfg.init_logit_scale", float("nan"), "is nan, but must be a text, true, false"),
        ("model_cfg.vision_cfg.layers", [1] * 100, "…, but must be a text, true, false, null"),
        ("preprocess_cfg.mean", [[1]], "is [[1]], but must be a text, true, false, null, a num"),
        ("preprocess_cfg.transform", "x", "is no key that a config may have"),
    ],
)
def test_other_keys_and_values_are_refused_by_name(
    place: str, value: Any, said: str, checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(checkpoint, folder)
    (folder / "open_clip_config.json").write_text(json.dumps(changed(place, value)))
    with pytest.raises(InputError) as caught:
        resolve_encoder(str(folder), tmp_path)
    title, *faults = str(caught.value).splitlines()
    assert title == f"The encoder '{folder}' can't be used:"
    if place.endswith("vision_cfg"):
        assert "must have a model_cfg with a vision_cfg" in faults[0]
        return
    assert len(faults) == 1
    assert faults[0].startswith(f"  open_clip_config.json: '{place}")
    assert said in faults[0]


def test_what_says_nothing_is_passed_over() -> None:
    assert config_faults(changed("model_cfg.text_cfg.hf_tokenizer_name", None)) == []
    assert config_faults(changed("model_cfg.text_cfg.tokenizer_kwargs", {})) == []


def test_python_of_a_folder_does_not_run(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once transformers is installed, open_clip hands it what a config says of the tokenizer."""
    called: list[Any] = []

    class AutoTokenizer:
        @staticmethod
        def from_pretrained(*arguments: Any, **named: Any) -> None:
            called.append((arguments, named))

    stand_in = types.ModuleType("transformers")
    stand_in.AutoTokenizer = AutoTokenizer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", stand_in)
    folder = tmp_path / "encoder"
    shutil.copytree(checkpoint, folder)
    content = changed("model_cfg.text_cfg.hf_tokenizer_name", "x")
    content["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"hf_tokenizer_name"):
        resolve_encoder(str(folder), tmp_path)
    assert called == []
    # and it would have, without this check
    open_clip.get_tokenizer(f"local-dir:{folder}")
    assert [named["trust_remote_code"] for _, named in called] == [True]


def test_config_beside_weights_is_held_to_the_same(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {**open_clip.factory._MODEL_CONFIGS, "tiny-clip": MODEL_CONFIG}
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", models)
    weights = tmp_path / "w.safetensors"
    shutil.copy(checkpoint / "open_clip_model.safetensors", weights)
    content = changed("model_cfg.pretrained_image_path", "/x.pt")
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"'model_cfg\.pretrained_image_path' is set, but nothing"):
        resolve_encoder(f"tiny-clip/{weights}", tmp_path / "store")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda p: p.write_bytes(b"\xff\xfe"), "can't be read: 'utf-8' codec can't decode"),
        (lambda p: p.write_text("[" * 100_000), "can't be read: it is nested too deeply"),
        (lambda p: p.write_text("[1]"), "must have a model_cfg with a vision_cfg and a text_cfg"),
        (lambda p: p.mkdir(), "can't be read: Is a directory"),
    ],
    ids=["bytes", "deep", "list", "folder"],
)
def test_configs_that_can_not_be_read(
    write: Callable[[Path], object], said: str, checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(checkpoint, folder)
    path = folder / "open_clip_config.json"
    path.unlink()
    write(path)
    with pytest.raises(InputError) as caught:
        resolve_encoder(str(folder), tmp_path)
    assert f"open_clip_config.json {said}" in str(caught.value)
