"""Turn the labels of all rows into class names and a multi-hot matrix."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hpo.data._label_cells import Pieces, split_cells
from hpo.data._label_doubts import (
    BITS,
    MISSING_WORDS,
    doubt_about_bits,
    doubt_about_blanks,
    doubt_about_commas,
    doubt_about_digits,
    doubt_about_joining,
    doubt_about_missing,
    doubt_about_numbers,
    doubt_about_vectors,
    vector_length,
)
from hpo.data._label_notes import class_notes
from hpo.data._labels_as import LabelsAs
from hpo.data._problems import Problems
from hpo.data._rows import NOT_UTF8, is_utf8
from hpo.errors import did_you_mean
from hpo.notes import Note

__all__ = ["Labels", "encode_labels", "encode_pieces", "multi_hot"]

Place = Callable[[int], str]
_SHOWN = 5  # names of classes in a message


class Labels(NamedTuple):
    """The labels of N rows.

    Attributes:
        classes: The K class names.
        matrix: uint8 [N, K], 1 where the row has the class.
        notes: How they were read, and what looks wrong with them.
    """

    classes: tuple[str, ...]
    matrix: np.ndarray
    notes: tuple[Note, ...]


def encode_labels(
    cells: Sequence[str],
    place: Place,
    column: str,
    problems: Problems,
    asked: LabelsAs | None = None,
) -> Labels:
    """Read a column of labels that are written as text.

    Args:
        cells: The N cells of the column, as written.
        place: Says where a row is, for messages.
        column: The column's name, for messages.
        problems: Takes what is wrong, and what is doubtful.
        asked: How to read them, where their owner says it.
    """
    asked = asked or LabelsAs()
    pieces = split_cells(cells, place, column, problems, asked)
    return encode_pieces(pieces, place, column, problems, asked)


def encode_pieces(
    pieces: Pieces, place: Place, column: str, problems: Problems, asked: LabelsAs
) -> Labels:
    """Say what the pieces are, names or zeros and ones, and return the labels.

    Where they could be both, or a name could be something else, that is added to ``problems``
    with all ways to read them.
    """
    rows, classes, notes = pieces.rows, asked.classes, list(pieces.notes)
    if none := MISSING_WORDS.intersection(asked.no_label):
        rows = [[piece for piece in row if piece not in none] for row in rows]
        pieces = replace(pieces, rows=rows)
    digits = _as_digits(rows)
    if asked.way == "multi-hot":
        return _vectors(pieces, digits or rows, place, column, problems, classes)
    if asked.way == "auto":
        length = vector_length(rows)
        if classes is not None and len(classes) in (length, _common_length(digits)):
            return _vectors(pieces, digits or rows, place, column, problems, classes)
        listed = classes is not None and {p for row in rows for p in row} <= set(classes)
        if length is not None and classes is not None and not listed:
            first = next(index for index, row in enumerate(rows) if row)
            problems.add(
                f"{column} looks like vectors of {length} zeros and ones (such as "
                f"{pieces.cells[first]}, {place(first)}), but there are {len(classes)} classes "
                f"({_shown(classes)}); name {length}, or the labels themselves"
            )
            return Labels(tuple(classes), np.zeros((len(rows), len(classes)), np.uint8), ())
        if length is not None and not listed:
            problems.add(doubt_about_vectors(pieces.cells, rows, pieces.way, place, column))
        elif classes is None:
            notes += _doubts_of_names(pieces, place, column, problems)
    if classes is not None:
        known = set(classes)
        problems.add(
            f"{place(index)}: the label '{label}' is not among the classes"
            f"{did_you_mean(label, classes)}; they are {_shown(classes)}"
            for index, row in enumerate(rows)
            for label in row
            if label not in known
        )
        rows = [[label for label in row if label in known] for row in rows]
    if asked.way == "auto" and pieces.way == "commas":
        notes.append(Note(f"{column} is read as names separated by commas", doubtful=False))
    twice = [index for index, row in enumerate(rows) if len(set(row)) < len(row)]
    if twice:
        notes.append(
            Note(
                f"{len(twice)} rows name a label twice (first {place(twice[0])}: {column} is "
                f"'{pieces.cells[twice[0]]}'); it counts once"
            )
        )
    names, matrix = multi_hot(rows, classes)
    problems.add(f"the class {name!r} {NOT_UTF8}" for name in names if not is_utf8(name))
    return Labels(names, matrix, (*notes, *class_notes(names, matrix)))


def _shown(classes: Sequence[str]) -> str:
    """Return the names of classes, of many the first ones."""
    more = f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in classes[:_SHOWN]) + more


def multi_hot(
    rows: Sequence[Collection[str]], classes: Sequence[str] | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the class names and the matrix of labels.

    Args:
        rows: The labels of each row, all in ``classes`` if that is given; one that a row names
            twice counts once.
        classes: The K class names in their order; None takes those that occur, in numeric order
            if all are integers and sorted otherwise.

    Returns:
        The K class names, and uint8 [N, K], 1 where the row has the class.
    """
    names = _sort({label for row in rows for label in row}) if classes is None else tuple(classes)
    index = {label: column for column, label in enumerate(names)}
    matrix = np.zeros((len(rows), len(names)), dtype=np.uint8)
    pairs = [(row, index[label]) for row, labels in enumerate(rows) for label in labels]
    if pairs:
        matrix[tuple(np.array(pairs).T)] = 1
    return names, matrix


def _sort(names: set[str]) -> tuple[str, ...]:
    # 1, 01 and 1.0 are different names: labels go back into predictions.csv as they were.
    if all(label.removeprefix("-").isdecimal() for label in names):
        return tuple(sorted(names, key=lambda label: (int(label), label)))
    return tuple(sorted(names))


def _doubts_of_names(pieces: Pieces, place: Place, column: str, problems: Problems) -> list[Note]:
    """Add what names could be otherwise to ``problems``; return what should be known of them."""
    cells, rows, way = pieces.cells, pieces.rows, pieces.way
    problems.add(doubt_about_missing(cells, rows, way, place, column))
    doubts = [doubt_about_bits(cells, rows, way, place, column)]
    doubt, note = doubt_about_numbers(cells, rows, way, place, column)
    doubts.append(doubt)
    notes = [note]
    if way == "commas":
        notes.append(doubt_about_commas(rows))
    elif way == "blanks":
        doubt, note = doubt_about_blanks(rows, place, column)
        doubts += [doubt_about_digits(cells, place, column), doubt]
        notes += [note, doubt_about_joining(rows)]
    problems.add(doubt for doubt in doubts if doubt is not None)
    return [note for note in notes if note is not None]


def _as_digits(rows: Sequence[Sequence[str]]) -> list[list[str]] | None:
    """Return the digits of rows that are one run of zeros and ones each; None if they aren't."""
    filled = [row for row in rows if row]
    runs = all(len(row) == 1 and len(row[0]) > 1 and not set(row[0]) - {"0", "1"} for row in filled)
    return [list(row[0]) if row else [] for row in rows] if filled and runs else None


def _common_length(rows: Sequence[Sequence[str]] | None) -> int | None:
    lengths = {len(row) for row in rows or () if row}
    return lengths.pop() if len(lengths) == 1 else None


def _vectors(
    pieces: Pieces,
    rows: Sequence[Sequence[str]],
    place: Place,
    column: str,
    problems: Problems,
    classes: Sequence[str] | None,
) -> Labels:
    """Read rows of zeros and ones; an empty row has no label."""
    lengths = Counter(len(row) for row in rows if row)
    count = (
        len(classes) if classes is not None else max(lengths, key=lambda n: lengths[n], default=0)
    )
    names = tuple(classes) if classes is not None else tuple(map(str, range(count)))
    matrix = np.zeros((len(rows), count), dtype=np.uint8)
    long, wrong = [], []
    for index, row in enumerate(rows):
        shown = f"{place(index)}: {column} '{pieces.cells[index]}'"
        other = next((piece for piece in row if piece not in BITS), None)
        if other is not None:
            wrong.append(f"{shown} has {other} in it, but a vector must have 0 and 1 alone")
        elif row and len(row) != count:
            rule = "there are" if classes is not None else "most rows have"
            long.append(f"{shown} has {len(row)} numbers, but {rule} {count} classes")
        elif row:
            matrix[index] = [BITS[piece] for piece in row]
    problems.add(wrong)
    problems.add(long)
    said = f"{column} is read as vectors of {count} zeros and ones"
    if classes is None:
        said += f"; the classes are called 0 to {count - 1} (--classes A,B,C names them)"
    return Labels(
        names, matrix, (*pieces.notes, Note(said, doubtful=False), *class_notes(names, matrix))
    )
