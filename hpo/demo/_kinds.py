"""What the demo's pictures are made of: 18 kinds of objects and four settings, as tables.

An object is a table of parts in its own coordinates (x to the right, y downwards, both within
-1..1), so that a kind is added by adding a row here, a rate and phrases in `_demo_scenes`.
"""

from typing import NamedTuple

__all__ = ["KINDS", "SETTINGS", "Kind", "Part", "Setting"]

Part = tuple[str, str, tuple[float, ...]]  # shape, colour ("main" or #rrggbb), coordinates


class Kind(NamedTuple):
    """How one class of object looks: half its side in px of the final image, and its parts."""

    half_side: float
    colours: tuple[str, ...]
    parts: tuple[Part, ...]


class Setting(NamedTuple):
    """Where a scene takes place: share of all scenes, colours, and what is common there."""

    share: float
    above: str
    ground: str
    clutter: str
    common: frozenset[str]


SETTINGS: dict[str, Setting] = {
    "street": Setting(
        0.34, "#b9c4d2", "#77777c", "#8a6f5c", frozenset(("car", "bus", "bicycle", "clock"))
    ),
    "home": Setting(
        0.26, "#e6d6b8", "#b58a5f", "#9a8fb0", frozenset(("chair", "cat", "bottle", "clock"))
    ),
    "field": Setting(
        0.24, "#9fc9ee", "#7fae55", "#4d7a3d", frozenset(("dog", "horse", "zebra", "giraffe"))
    ),
    "shore": Setting(
        0.16, "#bfe3f2", "#4a86b5", "#c9b98a", frozenset(("boat", "bird", "kite", "umbrella"))
    ),
}

_WHEEL = "#202020"
_GLASS = "#cfe8f5"
_HOOFED: tuple[Part, ...] = (
    ("ellipse", "main", (-0.7, -0.2, 0.5, 0.4)),
    ("polygon", "main", (0.2, 0.1, 0.5, 0.1, 0.9, -0.6, 0.6, -0.8)),
    ("ellipse", "main", (0.55, -0.9, 1.0, -0.5)),
    ("line", "main", (-0.55, 0.2, -0.55, 1.0)),
    ("line", "main", (-0.25, 0.3, -0.25, 1.0)),
    ("line", "main", (0.1, 0.3, 0.1, 1.0)),
    ("line", "main", (0.35, 0.2, 0.35, 1.0)),
)

KINDS: dict[str, Kind] = {
    "person": Kind(
        12,
        ("#c23b3b", "#2f5fb3", "#3f8f4f", "#d8b13a", "#7b4a9c", "#e8e8e8"),
        (
            ("ellipse", "#e0ac86", (-0.25, -1.0, 0.25, -0.5)),
            ("box", "main", (-0.38, -0.5, 0.38, 0.3)),
            ("box", "#2c2c40", (-0.32, 0.3, -0.05, 1.0)),
            ("box", "#2c2c40", (0.05, 0.3, 0.32, 1.0)),
        ),
    ),
    "car": Kind(
        12,
        ("#b02a2a", "#2a4fb0", "#e8e8ea", "#3a3a3a"),
        (
            (
                "polygon",
                "main",
                (-1, 0.4, -1, 0, -0.6, 0, -0.35, -0.45, 0.35, -0.45, 0.6, 0, 1, 0.4),
            ),
            ("polygon", _GLASS, (-0.45, 0, -0.28, -0.35, 0.28, -0.35, 0.45, 0)),
            ("ellipse", _WHEEL, (-0.75, 0.15, -0.25, 0.65)),
            ("ellipse", _WHEEL, (0.25, 0.15, 0.75, 0.65)),
        ),
    ),
    "chair": Kind(
        9,
        ("#7a4a22", "#8c5a2c"),
        (
            ("box", "main", (-0.6, -1.0, -0.35, 0.1)),
            ("box", "main", (-0.6, 0.0, 0.6, 0.25)),
            ("line", "main", (-0.5, 0.2, -0.5, 1.0)),
            ("line", "main", (0.5, 0.2, 0.5, 1.0)),
        ),
    ),
    "dog": Kind(
        9,
        ("#a8713d", "#5a3d25", "#d9b98a"),
        (
            ("ellipse", "main", (-0.7, -0.1, 0.5, 0.5)),
            ("ellipse", "main", (0.3, -0.6, 0.95, 0.1)),
            ("ellipse", "#3a2616", (0.3, -0.6, 0.5, -0.05)),
            ("line", "main", (-0.65, 0.1, -1.0, -0.4)),
            ("line", "main", (-0.5, 0.4, -0.5, 0.9)),
            ("line", "main", (0.3, 0.4, 0.3, 0.9)),
        ),
    ),
    "bottle": Kind(
        8,
        ("#1f7a3c", "#2c9a4c"),
        (
            ("box", "main", (-0.35, -0.3, 0.35, 1.0)),
            ("box", "main", (-0.13, -1.0, 0.13, -0.3)),
            ("box", "#f4f0d8", (-0.35, 0.1, 0.35, 0.6)),
        ),
    ),
    "boat": Kind(
        12,
        ("#8c2f2f", "#27305c"),
        (
            ("polygon", "main", (-1, 0.3, 1, 0.3, 0.6, 0.8, -0.6, 0.8)),
            ("line", "#5a4632", (0, 0.3, 0, -1)),
            ("polygon", "#fafafa", (0.08, -0.9, 0.08, 0.15, 0.8, 0.15)),
        ),
    ),
    "bird": Kind(
        7,
        ("#1d6fd1", "#e0483a"),
        (
            ("ellipse", "main", (-0.7, -0.3, 0.5, 0.4)),
            ("ellipse", "main", (0.25, -0.65, 0.75, -0.1)),
            ("polygon", "#f5a623", (0.7, -0.45, 1.0, -0.35, 0.7, -0.25)),
            ("polygon", "#16324f", (-0.4, 0.0, 0.2, 0.0, -0.3, -0.9)),
        ),
    ),
    "cat": Kind(
        8,
        ("#8d8d93", "#e39a4a"),
        (
            ("ellipse", "main", (-0.45, -0.1, 0.45, 1.0)),
            ("ellipse", "main", (-0.4, -0.75, 0.4, 0.0)),
            ("polygon", "main", (-0.4, -0.4, -0.35, -1.0, -0.05, -0.65)),
            ("polygon", "main", (0.4, -0.4, 0.35, -1.0, 0.05, -0.65)),
            ("line", "main", (0.35, 0.8, 0.95, 0.2)),
        ),
    ),
    "bicycle": Kind(
        10,
        ("#d12f7a", "#e06a1b"),
        (
            ("ring", _WHEEL, (-1.0, -0.1, -0.1, 0.8)),
            ("ring", _WHEEL, (0.1, -0.1, 1.0, 0.8)),
            ("line", "main", (-0.55, 0.35, -0.2, -0.4, 0.4, -0.4, 0.55, 0.35)),
            ("line", "main", (-0.2, -0.4, 0.0, 0.35, 0.4, -0.4)),
        ),
    ),
    "umbrella": Kind(
        10,
        ("#c733b5", "#f2d21f"),
        (
            ("pie", "main", (-1.0, -0.9, 1.0, 0.9)),
            ("line", "#3a3a3a", (0.0, 0.0, 0.0, 0.9)),
        ),
    ),
    "bus": Kind(
        14,
        ("#f0b51c", "#e5a712"),
        (
            ("box", "main", (-1.0, -0.6, 1.0, 0.45)),
            ("box", _GLASS, (-0.85, -0.4, -0.4, -0.05)),
            ("box", _GLASS, (-0.25, -0.4, 0.2, -0.05)),
            ("box", _GLASS, (0.35, -0.4, 0.8, -0.05)),
            ("ellipse", _WHEEL, (-0.75, 0.2, -0.3, 0.7)),
            ("ellipse", _WHEEL, (0.3, 0.2, 0.75, 0.7)),
        ),
    ),
    "ball": Kind(
        5,
        ("#ff5a1f", "#ff7a2f"),
        (
            ("ellipse", "main", (-1.0, -1.0, 1.0, 1.0)),
            ("line", "#2a1a10", (-0.9, 0.0, 0.9, 0.0)),
            ("line", "#2a1a10", (0.0, -0.9, 0.0, 0.9)),
        ),
    ),
    "horse": Kind(12, ("#5b2f17", "#6e3a1e"), _HOOFED),
    "kite": Kind(
        8,
        ("#e0243c", "#15b8a6"),
        (
            ("polygon", "main", (0, -1, 0.6, -0.2, 0, 0.6, -0.6, -0.2)),
            ("line", "#fff27a", (0, -1, 0, 0.6)),
            ("line", "#fff27a", (-0.6, -0.2, 0.6, -0.2)),
            ("line", "#e0243c", (0, 0.6, 0.25, 0.8, -0.05, 1.0)),
        ),
    ),
    "clock": Kind(
        7,
        ("#fdfdf6", "#f3ecd2"),
        (
            ("ellipse", "#101010", (-1.0, -1.0, 1.0, 1.0)),
            ("ellipse", "main", (-0.75, -0.75, 0.75, 0.75)),
            ("line", "#101010", (0.0, 0.0, 0.0, -0.6)),
            ("line", "#101010", (0.0, 0.0, 0.45, 0.2)),
        ),
    ),
    "train": Kind(
        15,
        ("#0f5a52", "#12705f"),
        (
            ("polygon", "main", (-1.0, 0.4, -1.0, -0.5, 0.6, -0.5, 1.0, 0.0, 1.0, 0.4)),
            ("box", "#f2f2f2", (-1.0, 0.05, 0.95, 0.2)),
            ("box", _GLASS, (-0.8, -0.35, 0.4, -0.1)),
            ("line", "#404040", (-1.0, 0.55, 1.0, 0.55)),
        ),
    ),
    "zebra": Kind(
        11,
        ("#f6f6f6",),
        (
            *_HOOFED,
            ("line", "#101010", (-0.5, -0.15, -0.5, 0.35)),
            ("line", "#101010", (-0.2, -0.2, -0.2, 0.4)),
            ("line", "#101010", (0.1, -0.2, 0.1, 0.4)),
            ("line", "#101010", (0.4, -0.1, 0.75, -0.4)),
        ),
    ),
    "giraffe": Kind(
        14,
        ("#e8c04a", "#dcb13a"),
        (
            ("ellipse", "main", (-0.6, 0.0, 0.3, 0.5)),
            ("polygon", "main", (0.0, 0.2, 0.3, 0.2, 0.6, -0.9, 0.4, -1.0)),
            ("ellipse", "main", (0.35, -1.0, 0.85, -0.75)),
            ("line", "main", (-0.45, 0.4, -0.45, 1.0)),
            ("line", "main", (0.15, 0.4, 0.15, 1.0)),
            ("ellipse", "#8a5a1c", (-0.4, 0.1, -0.2, 0.3)),
            ("ellipse", "#8a5a1c", (-0.1, 0.15, 0.1, 0.35)),
            ("ellipse", "#8a5a1c", (0.2, -0.3, 0.4, -0.1)),
            ("ellipse", "#8a5a1c", (0.32, -0.7, 0.5, -0.5)),
        ),
    ),
}
