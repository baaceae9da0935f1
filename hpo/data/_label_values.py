"""Labels as Python values: lists, texts or a matrix of zeros and ones."""

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hpo.data._label_cells import Pieces
from hpo.data._label_pieces import is_missing, label_texts
from hpo.data._labels import Labels, encode_labels, encode_pieces
from hpo.data._labels_as import LabelsAs
from hpo.data._problems import Problems

__all__ = ["BITS", "encode_values", "is_missing", "read_multi_hot"]

BITS = {"0": 0.0, "1": 1.0}
"""Zeros and ones as text."""


def encode_values(
    values: Sequence[Any],
    place: Callable[[int], str],
    name: str,
    problems: Problems,
    asked: LabelsAs | None = None,
) -> Labels:
    """Read the labels of each row.

    Args:
        values: For each of N rows: a list, tuple, set, array or tensor of labels; one label that is
            an integer; or text, as it would stand in train.csv, if all rows have text. None and NaN
            are rows without a label, as an empty cell of train.csv is.
        place: Says where a row is, for messages.
        name: What to call the values in messages, such as the column's name.
        problems: Takes what is wrong, and what is doubtful.
        asked: How to read them, where their owner says it.
    """
    asked = asked or LabelsAs()
    values = [one.detach().tolist() if hasattr(one, "detach") else one for one in values]
    if all(isinstance(value, str) or is_missing(value) for value in values):
        cells = [value if isinstance(value, str) else "" for value in values]
        return encode_labels(cells, place, name, problems, asked)
    if asked.way not in ("auto", "list", "multi-hot"):
        problems.add(f"{name} has lists, so it can't be read as '{asked.way}'")
    rows = _lists(values, place, name, problems)
    pieces = Pieces([str(value) for value in values], rows, "list")
    return encode_pieces(pieces, place, name, problems, asked)


def _lists(
    values: Sequence[Any], place: Callable[[int], str], name: str, problems: Problems
) -> list[list[str]]:
    rows: list[list[str]] = []
    faults = []
    for index, value in enumerate(values):
        rows.append([])
        if is_missing(value):
            continue
        if isinstance(value, str):
            faults.append(
                f"{place(index)}: {name} is the text '{value}', but other rows have lists; make "
                "it a list too"
            )
            continue
        # pandas has floats where an integer column lacks values
        single = isinstance(value, numbers.Integral) or (
            isinstance(value, float) and value.is_integer()
        )
        many = isinstance(value, list | tuple | set | frozenset | np.ndarray)
        if isinstance(value, bool | np.bool_) or not (single or many):
            faults.append(
                f"{place(index)}: {name} is {value!r}, but must be a list of labels, one integer "
                "or text"
            )
            continue
        try:
            rows[-1] = label_texts([value] if single else value)
        except ValueError as error:
            faults.append(f"{place(index)}: {name} {error}")
    problems.add(faults)
    return rows


def read_multi_hot(
    matrix: np.ndarray, classes: Sequence[str], place: Callable[[int], str], problems: Problems
) -> np.ndarray:
    """Return a matrix of zeros and ones as uint8 [N, K].

    Args:
        matrix: [N, K], of any type of numbers or of booleans, also as text.
        classes: The K class names, for messages.
        place: Says where a row is, for messages.
        problems: Takes what is wrong.
    """
    said = matrix
    if matrix.dtype.kind == "O":  # such as columns of a DataFrame that have different types
        matrix = np.array([[_as_number(cell) for cell in row] for row in matrix])
    if matrix.dtype.kind not in "biuf":
        problems.add(f"the labels are {matrix.dtype}, but must be 0 or 1")
        return np.zeros(matrix.shape, np.uint8)
    wrong = (matrix != 0) & (matrix != 1)
    problems.add(
        f"{place(row)}: class '{classes[column]}' is {said[row, column]!s}, but must be 0 or 1"
        for row, column in np.argwhere(wrong).tolist()
    )
    ones: np.ndarray = matrix == 1
    return ones.astype(np.uint8)


def _as_number(value: Any) -> float:
    if isinstance(value, str):
        return BITS.get(value, float("nan"))
    return float(value) if isinstance(value, numbers.Real | np.bool_) else float("nan")
