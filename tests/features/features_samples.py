"""A tiny encoder and small images, made from fixed seeds."""

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

from hpo.data import Dataset, Rows

MODEL_CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "layers": 2,
        "width": 32,
        "head_width": 16,
        "patch_size": 16,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 2,
    },
}


def write_checkpoint(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = open_clip.CLIP(**MODEL_CONFIG)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": MODEL_CONFIG, "preprocess_cfg": {"mean": [0.5, 0.4, 0.3]}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def write_image(path: Path, seed: int, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC)
    image.convert(mode).save(path)
    return path


def parts_of(dataset: Dataset) -> dict[str, Rows]:
    """Return what ``extract_features`` takes."""
    parts = {"train": dataset.train}
    if dataset.test is not None:
        parts["test"] = dataset.test
    return parts
