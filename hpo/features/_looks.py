"""What a picture is besides 8-bit pixels, and what is done to it so that it is seen as by a viewer.

Pictures are turned as their EXIF orientation says, deeper pixels are scaled to 8 bits, and
transparency is laid over white. Such pictures have another content key than their bytes alone, see
``seen_key``, so that embeddings of all others stay as they are stored.
"""

from collections.abc import Iterable, Mapping
from enum import IntFlag
from pathlib import Path

import numpy as np
from PIL import Image

from hpo.features._chunks import ChunkStore, ChunkWriter
from hpo.features._hashes import hash_bytes
from hpo.notes import Note

__all__ = [
    "Look",
    "Looks",
    "eight_bits",
    "look_at",
    "look_notes",
    "over_white",
    "seen_key",
    "turn_of",
]

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
_VERSION = b"seen as by a viewer, 1\0"


class Look(IntFlag):
    """What the header of an image file says."""

    PLAIN = 0
    TURNED = 1
    DEEP = 2
    CLEAR = 4
    MOVING = 8
    CMYK = 16


_CHANGED = Look.TURNED | Look.DEEP | Look.CLEAR


class Looks:
    """The looks of image files by their content, remembered in the cache.

    Args:
        store: The folder of the cache.
    """

    def __init__(self, store: Path) -> None:
        chunks = ChunkStore(store / "image_looks")
        self._values = {content: Look(int(row[0])) for content, row in chunks.items()}
        self._writer = ChunkWriter(chunks)

    def known(self, content: bytes) -> Look | None:
        """Return the look of a file with this hash; None if it was never opened."""
        return self._values.get(content)

    def remember(self, content: bytes, look: Look) -> None:
        """Keep the look of a file with this hash."""
        if content not in self._values:
            self._values[content] = look
            self._writer.add([content], np.array([[look]], dtype=np.uint8))

    def flush(self) -> None:
        """Store what is remembered since the last time."""
        self._writer.flush()


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
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= 65535:
        raise ValueError(
            f"its values go from {low:g} to {high:g}, which says nothing of black and white; save "
            "it with 8 bits a pixel"
        )
    white = 65535.0
    if ";16" not in image.mode and high <= 255:
        white = 1.0 if image.mode == "F" and high <= 1 else 255.0
    return Image.fromarray(np.floor(values * (255 / white) + 0.5).astype(np.uint8))


def over_white(image: Image.Image) -> Image.Image:
    """Return an image laid over white where it is transparent; an opaque one as it is."""
    if image.mode not in _CLEAR_MODES and "transparency" not in image.info:
        return image
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def seen_key(content: bytes, look: Look) -> bytes:
    """Return the key of a picture: the hash of its bytes, or another one where more is done."""
    changed = look & _CHANGED
    return hash_bytes(_VERSION + bytes([changed]) + content) if changed else content


_SAID = {
    Look.TURNED: ("{} turned as the EXIF orientation says", False),
    Look.DEEP: ("{} scaled to 8 bits a pixel, of 16 bits from 0 to 65535", True),
    Look.CLEAR: ("{} laid over white, as they have transparency", False),
    Look.MOVING: ("{} animated or of several pages, and only the first one is read", True),
    Look.CMYK: ("{} converted from CMYK without a colour profile", True),
}


def look_notes(looks: Mapping[Path, Look], paths: Iterable[Path]) -> list[Note]:
    """Say how many images something is done to, one line for each kind.

    Args:
        looks: The looks of all files.
        paths: The file of each row.
    """
    notes = []
    rows = [path for path in paths if looks.get(path)]
    for look, (text, doubtful) in _SAID.items():
        those = [path for path in rows if looks[path] & look]
        if those:
            count = f"{len(those):,} image{' is' if len(those) == 1 else 's are'}"
            example = "" if len(those) == 1 else "such as "
            notes.append(Note(f"{text.format(count)} ({example}'{those[0].name}')", doubtful))
    return notes
