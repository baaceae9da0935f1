"""JPEGs decoded at reduced size, against the same ones decoded whole."""

import io
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, ResizeKeepRatio, image_transform_v2
from PIL import Image, ImageOps
from torchvision.transforms import Resize

from hpo.demo import demo_scene
from hpo.errors import InputError
from hpo.features import resolve_encoder
from hpo.features._decode import Preparation, _resized
from hpo.features._model import Model

SHARED = Path(__file__).resolve().parents[3] / "shared"
PHOTOS = SHARED / "datasets" / "comp5329" / "data"

# The tolerance that hpo/features/_decode.py states.
MEAN, MOST, DEMO_COSINE, VIT_COSINE = 1.5, 12, 0.999, 0.9999


def mosaic(width: int, height: int, seed: int, photos: bool) -> Image.Image:
    """Return a large picture that is sharp to the pixel."""
    rng = np.random.default_rng(seed)
    paths = sorted(PHOTOS.glob("*.jpg")) if photos else []
    across, down = (240, 180) if photos else (64, 64)
    picture = Image.new("RGB", (width, height))
    for y in range(0, height, down):
        for x in range(0, width, across):
            if photos:
                with Image.open(paths[rng.integers(len(paths))]) as part:
                    picture.paste(part.convert("RGB"), (x, y))
            else:
                part = Image.fromarray(demo_scene(int(rng.integers(4200))).pixels)
                picture.paste(part, (x, y))
    return picture


def jpeg(picture: Image.Image, quality: int = 85, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def transform(**settings: object) -> object:
    """Return open_clip's, without the normalisation's factors: pixels from 0 to 1."""
    return image_transform_v2(
        PreprocessCfg(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), **settings), is_train=False
    )


def difference(reduced: torch.Tensor, full: torch.Tensor) -> tuple[float, float]:
    """Return the mean and the 99.9th percentile, in units of 1/255."""
    levels = (reduced - full).abs().numpy() * 255
    return float(levels.mean()), float(np.quantile(levels, 0.999))


def reduction(content: bytes, size: int) -> int:
    """Return by which factor the file is decoded smaller for an encoder of this size."""
    image = opened(content)
    width = image.width
    Preparation(transform(size=size))(image)
    return round(width / image.width)


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one, other).min())


KINDS = [
    pytest.param(False, id="demo"),
    pytest.param(
        True,
        id="photos",
        marks=pytest.mark.skipif(not PHOTOS.is_dir(), reason="the COMP5329 data set is not here"),
    ),
]


@pytest.mark.parametrize("photos", KINDS)
@pytest.mark.parametrize(("factor", "quality"), [(2, 75), (2, 95), (4, 75), (4, 95), (8, 85)])
def test_what_the_encoder_sees(photos: bool, factor: int, quality: int, tmp_path: Path) -> None:
    """At the margin itself, where the difference is largest, for the demo's encoder (64 px)."""
    model = Model(resolve_encoder("demo", tmp_path), "cpu")
    height = 3 * 64 * factor
    plain = transform(size=64)
    tensors = []
    for seed in range(3):
        picture = mosaic(height * 4 // 3, height, seed, photos)
        content = jpeg(picture, quality, subsampling=2 if quality < 90 else 0)
        assert reduction(content, 64) == factor
        full = plain(opened(content))
        reduced = Preparation(plain)(opened(content))
        mean, most = difference(reduced, full)
        assert mean <= MEAN and most <= MOST
        tensors.append((reduced, full))
    embeddings = [
        torch.from_numpy(model.encode_images([(x - 0.5) / 0.25 for x in side])).float()
        for side in zip(*tensors, strict=True)
    ]
    assert cosine(*embeddings) >= DEMO_COSINE


@pytest.mark.parametrize("photos", KINDS)
def test_what_a_vit_sees(photos: bool) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vit = open_clip.create_model("ViT-B-32", pretrained=None).visual.eval()
    plain = image_transform_v2(PreprocessCfg(), is_train=False)
    content = jpeg(mosaic(2048, 1536, 0, photos))
    assert reduction(content, 224) == 2
    batch = torch.stack([Preparation(plain)(opened(content)), plain(opened(content))])
    with torch.inference_mode():
        embeddings = vit(batch)
    assert (batch[0] != batch[1]).any()
    assert cosine(embeddings[:1], embeddings[1:]) >= VIT_COSINE


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the COMP5329 data set is not here")
def test_photos_as_they_are(checkpoint: Path, tmp_path: Path) -> None:
    """The tests' encoder (a ViT of 32 px) is small enough for the data set's own photos."""
    model = Model(resolve_encoder(str(checkpoint), tmp_path), "cpu")
    plain = transform(size=32)
    means, pairs = [], []
    for path in sorted(PHOTOS.glob("*.jpg"))[:60]:
        content = path.read_bytes()
        if reduction(content, 32) == 2:
            reduced, full = Preparation(plain)(opened(content)), plain(opened(content))
            means.append(difference(reduced, full))
            pairs.append((reduced, full))
    assert len(pairs) > 20
    assert max(mean for mean, _ in means) <= MEAN and max(most for _, most in means) <= MOST
    assert np.mean([mean for mean, _ in means]) <= 0.5
    one, other = (
        torch.from_numpy(model.encode_images(x)).float() for x in zip(*pairs, strict=True)
    )
    assert cosine(one, other) >= DEMO_COSINE


@pytest.mark.parametrize("shape", [(1001, 777), (777, 1001), (1999, 400), (520, 520)])
@pytest.mark.parametrize(
    "settings",
    [
        {"size": 32},
        {"size": (32, 48)},
        {"size": 32, "resize_mode": "squash"},
        {"size": 32, "resize_mode": "longest", "fill_color": 9},
    ],
    ids=["shortest", "not square", "squash", "longest"],
)
def test_every_resizing(settings: dict[str, object], shape: tuple[int, int]) -> None:
    """Odd sizes too: nothing is shifted or stretched by a reduced size that is rounded up."""
    plain = transform(**settings)
    content = jpeg(mosaic(*shape, 0, photos=False))
    image = opened(content)
    reduced = Preparation(plain)(image)
    assert image.size != shape
    mean, most = difference(reduced, plain(opened(content)))
    assert mean <= MEAN and most <= MOST
    # Not reduced below the margin: along both sides, whatever the resizing does to the proportions.
    size = _resized(plain.transforms[0], shape)
    assert all(have >= 3 * want for have, want in zip(image.size, size, strict=True))


def test_the_edge_counts_by_what_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A last row or column that an eighth of a reduced pixel covers, and that stands out."""
    plain = transform(size=32, resize_mode="squash")
    picture = Image.new("RGB", (1001, 777), "black")
    picture.paste("white", (1000, 0, 1001, 777))
    picture.paste("white", (0, 776, 1001, 777))
    content = jpeg(picture, 95)
    full = plain(opened(content))
    assert difference(Preparation(plain)(opened(content)), full)[1] <= MOST
    monkeypatch.setattr("hpo.features._decode._weigh_edges", lambda image, *_: image)
    assert difference(Preparation(plain)(opened(content)), full)[1] > 2 * MOST


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_as_the_file_says(orientation: int) -> None:
    """A reduced picture is turned with the edges that count less; so is a whole one."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for width, height, mode in ((1021, 771, "shortest"), (771, 1019, "longest")):
        picture = mosaic(width, height, orientation, photos=False)
        plain = transform(size=64, resize_mode=mode)
        content = jpeg(picture, 95, exif=exif)
        assert reduction(content, 64) == 4
        upright = ImageOps.exif_transpose(opened(content))
        mean, most = difference(Preparation(plain)(opened(content)), plain(upright))
        assert mean <= MEAN and most <= MOST
        assert difference(plain(opened(content)), plain(upright))[1] > 2 * MOST, "it isn't the same"
        small = opened(jpeg(picture.resize((80, 70)), exif=exif))
        expected = plain(ImageOps.exif_transpose(small))
        assert torch.equal(
            Preparation(plain)(opened(jpeg(picture.resize((80, 70)), exif=exif))), expected
        )


@pytest.mark.parametrize("kind", ["grey", "progressive", "several pictures"])
def test_kinds_of_files(kind: str) -> None:
    picture, plain = mosaic(1021, 771, 0, photos=False), transform(size=64)
    if kind == "grey":
        content = jpeg(picture.convert("L"))
    elif kind == "progressive":
        content = jpeg(picture, progressive=True)
    else:
        file = io.BytesIO()
        picture.save(file, "MPO", save_all=True, append_images=[picture.rotate(180)])
        content = file.getvalue()
    assert reduction(content, 64) == 4
    mean, most = difference(Preparation(plain)(opened(content)), plain(opened(content)))
    assert mean <= MEAN and most <= MOST


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "CMYK", "bilinear"])
def test_other_images_are_the_same_to_the_bit(kind: str) -> None:
    """What is no JPEG, or has one pixel less than is reduced, four colours, another resizing."""
    picture = mosaic(1024, 6 * 64 - 1 if kind == "JPEG" else 768, 0, photos=False)
    if kind == "CMYK":
        picture = picture.convert("CMYK")
    plain = transform(size=64, interpolation="bilinear" if kind == "bilinear" else "bicubic")
    file = io.BytesIO()
    picture.save(file, kind if kind in ("PNG", "WEBP") else "JPEG")
    got = Preparation(plain)(opened(file.getvalue()))
    assert torch.equal(got, plain(opened(file.getvalue())))


def test_a_transform_that_begins_otherwise() -> None:
    plain = transform(size=64)
    content = jpeg(mosaic(1024, 768, 0, photos=False))
    expected = plain(opened(content))
    assert torch.equal(Preparation(lambda image: plain(image))(opened(content)), expected)


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_truncated_large_jpeg_is_found(checkpoint: Path, tmp_path: Path, kept: float) -> None:
    model = Model(resolve_encoder(str(checkpoint), tmp_path), "cpu")
    content = jpeg(mosaic(2048, 1536, 0, photos=False))
    model.prepare(content)
    with pytest.raises(InputError, match=r"^can't be decoded: .*truncated"):
        model.prepare(content[: int(len(content) * kept)])


def test_sizes_are_those_of_the_resizing() -> None:
    rng = np.random.default_rng(0)
    resizings = [
        Resize(224),
        Resize((64, 96)),
        ResizeKeepRatio(64, longest=1),
        ResizeKeepRatio((64, 96)),
    ]
    for width, height in rng.integers(60, 700, (40, 2)).tolist():
        picture = Image.new("L", (width, height))
        for resize in resizings:
            assert _resized(resize, picture.size) == resize(picture).size


def test_other_versions_of_the_decoding_are_kept_apart(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = resolve_encoder(str(checkpoint), tmp_path)
    key = encoder.key("float32")
    monkeypatch.setattr("hpo.features._encoder._DECODING", 1)
    assert encoder.key("float32") != key
