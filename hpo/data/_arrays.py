"""A data set whose embeddings are arrays in memory: labels, and perhaps names of the rows."""

import hashlib
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpo.data._columns import listed
from hpo.data._dataset import Dataset, problems_title
from hpo.data._label_notes import class_notes
from hpo.data._label_values import BITS, encode_values, read_multi_hot
from hpo.data._labels import Labels
from hpo.data._labels_as import LabelsAs, check_classes
from hpo.data._problems import Problems
from hpo.data._rows import Rows, check_ids
from hpo.files import canonical_json

__all__ = ["dataset_of_arrays", "fingerprint"]


def dataset_of_arrays(
    labels: Any,
    *,
    labels_as: LabelsAs | None = None,
    ids: Sequence[str] | None = None,
    test_rows: int = 0,
) -> Dataset:
    """Make a data set of labels alone, for embeddings that exist already.

    Args:
        labels: A matrix of zeros and ones [N, K], such as an array or a DataFrame with a column a
            class; or for each of N rows a list of labels.
        labels_as: How to read them, where their owner says it. Without a list of classes a matrix
            takes the names of a DataFrame's columns, else 0, 1, …; lists those that occur, in
            order.
        ids: A name for each row; None for 0, 1, ….
        test_rows: How many rows there are to predict; they are named test_0, test_1, ….

    Raises:
        InputError: Labels or names break these rules; all that is wrong is listed.
    """
    problems = Problems()
    title = problems_title(None)
    columns = getattr(labels, "columns", None)
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu().numpy()
    elif hasattr(labels, "toarray"):
        labels = labels.toarray()
    if columns is not None or (isinstance(labels, np.ndarray) and labels.dtype.kind != "O"):
        matrix: np.ndarray | None = np.asarray(labels)
        lists: Sequence[Any] = ()
    else:
        matrix, lists = None, list(labels)
    count = len(lists) if matrix is None else len(matrix)
    if ids is not None and hasattr(ids, "tolist"):  # of a tensor, whose numbers are tensors
        ids = ids.tolist()
    names = tuple(str(index) for index in range(count)) if ids is None else tuple(map(str, ids))
    train = Rows(names, ("",) * count, None, table="labels")
    if len(names) != count:
        problems.add(f"there are {len(names)} ids, but {count} rows of labels")
    if matrix is not None and matrix.ndim != 2:
        problems.add(
            f"the labels have shape {list(matrix.shape)}, but must be [rows, classes]"
            + ("; a label for each row is list(labels)" if matrix.ndim == 1 else "")
        )
    if not count:
        problems.add("there are no labels, but must be some of one row at least")
    problems.raise_if_any(title)

    asked = labels_as or LabelsAs()
    if matrix is None:
        read = encode_values(lists, train.place, "labels", problems, asked)
    else:
        read = _of_matrix(matrix, columns, train, asked, problems)
    if not read.matrix.any() and not problems:
        problems.add("no row has a label")
    for messages in check_ids([train]):
        problems.add(messages)
    problems.raise_if_any(title)
    test = None
    if test_rows:
        test_ids = tuple(f"test_{index}" for index in range(test_rows))
        test = Rows(test_ids, ("",) * test_rows, None, table="test")
    return Dataset(
        root=None,
        train=train,
        test=test,
        classes=read.classes,
        labels=read.matrix,
        split_column=None,
        fingerprint=fingerprint(train, read.classes, read.matrix, None),
        notes=read.notes,
    )


def _of_matrix(
    matrix: np.ndarray, columns: Any, train: Rows, asked: LabelsAs, problems: Problems
) -> Labels:
    """Read zeros and ones, whose classes are named by ``asked``, by columns, or 0, 1, …."""
    if asked.way not in ("auto", "multi-hot") or asked.no_label:
        problems.add("the labels are a matrix of zeros and ones, so they can't be read otherwise")
    named = None if columns is None else _names_of(columns, matrix, problems)
    problems.raise_if_any(problems_title(None))
    classes = asked.classes
    if classes is None:
        classes = tuple(map(str, range(matrix.shape[1]))) if named is None else named
        problems.add(check_classes(classes))
    elif len(classes) != matrix.shape[1]:
        problems.add(
            f"there are {len(classes)} classes, but the labels have {matrix.shape[1]} columns"
        )
    elif named is not None and sorted(named) == sorted(classes):
        matrix = matrix[:, [named.index(name) for name in classes]]
    elif named is not None and not all(isinstance(name, numbers.Integral) for name in columns):
        problems.add(
            f"the classes are {listed(classes)}, but the columns of labels are called "
            f"{listed(named)}; rename them, or give labels without names: labels.to_numpy()"
        )
    problems.raise_if_any(problems_title(None))
    hot = read_multi_hot(matrix, classes, train.place, problems)
    return Labels(classes, hot, tuple(class_notes(classes, hot)))


def _names_of(columns: Any, matrix: np.ndarray, problems: Problems) -> tuple[str, ...]:
    """Return what a DataFrame calls its classes, and say what can't be columns of classes."""
    if getattr(columns, "nlevels", 1) > 1:
        problems.add(
            f"the columns of labels have {columns.nlevels} levels of names, such as {columns[0]}, "
            "but must have one"
        )
    for name, cells in zip(columns, matrix.T, strict=True):
        text = next((one for one in cells if isinstance(one, str) and one not in BITS), None)
        if text is not None:
            problems.add(
                f"the column '{name}' of labels has text, such as '{text}', but must have 0 or 1; "
                f"names of rows are an index (set_index('{name}')), and a single column of labels "
                f"is given alone (labels['{name}'])"
            )
    return tuple(map(str, columns))


def fingerprint(
    train: Rows, classes: Sequence[str], labels: np.ndarray, split: Sequence[str] | None
) -> str:
    """Return the SHA-256 of labelled rows that were given in Python, hexadecimal."""
    content = {
        "ids": train.ids,
        "captions": train.captions,
        "classes": list(classes),
        "labels": [np.flatnonzero(row).tolist() for row in labels],
        "split": split,
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
