"""Pictures as a viewer shows them: upright, with 8 bits a pixel, over white.

They are turned as their EXIF orientation says, deeper pixels are scaled to 8 bits, and transparency
is laid over white. A change here needs another version in ``hpo/features/_looks.py``. Pixels are
converted tile by tile, so that a large picture is in memory twice and no more.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from hpo.features._looks import Look

__all__ = ["eight_bits", "look_at", "over_white", "turn_of"]

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WITH_FRAMES = ("GIF", "PNG", "WEBP", "TIFF")
_CLEAR_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
_TILE = 1024


def look_at(image: Image.Image) -> Look:
    """Say what an image is that was opened but not loaded."""
    look = Look.PLAIN
    if turn_of(image) is not None:
        look |= Look.TURNED
    if image.mode == "F" or image.mode.startswith("I"):
        look |= Look.DEEP
    if image.mode in _CLEAR_MODES or "transparency" in image.info:
        look |= Look.CLEAR
    if image.format in _WITH_FRAMES and getattr(image, "is_animated", False):
        look |= Look.MOVING
    if image.mode == "CMYK":
        look |= Look.CMYK
    return look


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Return how to turn an image so that it is upright; None if it is."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # Pillow raises nearly anything on damaged EXIF, which viewers pass over
        return None


def eight_bits(image: Image.Image) -> Image.Image:
    """Return a grey image with deeper pixels as 8 bits each; any other one as it is.

    16 bits are scaled from 0 to 65535. Integers of 32 bits and floats are taken for 8 bits, 16
    bits or 0 to 1, by the largest of them.

    Raises:
        ValueError: They are none of these.
    """
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    tiles = [*_tiles(image.size)]
    ranges = [(values.min(), values.max()) for values in (np.asarray(image.crop(t)) for t in tiles)]
    low, high = float(np.min(ranges)), float(np.max(ranges))
    if not 0 <= low <= high <= 65535:
        raise ValueError(
            f"its values go from {low:g} to {high:g}, which says nothing of black and white; save "
            "it with 8 bits a pixel"
        )
    white = 65535.0
    if ";16" not in image.mode and high <= 255:
        white = 1.0 if image.mode == "F" and high <= 1 else 255.0
    scaled = Image.new("L", image.size)
    for tile in tiles:
        values = np.asarray(image.crop(tile)).astype(np.float64)
        scaled.paste(Image.fromarray(np.floor(values * (255 / white) + 0.5).astype(np.uint8)), tile)
    return scaled


def over_white(image: Image.Image) -> Image.Image:
    """Return an image laid over white where it is transparent; an opaque one as it is."""
    if image.mode not in _CLEAR_MODES and "transparency" not in image.info:
        return image
    whole = Image.new("RGB", image.size)
    for tile in _tiles(image.size):
        clear = image.crop(tile).convert("RGBA")
        laid = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
        whole.paste(laid.convert("RGB"), tile)
    return whole


def _tiles(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield the boxes (left, top, right, bottom) that a picture is divided into."""
    width, height = size
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            yield left, top, min(left + _TILE, width), min(top + _TILE, height)
