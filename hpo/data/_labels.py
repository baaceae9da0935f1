"""Turn the labels of all rows into class names and a multi-hot matrix."""

from collections.abc import Callable, Collection, Sequence

import numpy as np

from hpo.data._problems import Problems

__all__ = ["encode_labels", "multi_hot", "split_cells"]


def encode_labels(
    cells: Sequence[str], place: Callable[[int], str], column: str, problems: Problems
) -> tuple[tuple[str, ...], np.ndarray]:
    """Read a column of labels that are written as text, see ``split_cells``.

    Args:
        cells: The N cells of the column, as written.
        place: Says where a row is, for messages.
        column: The column's name, for messages.
        problems: Takes what is wrong.

    Returns:
        As ``multi_hot``.
    """
    return multi_hot(split_cells(cells, place, column, problems))


def split_cells(
    cells: Sequence[str], place: Callable[[int], str], column: str, problems: Problems
) -> list[list[str]]:
    """Return the labels of each row, in the order in which the cell has them.

    One separator holds for the whole column: ``;`` if any cell has one, else ``|`` if any has
    one, else blanks. Names that hold blanks therefore need ``;`` or ``|`` on at least one row
    (a final one will do: ``traffic light;``). A row may have no label.
    """
    separator = next((mark for mark in ";|" if any(mark in cell for cell in cells)), None)
    if separator == ";":
        problems.add(
            f"{place(row)}: {column} '{cell}' holds '|', but ';' separates the labels elsewhere"
            for row, cell in enumerate(cells)
            if "|" in cell
        )
    if separator is None:
        problems.add(
            f"{place(row)}: {column} '{cell}' holds a comma, but labels must be separated by "
            "blanks, ';' or '|'"
            for row, cell in enumerate(cells)
            if "," in cell
        )
    return [[label for part in cell.split(separator) if (label := part.strip())] for cell in cells]


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
