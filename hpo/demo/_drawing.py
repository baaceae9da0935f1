"""Pictures of the demo: flat drawings of objects on a ground, with clutter, light and grain.

Everything is drawn at twice the final size and halved, which smooths the edges.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hpo.demo._kinds import KINDS, SETTINGS, Kind

__all__ = ["IMAGE_SIZE", "Placed", "draw"]

IMAGE_SIZE = 64  # px, both sides
_CANVAS = 2 * IMAGE_SIZE
_NOISE = 9.0  # standard deviation of the grain, in levels of 0..255
_COLOUR_JITTER = 22  # most that a channel of a part's colour moves, in levels


class Placed(NamedTuple):
    """One object in a picture; an occluded one has a piece of clutter in front of it."""

    kind: str
    occluded: bool


def draw(setting: str, objects: Sequence[Placed], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the picture of ``objects``, the first one farthest back.

    Args:
        setting: A key of `SETTINGS`.
        objects: What to draw; two objects may overlap by chance.
        rng: Decides places, sizes, colours, clutter and grain.

    Returns:
        RGB levels 0..255, [IMAGE_SIZE, IMAGE_SIZE, 3].
    """
    place = SETTINGS[setting]
    image = Image.new("RGB", (_CANVAS, _CANVAS), _jitter(place.above, rng))
    pen = ImageDraw.Draw(image)
    horizon = _CANVAS * float(rng.uniform(0.35, 0.6))
    pen.rectangle((0, horizon, _CANVAS, _CANVAS), fill=_jitter(place.ground, rng))
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, _CANVAS), rng.uniform(horizon - 30, _CANVAS)
        _clutter(pen, place.clutter, float(x), float(y), float(rng.uniform(6, 16)), rng)
    for kind, occluded in objects:
        _object(pen, KINDS[kind], occluded, place.clutter, rng)
    pixels = np.asarray(image.reduce(2), dtype=np.float32)
    grain = rng.standard_normal((IMAGE_SIZE, IMAGE_SIZE, 1), dtype=np.float32) * _NOISE
    light = rng.uniform(0.75, 1.15)
    return np.clip(pixels * np.float32(light) + grain, 0, 255).astype(np.uint8)


def _object(
    pen: ImageDraw.ImageDraw, kind: Kind, occluded: bool, clutter: str, rng: np.random.Generator
) -> None:
    half = 2 * kind.half_side * float(rng.uniform(0.75, 1.25))
    x, y = (float(v) for v in rng.uniform(min(half, 60), _CANVAS - min(half, 60), size=2))
    mirror = 1 if rng.random() < 0.5 else -1
    main = kind.colours[int(rng.integers(len(kind.colours)))]
    for shape, colour, coordinates in kind.parts:
        fill = _jitter(main if colour == "main" else colour, rng)
        xs = [x + mirror * half * value for value in coordinates[0::2]]
        ys = [y + half * value for value in coordinates[1::2]]
        _part(pen, shape, fill, xs, ys, max(2, round(half * 0.16)))
    if occluded:
        _clutter(pen, clutter, x, y, half * 0.9, rng)


def _part(
    pen: ImageDraw.ImageDraw,
    shape: str,
    fill: tuple[int, int, int],
    xs: list[float],
    ys: list[float],
    width: int,
) -> None:
    box = (min(xs), min(ys), max(xs), max(ys))
    if shape == "ellipse":
        pen.ellipse(box, fill=fill)
    elif shape == "ring":
        pen.ellipse(box, outline=fill, width=width)
    elif shape == "box":
        pen.rectangle(box, fill=fill)
    elif shape == "pie":
        pen.pieslice(box, 180, 360, fill=fill)
    elif shape == "polygon":
        pen.polygon(list(zip(xs, ys, strict=True)), fill=fill)
    else:
        assert shape == "line", shape
        pen.line(list(zip(xs, ys, strict=True)), fill=fill, width=width)


def _clutter(
    pen: ImageDraw.ImageDraw,
    colour: str,
    x: float,
    y: float,
    half: float,
    rng: np.random.Generator,
) -> None:
    """Draw a blob or a block of the setting's own clutter (a bush, a crate, a rock)."""
    box = (x - half, y - half, x + half, y + half)
    fill = _jitter(colour, rng)
    if rng.random() < 0.5:
        pen.ellipse(box, fill=fill)
    else:
        pen.rectangle(box, fill=fill)


def _jitter(colour: str, rng: np.random.Generator) -> tuple[int, int, int]:
    moves = rng.integers(-_COLOUR_JITTER, _COLOUR_JITTER + 1, size=3)
    levels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    red, green, blue = (
        min(255, max(0, level + int(move))) for level, move in zip(levels, moves, strict=True)
    )
    return red, green, blue
