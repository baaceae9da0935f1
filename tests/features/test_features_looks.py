"""Pictures are encoded as a viewer shows them, and it is said what was done for that."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from features_samples import parts_of
from PIL import Image

from hpo.data import Dataset, Rows
from hpo.errors import InputError
from hpo.features import Features, extract_features
from hpo.features._looks import Look, seen_key
from hpo.features._seen import eight_bits, look_at, over_white


def grey() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC))


def deep(kind: str) -> Image.Image:
    values = grey()
    if kind == "I;16B":
        return Image.frombytes("I;16B", (64, 48), (values.astype(">u2") * 257).tobytes())
    return {
        "I;16": lambda: Image.fromarray(values.astype(np.uint16) * 257),
        "I": lambda: Image.fromarray(values.astype(np.int32)),
        "I of 16 bits": lambda: Image.fromarray(values.astype(np.int32) * 257),
        "F": lambda: Image.fromarray(values.astype(np.float32)),
        "F to 1": lambda: Image.fromarray(values.astype(np.float32) / 255),
    }[kind]()


@pytest.mark.parametrize("kind", ["I;16", "I;16B", "I", "I of 16 bits", "F", "F to 1"])
def test_deep_pictures_have_the_values_of_8_bits(kind: str) -> None:
    assert look_at(deep(kind)) == Look.DEEP
    np.testing.assert_array_equal(np.asarray(eight_bits(deep(kind))), grey())


@pytest.mark.parametrize("values", [[[-1.0, 3.0]], [[0.0, 70000.0]], [[0.0, np.nan]]])
def test_values_that_say_nothing_of_white(values: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="which says nothing of black and white"):
        eight_bits(Image.fromarray(np.array(values, dtype=np.float32)))


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    clear.putpixel((1, 0), (0, 0, 0, 0))
    assert look_at(clear) == Look.CLEAR
    assert [over_white(clear).getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]
    palette = clear.convert("RGB").quantize(2)
    palette.info["transparency"] = palette.getpixel((1, 0))
    assert over_white(palette).getpixel((1, 0)) == (255, 255, 255)


def files(folder: Path) -> list[str]:
    """Write the same picture in many ways, and two others."""
    folder.mkdir(parents=True)
    pixels = grey()
    colour = Image.fromarray(np.stack([pixels, pixels[::-1], 255 - pixels], axis=2))
    colour.save(folder / "upright.png")
    colour.save(folder / "plain.tif")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = colour.transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "turned.png", exif=exif)
    turned.save(folder / "turned.tif", exif=exif)
    turned.save(folder / "lying.png")
    Image.fromarray(pixels).save(folder / "grey8.png")
    deep("I;16").save(folder / "grey16.png")
    deep("I;16").save(folder / "grey16.tif")
    deep("F").save(folder / "float.tif")
    clear = colour.convert("RGBA")
    clear.putalpha(Image.fromarray(np.where(pixels > 128, 255, 0).astype(np.uint8)))
    clear.save(folder / "clear.png")
    over_white(clear).save(folder / "white.png")
    colour.save(folder / "moving.png", save_all=True, append_images=[turned.resize(colour.size)])
    return sorted(path.name for path in folder.iterdir())


def encode(folder: Path, names: list[str], store: Path) -> Features:
    rows = Rows(tuple(names), ("",) * len(names), tuple(folder / name for name in names))
    return extract_features({"train": rows}, "demo", store, modalities=["image"])


def test_embeddings_of_what_a_viewer_shows(tmp_path: Path) -> None:
    names = files(tmp_path / "images")
    features = encode(tmp_path / "images", names, tmp_path / "store")
    array = features.train["image"].astype(np.float64)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    x = dict(zip(names, array, strict=True))
    for one, other in (
        ("turned.png", "upright.png"),
        ("turned.tif", "upright.png"),
        ("plain.tif", "upright.png"),
        ("grey16.png", "grey8.png"),
        ("grey16.tif", "grey8.png"),
        ("float.tif", "grey8.png"),
        ("clear.png", "white.png"),
        ("moving.png", "upright.png"),
    ):
        assert x[one] @ x[other] == pytest.approx(1, abs=1e-6), (one, other)
    for one, other in (("lying.png", "upright.png"), ("clear.png", "upright.png")):
        assert x[one] @ x[other] < 0.995, (one, other)
    said = [
        ("2 images are turned as the EXIF orientation says (such as 'turned.png')", False),
        (
            "3 images are scaled to 8 bits a pixel, of 16 bits from 0 to 65535 (such as "
            "'float.tif')",
            True,
        ),
        ("1 image is laid over white, as they have transparency ('clear.png')", False),
        (
            "1 image is animated or of several pages, and only the first one is read "
            "('moving.png')",
            True,
        ),
    ]
    assert [(note.text, note.doubtful) for note in features.notes] == said
    again = encode(tmp_path / "images", names, tmp_path / "store")
    assert again.counts["image"].encoded == 0 and again.key == features.key
    assert again.notes == features.notes, "what is stored is known to be so"


def test_a_store_of_before_keeps_what_is_plain(
    make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    """It has the embeddings by the files' hashes, and no looks; only turned ones are made anew."""
    dataset, store = make_dataset(train=4, test=0), tmp_path / "store"
    assert dataset.train.images is not None
    plain = extract_features(parts_of(dataset), "demo", store, modalities=["image"])
    shutil.rmtree(store / "image_looks")
    again = extract_features(parts_of(dataset), "demo", store, modalities=["image"])
    assert again.key == plain.key and again.counts["image"].encoded == 0
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(dataset.train.images[1]) as image:
        image.save(dataset.train.images[1], exif=exif)
    turned = extract_features(parts_of(dataset), "demo", store, modalities=["image"])
    assert turned.counts["image"].encoded == 1
    assert seen_key(b"hash", Look.PLAIN) == seen_key(b"hash", Look.MOVING) == b"hash"
    assert seen_key(b"hash", Look.TURNED) != seen_key(b"hash", Look.DEEP)


def test_floats_that_can_not_be_scaled_are_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.array([[-3.0, 4.0]], dtype=np.float32)).save(tmp_path / "images/heights.tif")
    with pytest.raises(InputError, match=r"heights\.tif' can't be decoded: its values go from -3"):
        encode(tmp_path / "images", ["heights.tif"], tmp_path / "store")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "I", "F"])
def test_large_pictures_come_out_as_if_they_were_converted_at_once(mode: str) -> None:
    """They are converted tile by tile, with the same bits."""
    rng = np.random.default_rng(0)
    size = (1500, 1100)
    if mode in ("RGBA", "LA"):
        bands = rng.integers(0, 256, (*size[::-1], len(mode)), np.uint8)
        image = Image.fromarray(bands, mode)
    elif mode == "P":
        image = Image.fromarray(rng.integers(0, 256, size[::-1], np.uint8)).convert("P")
        image.info["transparency"] = bytes(rng.integers(0, 256, 256).tolist())
    else:
        image = Image.fromarray(rng.integers(0, 60_000, size[::-1]).astype(np.int32))
        image = image.convert(mode)
    if mode in ("RGBA", "LA", "P"):
        whole = image.convert("RGBA")
        expected = Image.alpha_composite(Image.new("RGBA", size, "white"), whole).convert("RGB")
        found = over_white(image)
    else:
        values = np.asarray(image).astype(np.float64)
        expected = Image.fromarray(np.floor(values * (255 / 65535) + 0.5).astype(np.uint8))
        found = eight_bits(image)
    assert found.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
