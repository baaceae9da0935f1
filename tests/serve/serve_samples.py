"""Models with made-up weights behind the demo's encoder, and pictures."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hpo.features import resolve_encoder
from hpo.models import AssembledModel, Config
from hpo.training import TrainedModel

CLASSES = ("cat", "dog", "<b>traffic</b> light")


def write_model(folder: Path, cache: Path, fusion: str = "sum", *, imported: bool = False) -> Path:
    """A model folder: of a fusion of image and text, or one of both."""
    found = resolve_encoder("demo", cache)
    features = {
        "source": "import" if imported else "open_clip",
        "encoder": "" if imported else found.name,
        "weights_hash": "" if imported else found.weights_hash,
        "preprocessing": "" if imported else found.preprocessing,
    }
    config = Config.model_validate({"fusion": fusion, "hidden": (8,), "feature_scaling": "l2"})
    names = ("image", "text") if fusion == "sum" else (fusion,)
    widths = dict.fromkeys(names, int(found.config["embed_dim"]))
    module = AssembledModel(config, widths, len(CLASSES))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    TrainedModel(module, config, widths, CLASSES, (0.5, 0.4, 0.6), features, {}).save(folder)
    return folder


def picture(seed: int = 0, format: str = "PNG", size: tuple[int, int] = (80, 90)) -> bytes:
    """The bytes of an image file."""
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    pixels = rng.integers(0, 255, (size[1] // 10, size[0] // 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size).save(buffer, format)
    return buffer.getvalue()
