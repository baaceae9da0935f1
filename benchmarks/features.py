"""Extraction against the encoder alone and against the usual loop with a DataLoader.

The usual loop is the one of open_clip's README: a data set that opens and preprocesses an image, a
``DataLoader`` with a process a core, ``encode_image`` batch by batch. Both run in a process of
their own with a thread a core, on the demo's images, or on those in ``--data`` where there are any.

Large JPEGs are prepared for an encoder with and without decoding them at reduced size.
"""

import argparse
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks._result import Result, main
from benchmarks._sides import Side, alternate, ratio
from hpo._machine import usable_cores
from hpo.demo import make_demo
from hpo.features import resolve_encoder
from hpo.features._chunks import ChunkStore
from hpo.features._decode import Preparation
from hpo.features._encode import LateModel, encode_images
from hpo.features._hashes import FileHashes
from hpo.features._looks import Looks

__all__ = ["run"]

_BATCH = 32
_VIT_IMAGES = 192
_DEMO_IMAGES = 800
_MANY = 10
_LARGE = (2048, 1536)
_LARGE_IMAGES = 8


def run(arguments: argparse.Namespace) -> list[Result]:
    """Measure a ViT-B/32 and the demo's encoder."""
    cores = usable_cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = sorted((make_demo(folder / "demo") / "images").glob("*.jpg"))
        photos = sorted((arguments.data / "data").glob("*.jpg")) or demo
        vit = _write_vit(folder / "vit")
        return [
            *_vit(str(vit), photos[:_VIT_IMAGES], folder, cores, arguments.rounds),
            *_demo(demo[:_DEMO_IMAGES], folder, cores, arguments.rounds),
            _memory(demo[:_DEMO_IMAGES], folder, cores),
            _large(photos, folder, arguments.rounds),
        ]


def _vit(encoder: str, images: list[Path], folder: Path, cores: int, rounds: int) -> list[Result]:
    with (
        Side(_hpo, encoder, images, folder, cores, threads=cores) as ours,
        Side(_usual, encoder, images, cores, threads=cores) as usual,
    ):
        times = alternate(
            {
                "alone": (ours, "encoder"),
                "hpo": (ours, "extract"),
                "usual": (usual, "extract"),
            },
            max(2, rounds // 2),
        )
    return [
        _speed(
            "features: ViT-B/32, against the encoder alone",
            times["hpo"],
            times["alone"],
            len(images),
            "the encoder on tensors that are ready",
            0.95,
        ),
        _speed(
            "features: ViT-B/32, against the usual loop",
            times["hpo"],
            times["usual"],
            len(images),
            f"open_clip with a DataLoader of {cores} processes",
            1.0,
        ),
    ]


def _demo(images: list[Path], folder: Path, cores: int, rounds: int) -> list[Result]:
    with (
        Side(_hpo, "demo", images, folder, cores, threads=cores) as ours,
        Side(_usual, "demo", images, cores, threads=cores) as usual,
    ):
        times = alternate({"hpo": (ours, "extract"), "usual": (usual, "extract")}, rounds)
    return [
        _speed(
            "features: the demo's encoder, against the usual loop",
            times["hpo"],
            times["usual"],
            len(images),
            f"open_clip with a DataLoader of {cores} processes",
            1.5,
        )
    ]


def _speed(name: str, ours: Any, baseline: Any, images: int, against: str, target: float) -> Result:
    faster, mine, theirs = ratio(ours, baseline, clock="wall")
    return Result(
        name,
        faster,
        images / mine,
        images / theirs,
        "images/s",
        against,
        target,
        note=f"{images} images, float32",
    )


def _memory(images: list[Path], folder: Path, cores: int) -> Result:
    peaks = []
    for times in (1, _MANY):
        copies = _copies(images, times, folder / f"copies-{times}")
        with Side(_hpo, "demo", copies, folder, cores, threads=cores) as side:
            peaks.append(side.time("extract").peak)
    return Result(
        f"features: memory with {_MANY} times the images",
        peaks[1] / peaks[0],
        peaks[1],
        peaks[0],
        "MiB",
        f"the peak with {len(images)} images",
        1.1,
        "at most",
    )


def _copies(images: list[Path], times: int, folder: Path) -> list[Path]:
    """Write each image so many times; what stands behind a JPEG's end makes each one a new file."""
    folder.mkdir()
    paths = []
    for turn in range(times):
        for image in images:
            paths.append(folder / f"{turn}-{image.name}")
            paths[-1].write_bytes(image.read_bytes() + turn.to_bytes(2))
    return paths


def _large(photos: list[Path], folder: Path, rounds: int) -> Result:
    with Side(_decoding, _write_large(photos, folder / "large")) as side:
        times = alternate({"reduced": (side, "reduced"), "full": (side, "full")}, rounds)
    faster, mine, theirs = ratio(times["reduced"], times["full"])
    return Result(
        "features: large JPEGs, reduced-size decoding",
        faster,
        _LARGE_IMAGES / mine,
        _LARGE_IMAGES / theirs,
        "images/s",
        "open_clip's preprocessing, which decodes at full size",
        1.0,
        note=f"mosaics of photos, {_LARGE[0]} x {_LARGE[1]}, for an encoder of 224 px; one thread",
    )


def _write_large(photos: list[Path], folder: Path) -> list[Path]:
    """Write JPEGs of the size that cameras and phones make, as full of detail as small photos."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = []
    for index in range(_LARGE_IMAGES):
        mosaic = Image.new("RGB", _LARGE)
        for y in range(0, _LARGE[1], 180):
            for x in range(0, _LARGE[0], 240):
                with Image.open(photos[rng.integers(len(photos))]) as photo:
                    mosaic.paste(photo.convert("RGB"), (x, y))
        paths.append(folder / f"{index}.jpg")
        mosaic.save(paths[-1], quality=85)
    return paths


def _decoding(paths: list[Path]) -> Mapping[str, Callable[[], Any]]:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(size=224), is_train=False)
    reduced = Preparation(transform)

    def prepare(function: Callable[[Image.Image], torch.Tensor]) -> None:
        for path in paths:
            with Image.open(path) as image:
                function(image)

    return {"reduced": lambda: prepare(reduced), "full": lambda: prepare(transform)}


def _hpo(
    encoder: str, images: list[Path], folder: Path, cores: int
) -> Mapping[str, Callable[[], Any]]:
    late = LateModel(resolve_encoder(encoder, folder), "cpu", cores)
    model = late.on_this_thread()
    ready = [model.prepare(path.read_bytes()) for path in images[:_VIT_IMAGES]]
    count = itertools.count()

    def extract() -> None:
        place = folder / f"store-{os.getpid()}-{next(count)}"
        encode_images(
            late,
            images,
            FileHashes(place),
            Looks(place),
            ChunkStore(place / "chunks", "chunks"),
            batch_size=_BATCH,
            threads=cores,
        )

    def alone() -> None:
        for start in range(0, len(ready), _BATCH):
            model.encode_images(ready[start : start + _BATCH])

    return {"extract": extract, "encoder": alone}


class _Images(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, paths: list[Path], preprocess: Callable[[Image.Image], torch.Tensor]):
        self.paths = paths
        self.preprocess = preprocess

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.preprocess(Image.open(self.paths[index]))


def _usual(encoder: str, images: list[Path], cores: int) -> Mapping[str, Callable[[], Any]]:
    import open_clip

    folder = resolve_encoder(encoder, Path(tempfile.gettempdir())).model
    model, preprocess = open_clip.create_model_from_pretrained(folder, weights_only=True)
    model.eval()

    def extract() -> None:
        loader = torch.utils.data.DataLoader(
            _Images(images, preprocess), batch_size=_BATCH, num_workers=cores
        )
        with torch.no_grad():
            np.concatenate([model.encode_image(batch).numpy() for batch in loader])

    return {"extract": extract}


def _write_vit(folder: Path) -> Path:
    """Write a checkpoint of a ViT-B/32 with random weights."""
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir()
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32", pretrained=None)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


if __name__ == "__main__":
    main(run, __doc__)
