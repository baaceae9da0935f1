"""Take cells of labels apart, before it is known what a piece is."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hpo.data._label_doubts import MISSING_WORDS
from hpo.data._label_lists import looks_like_list, parse_list
from hpo.data._label_pieces import label_texts
from hpo.data._labels_as import SEPARATORS, LabelsAs
from hpo.data._problems import Problems
from hpo.notes import Note

__all__ = ["Pieces", "split_cells"]

Place = Callable[[int], str]
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{2,6});")
#: Separators that hold for a column with one of them; an earlier one goes before a later one.
_UNMISTAKABLE = ("semicolons", "bars", "commas")


@dataclass
class Pieces:
    """What cells were taken apart into, before it is known what a piece is.

    Attributes:
        cells: What stands there, for messages.
        rows: The pieces of each cell.
        way: How the cells were taken apart, one of ``WAYS``.
        notes: What to know of it.
    """

    cells: Sequence[str]
    rows: list[list[str]]
    way: str
    notes: list[Note] = field(default_factory=list)


def split_cells(
    cells: Sequence[str], place: Place, column: str, problems: Problems, asked: LabelsAs
) -> Pieces:
    """Take the cells apart; the pieces have the order in which a cell has them.

    One spelling holds for the whole column. It is that of a list if all cells are lists, see
    ``_label_lists``. Otherwise one separator: ``;`` if any cell has one, else ``|`` if any has
    one, else a comma if any has one, else blanks. Names that hold blanks therefore need another
    separator on at least one row (a final one will do: ``traffic light;``). A row may have no
    label.
    """
    bare = ["" if cell.strip() in asked.no_label else cell.strip() for cell in cells]
    classes = set(asked.classes or ())
    idle = [word for word in asked.no_label if word and not any(word in cell for cell in cells)]
    lists = [looks_like_list(cell) for cell in bare]
    certain = asked.way not in ("auto", "multi-hot")
    notes = [Note(f"no row of {column} says '{word}'", doubtful=False) for word in idle]
    if asked.way == "list" or (
        not certain
        and any(lists)
        and all(
            is_list or not cell or cell in MISSING_WORDS
            for is_list, cell in zip(lists, bare, strict=True)
        )
    ):
        bare = _without_missing(bare, set(), notes, f"where other cells of {column} have lists")
        return Pieces(bare, _read_lists(bare, place, column, problems), "list", notes)
    if certain:
        way = asked.way
    else:
        marks = {name: SEPARATORS[name] or "" for name in _UNMISTAKABLE}
        found = (name for name, mark in marks.items() if any(mark in cell for cell in bare))
        way = next(found, "blanks")
        if way == "blanks" and classes and all(not cell or cell in classes for cell in bare):
            way = "one"
        if classes:
            bare = _without_missing(bare, classes, notes, "which is not among the classes")
    if way == "one":
        return Pieces(bare, [[cell] if cell else [] for cell in bare], way, notes)
    rows = [[p for part in cell.split(SEPARATORS[way]) if (p := part.strip())] for cell in bare]
    if not certain:
        problems.add(_mixed(bare, rows, way, place, column))
        problems.add(_broken(bare, rows, way, place, column))
        problems.add(_lists_among_names(bare, lists, place, column))
    return Pieces(bare, rows, way, notes)


def _without_missing(cells: list[str], classes: set[str], notes: list[Note], why: str) -> list[str]:
    """Return the cells with those empty that say in so many words that there is no value."""
    missing = [cell for cell in cells if cell in MISSING_WORDS - classes]
    if missing:
        words = ", ".join(f"'{word}'" for word in sorted(set(missing)))
        notes.append(
            Note(f"{len(missing)} rows have no label: they say {words}, {why}", doubtful=False)
        )
    return ["" if cell in MISSING_WORDS - classes else cell for cell in cells]


def _read_lists(
    cells: Sequence[str], place: Place, column: str, problems: Problems
) -> list[list[str]]:
    rows: list[list[str]] = []
    faults = []
    for index, cell in enumerate(cells):
        rows.append([])
        if not cell:
            continue
        try:
            rows[-1] = label_texts(parse_list(cell))
        except ValueError as error:
            faults.append(
                f"{place(index)}: {column} '{cell}' {error}; a list of labels is as in JSON or "
                'Python, such as ["red", "dark blue"], or as numpy prints it'
            )
    problems.add(faults)
    return rows


def _mixed(
    cells: Sequence[str], rows: Sequence[Sequence[str]], way: str, place: Place, column: str
) -> list[str]:
    """Say which cells have two separators where one holds."""
    if way == "semicolons":
        return [
            f"{place(row)}: {column} '{cell}' holds '{found}', but ';' separates the labels"
            + (" elsewhere" if found == "|" else "; write what the entity stands for")
            for row, cell in enumerate(cells)
            if (found := "|" if "|" in cell else _entity_in(cell))
        ]
    if way == "commas":
        return [
            f"{place(index)}: {column} '{cells[index]}' holds commas and blanks between numbers, "
            "but one of them must separate the labels"
            for index, row in enumerate(rows)
            if any(" " in piece and piece.replace(" ", "").isdecimal() for piece in row)
        ]
    return []


def _broken(
    cells: Sequence[str], rows: Sequence[Sequence[str]], way: str, place: Place, column: str
) -> list[str]:
    """Say which cells have line breaks that may separate labels, beside what separates them."""
    return [
        f"{place(index)}: {column} {cell!r} has a line break in it beside other separators; write "
        "';' in its place if it separates labels, or a blank if it doesn't"
        for index, cell in enumerate(cells)
        if ("\n" in cell or "\r" in cell)
        and (
            any(len(line.split()) > 1 for line in cell.splitlines())
            if way == "blanks"
            else any(len(piece.splitlines()) > 1 for piece in rows[index])
        )
    ]


def _entity_in(cell: str) -> str:
    """Return the first HTML entity in a cell, such as ``&amp;``; an empty text if there is none."""
    found = _ENTITY.search(cell)
    return found[0] if found else ""


def _lists_among_names(
    cells: Sequence[str], lists: Sequence[bool], place: Place, column: str
) -> list[str]:
    """Say which cells are lists where others aren't; a name such as ``(none)`` is no list."""
    found = []
    for index, cell in enumerate(cells):
        if lists[index]:
            try:
                parse_list(cell)
            except ValueError:
                continue
            found.append(
                f"{place(index)}: {column} '{cell}' is a list, but other cells aren't; write all "
                "in one way, or say with --labels-as that it is a name (from Python labels_as='…')"
            )
    return found
