"""One part of a data set: ids, captions and image paths of its rows, and where each row is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["NOT_UTF8", "Rows", "check_ids", "is_utf8", "join_rows", "take_rows"]

NOT_UTF8 = "has half of a character, which can't be written as UTF-8"
"""What is said of a name that is none of ``is_utf8``."""


@dataclass(frozen=True)
class Rows:
    """One part of a data set, in the order of its source.

    Attributes:
        ids: The ImageID of each row, as written.
        captions: The caption of each row, whole and as written; it may be empty.
        images: The path of each row's image, or None if the images were not asked for.
        lines: The line of the file on which each row begins, for messages; empty if unknown.
        table: What the rows were read from, for messages, such as ``train.csv``; empty if unknown.
        numbers: The place of each row in its source, where some were left out; empty if none was.
        further: For each row the captions beside the first one, whose embeddings are averaged;
            empty if no row has several.
        places: Where each row is, for messages, if the rows come from several sources; else empty.
    """

    ids: tuple[str, ...]
    captions: tuple[str, ...]
    images: tuple[Path, ...] | None
    lines: tuple[int, ...] = ()
    table: str = ""
    numbers: tuple[int, ...] = ()
    further: tuple[tuple[str, ...], ...] = ()
    places: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def source(self) -> str:
        """What the rows are called in messages."""
        return self.table or "the data"

    def place(self, index: int) -> str:
        """Return where a row is, for messages: ``train.csv line 7``, ``row 5 of the frame``."""
        if self.places:
            return self.places[index]
        if self.lines:
            return f"{self.source} line {self.lines[index]}"
        return f"row {self.numbers[index] if self.numbers else index} of {self.source}"


def take_rows(rows: Rows, mask: np.ndarray) -> Rows:
    """Return the rows whose ``mask``, bool [N], is True."""
    kept = np.flatnonzero(mask).tolist()
    return Rows(
        ids=tuple(rows.ids[index] for index in kept),
        captions=tuple(rows.captions[index] for index in kept),
        images=None if rows.images is None else tuple(rows.images[index] for index in kept),
        lines=tuple(rows.lines[index] for index in kept) if rows.lines else (),
        table=rows.table,
        numbers=tuple(rows.numbers[index] if rows.numbers else index for index in kept),
        further=tuple(rows.further[index] for index in kept) if rows.further else (),
        places=tuple(rows.places[index] for index in kept) if rows.places else (),
    )


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Return the rows of one or several sources, one after the other."""
    if len(parts) == 1:
        return parts[0]
    images: list[Path] = []
    for rows in parts:
        images += rows.images or ()
    averaged = any(rows.further for rows in parts)
    return Rows(
        ids=tuple(name for rows in parts for name in rows.ids),
        captions=tuple(caption for rows in parts for caption in rows.captions),
        images=None if parts[0].images is None else tuple(images),
        table=" and ".join(rows.source for rows in parts),
        further=tuple(captions for rows in parts for captions in rows.further or ((),) * len(rows))
        if averaged
        else (),
        places=tuple(rows.place(index) for rows in parts for index in range(len(rows))),
    )


def is_utf8(text: str) -> bool:
    """Say whether a text can be written, which half of a character that JSON names can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_ids(parts: Sequence[Rows]) -> tuple[list[str], list[str]]:
    """Say which ImageIDs are empty or no text, and which are on two rows, of one part or of two."""
    first: dict[str, str] = {}
    empty, twice = [], []
    for rows in parts:
        for index, image_id in enumerate(rows.ids):
            if not image_id.strip():
                empty.append(f"{rows.place(index)}: the ImageID is empty")
            elif not is_utf8(image_id):
                empty.append(f"{rows.place(index)}: ImageID {image_id!r} {NOT_UTF8}")
            elif image_id in first:
                here = rows.place(index)
                twice.append(f"{here}: ImageID '{image_id}' is on {first[image_id]} already")
            else:
                first[image_id] = rows.place(index)
    return empty, twice
