"""Labels as Python values: lists, texts or a matrix of zeros and ones."""

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hpo.data._labels import split_cells
from hpo.data._problems import Problems

__all__ = ["is_missing", "read_label_lists", "read_multi_hot"]

_NOT_IN_LABELS = (";", "\n", "\r")


def read_label_lists(
    values: Sequence[Any], place: Callable[[int], str], name: str, problems: Problems
) -> list[list[str]]:
    """Return the labels of each row.

    Args:
        values: For each of N rows: a list, tuple, set or array of labels; one label that is an
            integer; or text, as it would stand in train.csv, if all rows have text. None and NaN
            are rows without a label, as an empty cell of train.csv is.
        place: Says where a row is, for messages.
        name: What to call the values in messages, such as the column's name.
        problems: Takes what is wrong.
    """
    if all(isinstance(value, str) or is_missing(value) for value in values):
        cells = [value if isinstance(value, str) else "" for value in values]
        return split_cells(cells, place, name, problems)
    rows: list[list[str]] = []
    faults = []
    for index, value in enumerate(values):
        if is_missing(value):
            rows.append([])
            continue
        if isinstance(value, str):
            faults.append(
                f"{place(index)}: {name} is the text '{value}', but other rows have lists; make "
                "it a list too"
            )
            rows.append([])
            continue
        single = isinstance(value, numbers.Integral)
        many = isinstance(value, list | tuple | set | frozenset | np.ndarray)
        if isinstance(value, bool | np.bool_) or not (single or many):
            faults.append(
                f"{place(index)}: {name} is {value!r}, but must be a list of labels, one integer "
                "or text"
            )
            rows.append([])
            continue
        labels = [value] if single else list(value)
        rows.append([_as_label(label) or "" for label in labels])
        faults += [
            f"{place(index)}: {name} has the label {label!r}, but a label must be an integer or "
            "text that is not empty and has no ';' or line break"
            for label in labels
            if _as_label(label) is None
        ]
    problems.add(faults)
    return rows


def read_multi_hot(
    matrix: np.ndarray, classes: Sequence[str], place: Callable[[int], str], problems: Problems
) -> np.ndarray:
    """Return a matrix of zeros and ones as uint8 [N, K].

    Args:
        matrix: [N, K], of any type of numbers or of booleans.
        classes: The K class names, for messages.
        place: Says where a row is, for messages.
        problems: Takes what is wrong.
    """
    if matrix.dtype.kind == "O":  # such as columns of a DataFrame that have different types
        matrix = np.array([[_as_number(cell) for cell in row] for row in matrix])
    if matrix.dtype.kind not in "biuf":
        problems.add(f"the labels are {matrix.dtype}, but must be 0 or 1")
        return np.zeros(matrix.shape, np.uint8)
    wrong = (matrix != 0) & (matrix != 1)
    problems.add(
        f"{place(row)}: class '{classes[column]}' is {matrix[row, column]}, but must be 0 or 1"
        for row, column in np.argwhere(wrong).tolist()
    )
    ones: np.ndarray = matrix == 1
    return ones.astype(np.uint8)


def is_missing(value: object) -> bool:
    """Say whether a cell has no value: None, NaN or pandas' NA."""
    missing_float = isinstance(value, float) and value != value
    return value is None or missing_float or type(value).__name__ in ("NAType", "NaTType")


def _as_label(value: object) -> str | None:
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | numbers.Integral):
        return None
    text = str(value).strip()
    return None if not text or any(mark in text for mark in _NOT_IN_LABELS) else text


def _as_number(value: Any) -> float:
    return float(value) if isinstance(value, numbers.Real | np.bool_) else float("nan")
