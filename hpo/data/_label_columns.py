"""The labels of all parts: a column of labels, or a column of zeros and ones for each class."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hpo.data._arrays import check_classes
from hpo.data._columns import Columns, as_list, listed
from hpo.data._label_values import is_missing, read_label_lists, read_multi_hot
from hpo.data._labels import encode_labels, multi_hot
from hpo.data._parts import TablePart
from hpo.data._problems import Problems
from hpo.data._table import Table
from hpo.notes import Note

__all__ = ["guess_class_columns", "read_labels"]

_BITS: Mapping[str, float] = {
    **dict.fromkeys(("0", "0.0", "false"), 0.0),
    **dict.fromkeys(("1", "1.0", "true"), 1.0),
}


def guess_class_columns(table: Table, used: Columns) -> tuple[Any, ...]:
    """Return the columns of a table that are nothing else, if all are zeros and ones.

    There must be two at least. A column that counts the rows, as pandas writes it, is passed over.
    """
    taken = {name for value in vars(used).values() for name in as_list(value)}
    others = [name for name in table.columns if name not in taken and not _counts(name, table)]
    if len(others) < 2 or not len(table):
        return ()
    bits = all(_bit(cell) in (0, 1) for name in others for cell in table.columns[name])
    return tuple(others) if bits else ()


def read_labels(
    parts: Sequence[TablePart], test: TablePart | None, problems: Problems
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray | None, list[Note]]:
    """Return the class names and the labels of all rows.

    Args:
        parts: The labelled rows.
        test: Rows to predict that have labels; None if there are none.
        problems: Takes what is wrong.

    Returns:
        The K classes that labelled rows have, their labels uint8 [N, K], those of the rows to
        predict likewise, and what there is to say of them.
    """
    every = [*parts, *([] if test is None else [test])]
    cells = [cell for part in every for cell in part.labels or ()]
    starts = np.cumsum([0, *(len(part.rows) for part in every)]).tolist()

    def place(row: int) -> str:
        number = int(np.searchsorted(starts, row, side="right")) - 1
        return every[number].rows.place(row - starts[number])

    column, before = parts[0].used.labels, bool(problems)
    if isinstance(column, tuple):
        classes = tuple(str(name) for name in column)
        problems.add(check_classes(classes))
        matrix = np.array([[_bit(cell) for cell in row] for row in cells], np.float64)
        labels = read_multi_hot(matrix.reshape(-1, len(classes)), classes, place, problems)
    else:
        classes, labels = _read_column(cells, parts[0].class_names, place, str(column), problems)
    count = starts[len(parts)]
    train = labels[:count]
    if count and not train.any() and not (problems and not before):
        called = listed(as_list(column))
        what = "the columns" if isinstance(column, tuple) else "the column"
        source = " and ".join(part.rows.source for part in parts)
        problems.add(f"{source}: no row has a label in {what} {called}")
    if test is None:
        return classes, train, None, []
    return _known_in_train(classes, train, labels[count:], test)


def _read_column(
    cells: Sequence[Any],
    names: Sequence[str],
    place: Callable[[int], str],
    column: str,
    problems: Problems,
) -> tuple[tuple[str, ...], np.ndarray]:
    if names:
        cells = _with_names(cells, names, place, column, problems)
    if all(isinstance(cell, str) or is_missing(cell) for cell in cells):
        texts = [cell if isinstance(cell, str) else "" for cell in cells]
        return encode_labels(texts, place, column, problems)
    return multi_hot(read_label_lists(cells, place, column, problems))


def _with_names(
    cells: Sequence[Any],
    names: Sequence[str],
    place: Callable[[int], str],
    column: str,
    problems: Problems,
) -> list[list[str]]:
    """Put names for the numbers of classes; -1 is a row without a label, as in ``datasets``."""
    found: list[list[str]] = []
    faults = []
    for row, cell in enumerate(cells):
        numbers = list(cell) if isinstance(cell, list | tuple) else [cell]
        numbers = [number for number in numbers if not is_missing(number) and number != -1]
        wrong = [n for n in numbers if not isinstance(n, int) or not 0 <= n < len(names)]
        faults += [
            f"{place(row)}: {column} has the class {number!r}, but must have numbers from 0 to "
            f"{len(names) - 1}, of the classes {listed(names)}"
            for number in wrong
        ]
        found.append([] if wrong else [names[number] for number in numbers])
    problems.add(faults)
    return found


def _known_in_train(
    classes: tuple[str, ...], train: np.ndarray, test: np.ndarray, part: TablePart
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, list[Note]]:
    """Leave out classes that only rows to predict have, as no model can know them."""
    unknown = test.any(axis=0) & ~train.any(axis=0)
    notes = [
        Note(
            f"{part.rows.source} has labels: its {len(test):,} rows are the untouched test part, "
            "which scores the model at the end",
            doubtful=False,
        )
    ]
    if unknown.any():
        names = listed(classes[k] for k in np.flatnonzero(unknown))
        rows = int(test[:, unknown].any(axis=1).sum())
        notes.append(
            Note(
                f"{part.rows.source}: {int(unknown.sum()):,} classes that no other row has are "
                f"left out of the labels of {rows:,} rows: {names}"
            )
        )
    kept = ~unknown
    names_kept = tuple(classes[k] for k in np.flatnonzero(kept))
    return names_kept, train[:, kept], test[:, kept], notes


def _bit(cell: Any) -> float:
    """Return a cell as a number: 0 or 1 if it is that, written in any way."""
    if isinstance(cell, str):
        return _BITS.get(cell.strip().lower(), float("nan"))
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")


def _counts(name: Any, table: Table) -> bool:
    """Say whether a column without a name numbers the rows."""
    if str(name).strip() not in ("", "Unnamed: 0", "__index_level_0__", "index"):
        return False
    return [str(cell) for cell in table.columns[name]] == [str(n) for n in range(len(table))]
