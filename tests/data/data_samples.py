"""Four rows with images, captions and labels, and what tests of data folders do with them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from hpo.data import Dataset, ReadOptions, load_dataset, parse_columns
from hpo.errors import InputError
from hpo.notes import Note

NAMES = ("0.png", "1.png", "2.png", "3.png")
CAPTIONS = ('a "red" ball', "two, or three", "été\tat sea", "last")
LABELS = (["cat", "dog"], ["dog"], ["bird"], [])
CLASSES = ("bird", "cat", "dog")
MATRIX = [[0, 1, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]]


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write_images(folder: Path, names: Sequence[str] = NAMES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for shade, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(shade))


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns or {"image": NAMES, "caption": CAPTIONS, "labels": LABELS})


def one_hot() -> pd.DataFrame:
    bits = {name: [row[k] for row in MATRIX] for k, name in enumerate(CLASSES)}
    return pd.DataFrame({"filename": NAMES, "text": CAPTIONS, **bits})


def texts(labels: Sequence[Sequence[str]] = LABELS) -> list[str]:
    return [" ".join(row) for row in labels]


def read(folder: Path, columns: str = "", **options: Any) -> Dataset:
    given = parse_columns(columns) if columns else {}
    reading = ReadOptions(columns=given, unpack=folder / "cache", **options)
    return load_dataset(folder, options=reading)


def problems_of(folder: Path, columns: str = "", **options: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(folder, columns, **options)
    return caught.value.problems


def said(dataset: Dataset) -> list[Note]:
    """The notes, but for those about classes."""
    about = ("have no label", "is on every row", "more classes (")
    return [note for note in dataset.notes if not any(text in str(note) for text in about)]


def notes(dataset: Dataset) -> list[str]:
    return [str(note) for note in said(dataset)]
