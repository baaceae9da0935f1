"""Predictions as CSV: labels as the competition wants them, and probabilities."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.files import atomic_write

__all__ = ["write_csv", "write_predictions", "write_probabilities"]


def write_predictions(
    path: Path,
    ids: Sequence[str],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    thresholds: Sequence[float],
) -> None:
    """Write ``ImageID,Labels``, the labels separated as a data folder's ``Labels`` are.

    Args:
        path: The file, written atomically.
        ids: ImageIDs, one a row.
        probabilities: [rows, K]; a row of NaN gets no labels.
        classes: K label names.
        thresholds: Probability above which each label is given.
    """
    # Names with blanks or other separators in them need `;`, which a name alone must show as well.
    apart = any(mark in name for name in classes for mark in " ,|")

    def cell(given: NDArray[np.bool_]) -> str:
        labels = [classes[int(index)] for index in np.flatnonzero(given)]
        return "".join(f"{x};" for x in labels) if apart else " ".join(labels)

    above = probabilities > np.asarray(thresholds)
    rows = ([name, cell(given)] for name, given in zip(ids, above, strict=True))
    write_csv(path, ["ImageID", "Labels"], rows)


def write_probabilities(
    path: Path, ids: Sequence[str], probabilities: NDArray[np.float32], classes: Sequence[str]
) -> None:
    """Write ``ImageID`` and a column for each class.

    Args:
        path: The file, written atomically.
        ids: ImageIDs, one a row.
        probabilities: [rows, K], written so that reading them as float32 gives the same bits; a
            row of NaN has empty cells.
        classes: K label names.
    """
    # NumPy's text of a float32 is the shortest that gives it back.
    rows = (
        [name, *("" if np.isnan(value) else str(value) for value in row)]
        for name, row in zip(ids, probabilities, strict=True)
    )
    write_csv(path, ["ImageID", *classes], rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table atomically as UTF-8 with ``\\n`` after each row."""
    with atomic_write(path) as file:
        # A file's name may be no text: then its bytes are written as they are.
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        text.detach()  # which writes the rest, and leaves the file open
