"""A data set as one object: the labelled rows, the rows to predict, labels and class names."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpo.data._problems import Problems
from hpo.data._rows import Rows, take_rows
from hpo.notes import Note

__all__ = ["Dataset", "TableUsed", "keep_rows", "problems_title"]


@dataclass(frozen=True)
class TableUsed:
    """A table that rows were read from.

    Attributes:
        name: What it is called, such as ``train.csv``.
        part: ``train``, ``val`` or ``test``.
        rows: How many rows of it are used.
        columns: For each kind of column that was found, its name or names.
    """

    name: str
    part: str
    rows: int
    columns: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set whose checks have all passed.

    Attributes:
        root: The data folder, or None if the rows were given in Python.
        train: The labelled rows.
        test: The rows to predict, such as those of ``test.csv``, or None if there are none.
        classes: The K label names: in numeric order if all are integers, sorted otherwise; or in
            the order that was given in Python.
        labels: uint8 [N_train, K], 1 where the row has the class.
        split_column: ``train`` or ``val`` for each labelled row, or None without that column.
        fingerprint: SHA-256 of the bytes of ``train.csv``, or of all that was given in Python,
            hexadecimal; a known dataset keeps it when rows are left out.
        skipped: The ImageIDs left out because their image is missing or damaged.
        notes: What was done to the rows or taken on trust as they were read.
        has: What the rows have for an encoder: ``images``, ``captions`` or both.
        test_labels: uint8 [N_test, K] of the rows to predict, if they have labels; nothing reads
            them before the end, where the model is scored on these rows.
        groups: For each labelled row the number of its picture, if a picture may be on several
            rows; empty otherwise. A split keeps a picture's rows together.
        untouched: How many labelled rows at the end are the test part of every split.
        tables: What the rows of a data folder were read from.
    """

    root: Path | None
    train: Rows
    test: Rows | None
    classes: tuple[str, ...]
    labels: np.ndarray
    split_column: tuple[str, ...] | None
    fingerprint: str
    skipped: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    has: tuple[str, ...] = ("images", "captions")
    test_labels: np.ndarray | None = None
    groups: tuple[int, ...] = ()
    untouched: int = 0
    tables: tuple[TableUsed, ...] = ()


def problems_title(root: Path | None) -> str:
    """Return the line above a list of what is wrong with a data set."""
    return "The data has problems:" if root is None else f"The data folder '{root}' has problems:"


def keep_rows(dataset: Dataset, train_mask: np.ndarray, test_mask: np.ndarray | None) -> Dataset:
    """Return the dataset without the rows whose mask is False; the classes stay the same.

    Args:
        dataset: What to take rows from.
        train_mask: bool [N_train].
        test_mask: bool [N_test]; None if there are no test rows.

    Raises:
        InputError: No labelled row, or no test row where there were some, would be left.
    """
    problems = Problems()
    parts = [(dataset.train, train_mask)]
    if dataset.test is not None:
        assert test_mask is not None  # the caller has a mask for each part
        parts.append((dataset.test, test_mask))
    left_out: list[str] = []
    for rows, mask in parts:
        left_out += [rows.ids[index] for index in np.flatnonzero(~mask)]
        if not mask.any():
            problems.add(f"{rows.source}: all {len(rows)} rows are left out, but one must be left")
    problems.raise_if_any(problems_title(dataset.root))
    kept = np.flatnonzero(train_mask)
    column = dataset.split_column
    test_labels = dataset.test_labels
    return replace(
        dataset,
        train=take_rows(dataset.train, train_mask),
        test=take_rows(dataset.test, test_mask) if dataset.test and test_mask is not None else None,
        labels=dataset.labels[kept],
        split_column=None if column is None else tuple(column[index] for index in kept),
        skipped=(*dataset.skipped, *left_out),
        test_labels=None if test_labels is None else test_labels[test_mask],
        groups=tuple(dataset.groups[index] for index in kept) if dataset.groups else (),
    )
