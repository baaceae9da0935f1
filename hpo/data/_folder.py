"""Read a data folder: ``train.csv``, perhaps ``test.csv``, and where the images are."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpo.data._csv import Table, read_table
from hpo.data._dataset import Dataset, keep_rows, problems_title
from hpo.data._images import ImageMode, find_images
from hpo.data._labels import encode_labels
from hpo.data._labels_as import LabelsAs
from hpo.data._problems import Problems
from hpo.data._rows import Rows, check_ids
from hpo.errors import did_you_mean

__all__ = ["SPLIT_VALUES", "load_dataset", "load_rows"]

SPLIT_VALUES = ("train", "val", "test")


def load_dataset(
    folder: Path,
    *,
    images: ImageMode = "exist",
    skip_bad_images: bool = False,
    labels_as: LabelsAs | None = None,
) -> Dataset:
    """Read a data folder and check everything about it that can be checked before any work.

    ``train.csv`` has the columns ImageID, Labels, Caption and perhaps Split, ``test.csv``, if it
    is there, ImageID and Caption; the order is free and other columns are ignored. How captions
    with stray quotes are read stands in ``hpo/data/_csv.py``, how labels are written in
    ``hpo/data/_labels.py``.

    Args:
        folder: The data folder; the images are in ``data/``, ``images/`` or the folder itself.
        images: ``exist`` looks for the image files, without opening them; ``ignore`` leaves
            ``Rows.images`` None.
        skip_bad_images: Leave out rows whose image is missing, and name them in
            ``Dataset.skipped``, instead of refusing the folder.
        labels_as: How to read the labels, where their owner says it.

    Raises:
        InputError: Something is wrong; all problems of the folder are listed with their lines.
    """
    problems = Problems()
    title = problems_title(folder)
    content = _read(folder, "train.csv", problems)
    train = _parse(content, "train.csv", ["ImageID", "Labels", "Caption"], problems)
    test = None
    if (folder / "test.csv").exists():
        test_content = _read(folder, "test.csv", problems)
        test = _parse(test_content, "test.csv", ["ImageID", "Caption"], problems)
    parts = [_rows_of(table) for table in (train, test) if table is not None]
    for messages in check_ids(parts):
        problems.add(messages)
    if test is not None:
        _check_no_labels(test, problems)
    if content is None or train is None:
        problems.fail(title)
    cells = train.columns["Labels"]
    read = encode_labels(cells, parts[0].place, "Labels", problems, labels_as)
    if cells and not read.matrix.any() and not problems:
        problems.add("train.csv: no row has a label in the column 'Labels'")
    split_column = _read_split_column(train, problems)

    bad: list[Mapping[int, str]] = [{} for _ in parts]
    if images == "exist":
        for number, rows in enumerate(parts):
            parts[number], bad[number] = _with_images(folder, rows)
    if not skip_bad_images:
        problems.add(message for messages in bad for message in messages.values())
    problems.raise_if_any(title)

    dataset = Dataset(
        root=folder,
        train=parts[0],
        test=parts[1] if test is not None else None,
        classes=read.classes,
        labels=read.matrix,
        split_column=split_column,
        fingerprint=hashlib.sha256(content).hexdigest(),
        notes=read.notes,
    )
    if not any(bad):
        return dataset
    masks = [_mask(rows, messages) for rows, messages in zip(parts, bad, strict=True)]
    return keep_rows(dataset, masks[0], masks[1] if test is not None else None)


def load_rows(folder: Path, *, images: ImageMode = "exist", skip_bad_images: bool = False) -> Rows:
    """Read the rows to predict: those of ``test.csv`` if it is there, else of ``train.csv``.

    Labels are neither needed nor looked at.

    Args:
        folder: The data folder.
        images: As for ``load_dataset``.
        skip_bad_images: Return rows whose image is missing as well, with a path that can't be
            read, instead of refusing the folder.

    Raises:
        InputError: Something is wrong; all problems are listed with their lines.
    """
    problems = Problems()
    title = problems_title(folder)
    name = "test.csv" if (folder / "test.csv").exists() else "train.csv"
    table = _parse(_read(folder, name, problems), name, ["ImageID", "Caption"], problems)
    if table is None:
        problems.fail(title)
    rows = _rows_of(table)
    for messages in check_ids([rows]):
        problems.add(messages)
    if images == "exist":
        rows, bad = _with_images(folder, rows)
        if not skip_bad_images:
            problems.add(bad.values())
    problems.raise_if_any(title)
    return rows


def _read(folder: Path, name: str, problems: Problems) -> bytes | None:
    """Return the bytes of a file of the folder, or None after saying why there are none."""
    if not folder.is_dir():
        problems.add(f"'{folder}' is not a folder, but must be one that holds {name}")
        return None
    path = folder / name
    if not path.is_file():
        others = sorted(other.name for other in folder.iterdir() if other.suffix.lower() == ".csv")
        problems.add(f"there is no file {name}{did_you_mean(name, others)}")
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        problems.add(f"{name} can't be read: {error.strerror}")
        return None


def _parse(
    content: bytes | None, name: str, required: Sequence[str], problems: Problems
) -> Table | None:
    return None if content is None else read_table(content, name, required, problems)


def _rows_of(table: Table) -> Rows:
    return Rows(table.columns["ImageID"], table.columns["Caption"], None, table.lines, table.name)


def _check_no_labels(test: Table, problems: Problems) -> None:
    problems.add(
        f"test.csv line {line}: Labels is '{cell}', but a test row must have no labels"
        for cell, line in zip(test.columns.get("Labels", ()), test.lines, strict=False)
        if cell.strip()
    )


def _read_split_column(train: Table, problems: Problems) -> tuple[str, ...] | None:
    if "Split" not in train.columns:
        return None
    column = tuple(cell.strip() for cell in train.columns["Split"])
    problems.add(
        f"train.csv line {line}: Split is '{cell}', but must be 'train', 'val' or 'test'"
        for cell, line in zip(column, train.lines, strict=True)
        if cell not in SPLIT_VALUES
    )
    return column


def _with_images(folder: Path, rows: Rows) -> tuple[Rows, dict[int, str]]:
    """Add the image paths, and say which rows have none and why."""
    paths, faults = find_images(folder, rows.ids)
    messages = {index: f"{rows.place(index)}: {fault}" for index, fault in faults.items()}
    return replace(rows, images=tuple(paths)), messages


def _mask(rows: Rows, bad: Mapping[int, str]) -> np.ndarray:
    mask = np.ones(len(rows), dtype=bool)
    mask[list(bad)] = False
    return mask
