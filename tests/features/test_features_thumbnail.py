"""Thumbnails show what a viewer shows, and nothing of what can't be decoded."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from hpo.features import thumbnail


def opened(content: bytes | None) -> Image.Image:
    assert content is not None
    image = Image.open(io.BytesIO(content))
    assert image.format == "JPEG"
    return image.convert("RGB")


def test_it_is_small_and_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (400, 200), "red")
    picture.paste("blue", (200, 0, 400, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    picture.save(tmp_path / "a.jpg", exif=exif)
    small = opened(thumbnail(tmp_path / "a.jpg", 100))
    assert small.size == (50, 100)
    for place, expected in (((25, 10), (255, 0, 0)), ((25, 90), (0, 0, 255))):
        pixel = np.array(small.getpixel(place), dtype=int)
        assert np.abs(pixel - expected).max() < 30


def test_deep_grey_is_not_white(tmp_path: Path) -> None:
    values = np.full((20, 20), 32768, dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    pixel = np.array(opened(thumbnail(tmp_path / "a.png", 160)).getpixel((10, 10)), dtype=int)
    assert np.abs(pixel - 128).max() <= 2


def test_what_can_t_be_decoded_is_none(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "drawing.jpg").write_text("<svg></svg>")
    whole = io.BytesIO()
    Image.new("RGB", (200, 200), "red").save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:400])
    for name in ("text.jpg", "drawing.jpg", "cut.jpg", "absent.jpg"):
        assert thumbnail(tmp_path / name, 160) is None
    assert thumbnail(tmp_path, 160) is None
