"""From a table to the rows of a part: their names, images, captions, labels, and their split."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hpo.data._columns import Columns, as_list
from hpo.data._embedded import EmbeddedImage
from hpo.data._label_doubts import MISSING_WORDS
from hpo.data._label_lists import looks_like_list, parse_list
from hpo.data._label_values import is_missing
from hpo.data._problems import Problems
from hpo.data._rows import Rows
from hpo.data._table import Table
from hpo.data._text_doubts import text_notes
from hpo.notes import Note

__all__ = [
    "SPLIT_VALUES",
    "CaptionRule",
    "ReadOptions",
    "TablePart",
    "part_notes",
    "part_of",
    "parts_in",
]

SPLIT_VALUES = ("train", "val", "test")
_LOOKED_AT = 1000  # cells, of which one must be a list for all to be looked at
_PRINTED = re.compile(r"b(?P<quote>['\"]).*(?P=quote)|[\[{(]\s*['\"{].*[\]})]", re.DOTALL)
_ROUNDED = re.compile(r"\d[.,]\d+[eE]\+\d+")
_CALLED = {
    **{name: name for name in SPLIT_VALUES},
    **dict.fromkeys(("valid", "validation", "dev"), "val"),
    "training": "train",
    "testing": "test",
}
CaptionRule = Literal["mean", "first", "each"]


@dataclass(frozen=True)
class ReadOptions:
    """How tables are read, as far as it isn't guessed.

    Attributes:
        columns: Which columns are what, by ``image``, ``caption``, ``labels``, ``split``, ``id``.
        captions: What several captions of a picture mean: the ``mean`` of their embeddings, the
            ``first`` alone, or a row for ``each``; None where nothing was said.
        unpack: Where to write images that stand in a table themselves.
        optional: ``images`` or ``captions``, if nothing reads them and rows may lack them.
        encodes: Whether captions are to be encoded, rather than only compared with names.
        skip_test: Leave tables of rows to predict alone.
    """

    columns: Mapping[str, Any] = field(default_factory=dict)
    captions: CaptionRule | None = None
    unpack: Path | None = None
    optional: tuple[str, ...] = ()
    encodes: bool = True
    skip_test: bool = False


@dataclass(frozen=True)
class TablePart:
    """The rows of a table, and what its cells say of them.

    Attributes:
        rows: Their names; captions and images are not in there yet.
        pictures: For each row what its image cell says; None without such a column.
        captions: For each row its captions, without empty ones; None without such a column.
        labels: For each row its label cell, or a tuple of those of all classes; None likewise.
        split: For each row its part, ``train``, ``val`` or ``test``; None likewise.
        used: The columns.
        named: Whether the table names its rows; otherwise their numbers do.
        class_names: What the numbers in the label cells stand for; empty if they are labels.
    """

    rows: Rows
    pictures: Sequence[str | EmbeddedImage] | None
    captions: Sequence[Sequence[str]] | None
    labels: Sequence[Any] | None
    split: Sequence[str] | None
    used: Columns
    named: bool
    class_names: tuple[str, ...] = ()

    @property
    def pictured(self) -> Sequence[object]:
        """What tells the picture of a row from others: what its image cell says, or its name."""
        if self.pictures is None or any(isinstance(one, EmbeddedImage) for one in self.pictures):
            return self.rows.ids
        return self.pictures


def part_of(
    table: Table,
    used: Columns,
    problems: Problems,
    *,
    index: Sequence[Any] | None = None,
    first: int = 0,
) -> TablePart | None:
    """Read the cells of a table; None if any names no row and no image.

    Args:
        table: The table.
        used: Its columns.
        problems: Takes what is wrong.
        index: Names of the rows, if no column has them; None numbers them.
        first: The number of the first row.
    """
    bare = Rows(("",) * len(table), ("",) * len(table), None, table.lines, table.name)
    pictures = None
    faults: list[str] = []
    if used.image is not None:
        pictures = [
            cell if isinstance(cell, EmbeddedImage) else _name(cell, bare, row, "image", faults)
            for row, cell in enumerate(table.columns[used.image])
        ]
    numbers = [str(first + row) for row in range(len(table))] if index is None else index
    named = True
    if used.name is None:
        names: Sequence[Any] = numbers
        named = index is not None
    elif used.id is None and pictures and any(isinstance(p, EmbeddedImage) for p in pictures):
        names = [one.name if isinstance(one, EmbeddedImage) else one for one in pictures]
        if not all(names) or len(set(names)) < len(names):
            names, named = numbers, False
    elif used.id is None:
        names = pictures or []
    else:
        names = table.columns[used.name]
    kind = "id" if used.id is not None else "image"
    ids = tuple(_name(cell, bare, row, kind, faults) for row, cell in enumerate(names))
    if faults:
        problems.add(faults)
        return None
    labels: Sequence[Any] | None = None
    if isinstance(used.labels, tuple):
        labels = list(zip(*(table.columns[name] for name in used.labels), strict=True))
    elif used.labels is not None:
        labels = table.columns[used.labels]
    return TablePart(
        rows=Rows(ids, bare.captions, None, table.lines, table.name),
        pictures=pictures,
        captions=_captions(table, used, bare, problems),
        labels=labels,
        split=_split(table, used, bare, problems),
        used=used,
        named=named,
        class_names=table.class_names.get(used.labels, ()),
    )


def part_notes(part: TablePart, table: Table) -> list[Note]:
    """Say which names and captions look like something else than was meant, or were converted.

    Args:
        part: The rows.
        table: What they were read from.
    """
    columns = as_list(part.used.caption) if part.used.caption is not None else []
    notes = [
        Note(f"{table.name}: the {column} column has lists of captions as text", doubtful=False)
        for column in columns
        if caption_lists(table.columns[column]) is not None
    ]
    rounded = [name for name in part.rows.ids if _ROUNDED.fullmatch(name)]
    if rounded:
        notes.append(
            Note(
                f"{part.rows.source}: {len(rounded):,} names such as '{rounded[0]}' look like "
                "numbers that a spreadsheet has rounded"
            )
        )
    printed = [
        text
        for texts in part.captions or ()
        for text in texts
        if text[-1] in "'\"]})" and _PRINTED.fullmatch(text)
    ]
    if printed:
        notes.append(
            Note(
                f"{part.rows.source}: {len(printed):,} captions look like values that a program "
                f"printed, such as {_shown(printed[0])}, and are read as such; write the bare text"
            )
        )
    empty = sum(not any(map(str.strip, texts)) for texts in part.captions or ())
    if empty:
        said = f"{part.rows.source}: {empty:,} of {len(part.rows):,} rows have no caption"
        notes.append(Note(said, doubtful=False))
    captions = [text for texts in part.captions or () for text in texts]
    texts = [*part.rows.ids, *captions, *(text for cell in part.labels or () for text in _in(cell))]
    notes += text_notes(part.rows.source, texts, captions)
    missing = [text for texts in part.captions or () for text in texts if text in MISSING_WORDS]
    if missing:
        notes.append(
            Note(
                f"{part.rows.source}: {len(missing):,} captions say '{missing[0]}', and are read "
                "as such; leave them empty if there is none"
            )
        )
    return notes


def _in(cell: Any) -> Sequence[str]:
    """Return the texts of a label cell: itself, or those of its list."""
    if isinstance(cell, str):
        return (cell,)
    many = isinstance(cell, list | tuple | set | frozenset)
    return [one for one in cell if isinstance(one, str)] if many else ()


def _name(cell: Any, rows: Rows, row: int, kind: str, faults: list[str]) -> str:
    """Return a name or a path as text; an empty one if there is none, or after saying why not."""
    if type(cell) is str:
        return cell
    if is_missing(cell):
        return ""
    if isinstance(cell, str | os.PathLike | Integral) and not isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, list | tuple | np.ndarray) and len(cell) == 1:
        return _name(cell[0], rows, row, kind, faults)
    if isinstance(cell, dict) and isinstance(cell.get("path"), str):
        return str(cell["path"])  # an image as ``datasets`` writes it into JSON
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # pandas makes integers beside a missing value floats
    faults.append(f"{rows.place(row)}: the {kind} is {_shown(cell)}, but must be a path")
    return ""


def _captions(
    table: Table, used: Columns, rows: Rows, problems: Problems
) -> list[list[str]] | None:
    """Return the captions of each row, without empty ones."""
    if used.caption is None:
        return None
    found: list[list[str]] = [[] for _ in range(len(table))]
    faults = []
    for column in as_list(used.caption):
        cells = table.columns[column]
        for row, cell in enumerate(caption_lists(cells) or cells):
            if type(cell) is str:
                if cell:
                    found[row].append(cell)
                continue
            several = list(cell) if isinstance(cell, list | tuple | np.ndarray) else [cell]
            wrong = [one for one in several if not isinstance(one, str) and not is_missing(one)]
            if wrong:
                faults.append(
                    f"{rows.place(row)}: the caption is {_shown(wrong[0])}, but must be text"
                )
            found[row] += [text for text in several if isinstance(text, str) and text]
    problems.add(faults)
    return found


def caption_lists(cells: Sequence[Any]) -> list[list[str]] | None:
    """Return captions that are lists in JSON's or Python's spelling, as pandas writes them.

    Returns:
        None unless every cell that isn't empty is such a list, of texts alone.
    """
    if not any(type(cell) is str and looks_like_list(cell) for cell in cells[:_LOOKED_AT]):
        return None
    found: list[list[str]] = []
    for cell in cells:
        if not isinstance(cell, str) or not looks_like_list(cell):
            if is_missing(cell) or cell == "":
                found.append([])
                continue
            return None
        try:
            texts = parse_list(cell)
        except ValueError:
            return None
        if not all(isinstance(text, str) or text is None for text in texts):
            return None
        found.append([text for text in texts if text])
    return found


def parts_in(cells: Sequence[Any]) -> bool:
    """Say whether the cells of a column are names of parts, more than one."""
    words = set()
    for cell in cells:
        word = cell.strip().lower() if isinstance(cell, str) else ""
        if word not in _CALLED:
            return False
        words.add(word)
    return len(words) > 1


def _split(table: Table, used: Columns, rows: Rows, problems: Problems) -> tuple[str, ...] | None:
    if used.split is None:
        return None
    cells = table.columns[used.split]
    column = [_CALLED.get(str(cell).strip().lower()) for cell in cells]
    said = ["empty" if is_missing(cell) or cell == "" else f"'{cell}'" for cell in cells]
    problems.add(
        f"{rows.place(row)}: {used.split} is {said[row]}, but must be 'train', 'val' or 'test'"
        for row, part in enumerate(column)
        if part is None
    )
    return tuple(part or "train" for part in column)


def _shown(cell: object) -> str:
    text = " ".join(repr(cell).split())  # of an array in one line
    return text if len(text) < 60 else f"{text[:57]}..."
