"""Turn the Labels column into class names and a multi-hot matrix."""

from collections.abc import Sequence

import numpy as np

from hpo.data._problems import Problems

__all__ = ["encode_labels"]


def encode_labels(
    cells: Sequence[str], lines: Sequence[int], name: str, problems: Problems
) -> tuple[tuple[str, ...], np.ndarray]:
    """Read the labels of all rows.

    One separator holds for the whole column: ``;`` if any cell has one, else ``|`` if any has
    one, else blanks. Names that hold blanks therefore need ``;`` or ``|`` on at least one row
    (a final one will do: ``traffic light;``). A row may have no label; a label that a row names
    twice counts once.

    Args:
        cells: The N cells of the column, as written.
        lines: The line of each row, for messages.
        name: The file's name, for messages.
        problems: Takes what is wrong.

    Returns:
        The K class names, in numeric order if all are integers and sorted otherwise, and
        uint8 [N, K], 1 where the row has the class.
    """
    separator = next((mark for mark in ";|" if any(mark in cell for cell in cells)), None)
    rows = [_split(cell, separator) for cell in cells]
    if separator == ";":
        problems.add(
            f"{name} line {line}: Labels '{cell}' holds '|', but ';' separates the labels elsewhere"
            for cell, line in zip(cells, lines, strict=True)
            if "|" in cell
        )
    if separator is None:
        problems.add(
            f"{name} line {line}: Labels '{cell}' holds a comma, but labels must be separated by "
            "blanks, ';' or '|'"
            for cell, line in zip(cells, lines, strict=True)
            if "," in cell
        )
    names = {label for row in rows for label in row}
    if cells and not names:
        problems.add(f"{name}: no row has a label in the column 'Labels'")
    classes = _sort(names)
    index = {label: column for column, label in enumerate(classes)}
    matrix = np.zeros((len(rows), len(classes)), dtype=np.uint8)
    pairs = [(row, index[label]) for row, labels in enumerate(rows) for label in labels]
    if pairs:
        matrix[tuple(np.array(pairs).T)] = 1
    return classes, matrix


def _split(cell: str, separator: str | None) -> list[str]:
    """Split at the separator, or at any run of blanks for None."""
    parts = (part.strip() for part in cell.split(separator))
    return [part for part in parts if part]


def _sort(names: set[str]) -> tuple[str, ...]:
    # 1, 01 and 1.0 are different names: labels go back into predictions.csv as they were.
    if all(label.removeprefix("-").isdecimal() for label in names):
        return tuple(sorted(names, key=lambda label: (int(label), label)))
    return tuple(sorted(names))
