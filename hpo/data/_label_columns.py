"""The labels of all parts: a column of labels, or a column of zeros and ones for each class."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo.data._columns import Columns, as_list, listed
from hpo.data._label_choices import with_choices
from hpo.data._label_doubts import vector_length
from hpo.data._label_notes import class_notes
from hpo.data._label_values import encode_values, is_missing
from hpo.data._labels import Labels
from hpo.data._labels_as import LabelsAs, check_classes
from hpo.data._parts import TablePart
from hpo.data._problems import Problems
from hpo.data._table import Table
from hpo.notes import Note

__all__ = [
    "PartLabels",
    "bit_columns",
    "guess_class_columns",
    "hardly_classes",
    "has_labels",
    "read_labels",
]

_NO_CLASS = -1  # in place of the number of a class, as ``datasets`` writes it
#: Names of columns of zeros and ones that are hardly classes, in lower case.
_NO_CLASSES = frozenset(
    (
        *("fold", "kfold", "split", "part", "val", "valid", "test", "index", "idx", "id"),
        *("is_train", "is_val", "is_valid", "is_test", "istrain", "isvalid", "istest", "width"),
    )
)
_OTHER_PARTS = frozenset(("val", "valid", "test"))
_BITS: Mapping[str, float] = {
    **dict.fromkeys(("0", "0.0", "false"), 0.0),
    **dict.fromkeys(("1", "1.0", "true"), 1.0),
}
#: Where a column was said to be one of a class, it may have these as well.
_SAID_BITS: Mapping[str, float] = {**_BITS, "no": 0.0, "yes": 1.0, "-1": -1.0, "-1.0": -1.0}


def guess_class_columns(table: Table, used: Columns) -> tuple[Any, ...]:
    """Return the columns of a table that are nothing else, if all are zeros and ones.

    There must be two at least. A column that counts the rows, as pandas writes it, is passed over.
    """
    others = _others(table, used)
    bits = bit_columns(table, used)
    return bits if len(bits) == len(others) > 1 else ()


def bit_columns(table: Table, used: Columns) -> tuple[Any, ...]:
    """Return those columns of a table that are nothing else and have zeros and ones alone."""
    if not len(table):
        return ()
    return tuple(
        name
        for name in _others(table, used)
        if all(_bit(cell) in (0, 1) for cell in table.columns[name])
    )


def _others(table: Table, used: Columns) -> list[Any]:
    """Return the columns that are nothing else and don't count the rows."""
    taken = {name for value in vars(used).values() for name in as_list(value)}
    return [name for name in table.columns if name not in taken and not _counts(name, table)]


def hardly_classes(names: Iterable[Any]) -> list[Any]:
    """Return those of some columns of zeros and ones whose names say something else."""
    known = {name: str(name).strip().lower() for name in names}
    # COCO has a class called train, but hardly beside one called val.
    parts = {"train"} if _OTHER_PARTS & set(known.values()) else set()
    return [name for name, word in known.items() if word in _NO_CLASSES | parts]


@dataclass(frozen=True)
class PartLabels:
    """The labels of all parts.

    Attributes:
        classes: The K classes.
        labels: uint8 [N, K] of the labelled rows.
        test: Likewise of the rows to predict; None if they have no labels.
        notes: How they were read, and what looks wrong with them.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    test: np.ndarray | None
    notes: tuple[Note, ...]


def read_labels(
    parts: Sequence[TablePart],
    test: TablePart | None,
    problems: Problems,
    asked: LabelsAs | None = None,
) -> PartLabels:
    """Return the classes and the labels of all rows.

    Args:
        parts: The labelled rows.
        test: Rows to predict that have labels; None if there are none.
        problems: Takes what is wrong.
        asked: How to read them, where their owner says it.
    """
    every = [*parts, *([] if test is None else [test])]
    cells = with_choices([cell for part in every for cell in part.labels or ()])
    starts = np.cumsum([0, *(len(part.rows) for part in every)]).tolist()

    def place(row: int) -> str:
        number = int(np.searchsorted(starts, row, side="right")) - 1
        return every[number].rows.place(row - starts[number])

    column = parts[0].used.labels
    before = len(problems.listed())
    if isinstance(column, tuple):
        read = _read_columns(cells, column, place, problems, asked)
    elif any(part.class_names for part in every):
        way = "auto" if asked is None else asked.way
        lists = [names for part in every for names in _with_names(part, str(column), problems, way)]
        as_list_of = LabelsAs("list", None if asked is None else asked.classes)
        read = encode_values(lists, place, str(column), problems, as_list_of)
    else:
        read = encode_values(cells, place, str(column), problems, asked)
    count = starts[len(parts)]
    train = read.matrix[:count]
    if count and not train.any() and len(problems.listed()) == before:
        what = "the columns" if isinstance(column, tuple) else "the column"
        source = " and ".join(part.rows.source for part in parts)
        problems.add(f"{source}: no row has a label in {what} {listed(as_list(column))}")
    if test is None:
        return PartLabels(read.classes, train, None, read.notes)
    return _known_in_train(read, count, test)


def _read_columns(
    cells: Sequence[Any],
    columns: Sequence[Any],
    place: Callable[[int], str],
    problems: Problems,
    asked: LabelsAs | None,
) -> Labels:
    """Read a column of zeros and ones for each class."""
    if asked not in (None, LabelsAs()):
        problems.add(
            "the labels are a column for each class, so neither classes nor labels_as nor no_label "
            "can be given"
        )
    classes = tuple(str(name) for name in columns)
    problems.add(check_classes(classes))
    bits = np.array([[_bit(cell, _SAID_BITS) for cell in row] for row in cells], np.float64)
    bits = bits.reshape(-1, len(classes))
    notes = []
    # Beside zeros, -1 may be "uncertain" or "not known".
    if set(np.unique(bits)) == {-1.0, 1.0}:
        notes.append(Note(f"-1 in the {len(classes)} columns of labels is read as 0: no label"))
        bits = (bits + 1) / 2
    problems.add(
        f"{place(row)}: class '{classes[k]}' is {cells[row][k]!r}, but must be 0 or 1"
        for row, k in np.argwhere((bits != 0) & (bits != 1)).tolist()
    )
    matrix = (bits == 1).astype(np.uint8)
    return Labels(classes, matrix, (*notes, *class_notes(classes, matrix)))


def has_labels(part: TablePart) -> bool:
    """Say whether any row of a part has labels."""
    return any(
        not is_missing(cell)
        and (not isinstance(cell, str) or bool(cell.strip()))
        and not (part.class_names and cell == _NO_CLASS)
        for cell in part.labels or ()
    )


def _with_names(part: TablePart, column: str, problems: Problems, way: str) -> list[list[str]]:
    """Put names for the numbers of classes, which may be others in each table.

    Cells may also be vectors of zeros and ones, if ``way`` is multi-hot.
    """
    names, place = part.class_names, part.rows.place
    vectors = [cell for cell in part.labels or () if isinstance(cell, list | tuple)]
    looks = vector_length([[str(bit) for bit in vector] for vector in vectors]) == len(names)
    if way == "multi-hot" and looks:
        return [
            [] if is_missing(cell) else [name for name, bit in zip(names, cell, strict=True) if bit]
            for cell in part.labels or ()
        ]
    if way != "list" and looks:
        problems.add(
            f"{column} looks like vectors of {len(names)} zeros and ones (such as {vectors[0]}, "
            f"{part.rows.source}), but could also be lists of the classes '{names[0]}' and "
            f"'{names[1]}' by their numbers. Say which: --labels-as multi-hot, or --labels-as list "
            "(from Python labels_as='…')"
        )
    if not names:
        problems.add(
            f"{part.rows.source} has no names for the classes in {column}, but other tables have"
        )
    found: list[list[str]] = []
    faults = []
    for row, cell in enumerate(part.labels or () if names else ()):
        numbers = list(cell) if isinstance(cell, list | tuple) else [cell]
        numbers = [number for number in numbers if not is_missing(number) and number != _NO_CLASS]
        wrong = [n for n in numbers if not isinstance(n, int) or not 0 <= n < len(names)]
        faults += [
            f"{place(row)}: {column} has the class {number!r}, but must have numbers from 0 to "
            f"{len(names) - 1}, of the classes {listed(names)}"
            for number in wrong
        ]
        found.append([] if wrong else [names[number] for number in numbers])
    problems.add(faults)
    return found or [[] for _ in range(len(part.rows))]


def _known_in_train(read: Labels, count: int, part: TablePart) -> PartLabels:
    """Leave out classes that only rows to predict have, as no model can know them."""
    train, test = read.matrix[:count], read.matrix[count:]
    unknown = test.any(axis=0) & ~train.any(axis=0)
    notes = [
        Note(
            f"{part.rows.source} has labels: its {len(test):,} rows are the untouched test part, "
            "which scores the model at the end",
            doubtful=False,
        )
    ]
    if unknown.any():
        names = listed(read.classes[k] for k in np.flatnonzero(unknown))
        rows = int(test[:, unknown].any(axis=1).sum())
        notes.append(
            Note(
                f"{part.rows.source}: {int(unknown.sum()):,} classes that no other row has are "
                f"left out of the labels of {rows:,} rows: {names}"
            )
        )
    kept = ~unknown
    classes = tuple(read.classes[k] for k in np.flatnonzero(kept))
    return PartLabels(classes, train[:, kept], test[:, kept], (*read.notes, *notes))


def _bit(cell: Any, words: Mapping[str, float] = _BITS) -> float:
    """Return a cell as a number: 0 or 1 if it is that, written in any way."""
    if isinstance(cell, str):
        return words.get(cell.strip().lower(), float("nan"))
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")


def _counts(name: Any, table: Table) -> bool:
    """Say whether a column without a name numbers the rows."""
    if str(name).strip() not in ("", "Unnamed: 0", "__index_level_0__", "index"):
        return False
    return [str(cell) for cell in table.columns[name]] == [str(n) for n in range(len(table))]
