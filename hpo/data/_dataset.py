"""A data folder as one object: ids, captions, image paths, labels and class names."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpo.data._csv import Table, read_table
from hpo.data._images import ImageMode, check_images
from hpo.data._labels import encode_labels
from hpo.data._problems import Problems
from hpo.errors import did_you_mean

__all__ = ["Dataset", "Rows", "keep_rows", "load_dataset", "load_rows"]

_SPLIT_VALUES = ("train", "val")


@dataclass(frozen=True)
class Rows:
    """One part of a data folder, in the file's order.

    Attributes:
        ids: The ImageID of each row, as written.
        captions: The caption of each row, whole and as written; it may be empty.
        images: The path of each row's image, or None when the images were not asked for.
        lines: The line of the file on which each row begins, for messages; empty if unknown.
    """

    ids: tuple[str, ...]
    captions: tuple[str, ...]
    images: tuple[Path, ...] | None
    lines: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data folder whose checks have all passed.

    Attributes:
        root: The folder.
        train: The labelled rows.
        test: The rows of ``test.csv``, or None if there is no such file.
        classes: The K label names: in numeric order if all are integers, sorted otherwise.
        labels: uint8 [N_train, K], 1 where the row has the class.
        split_column: ``train`` or ``val`` for each labelled row, or None without that column.
        fingerprint: SHA-256 of the bytes of ``train.csv``, hexadecimal; a known dataset keeps
            it when rows are left out.
        skipped: The ImageIDs left out because their image is missing or damaged.
    """

    root: Path
    train: Rows
    test: Rows | None
    classes: tuple[str, ...]
    labels: np.ndarray
    split_column: tuple[str, ...] | None
    fingerprint: str
    skipped: tuple[str, ...] = ()


def load_dataset(
    folder: Path,
    *,
    images: ImageMode = "verify",
    known_good: Callable[[Path], bool] | None = None,
    skip_bad_images: bool = False,
) -> Dataset:
    """Read a data folder and check everything about it that can be checked before any work.

    ``train.csv`` has the columns ImageID, Labels, Caption and perhaps Split, ``test.csv``, if it
    is there, ImageID and Caption; the order is free and other columns are ignored. How captions
    with stray quotes are read stands in ``hpo/data/_csv.py``, how labels are separated in
    ``hpo/data/_labels.py``.

    Args:
        folder: The data folder; the images are in ``data/``, ``images/`` or the folder itself.
        images: ``verify`` decodes every image, ``exist`` only looks for the files, ``ignore``
            leaves ``Rows.images`` None.
        known_good: With ``verify``, says of a path that it needs no decoding, such as an image
            whose features are stored already; called from several threads.
        skip_bad_images: Leave out rows whose image is missing or damaged, and name them in
            ``Dataset.skipped``, instead of refusing the folder.

    Raises:
        InputError: Something is wrong; all problems of the folder are listed with their lines.
    """
    problems = Problems()
    title = f"The data folder '{folder}' has problems:"
    content = _read(folder, "train.csv", problems)
    train = _parse(content, "train.csv", ["ImageID", "Labels", "Caption"], problems)
    test = None
    if (folder / "test.csv").exists():
        test_content = _read(folder, "test.csv", problems)
        test = _parse(test_content, "test.csv", ["ImageID", "Caption"], problems)
    _check_ids([table for table in (train, test) if table is not None], problems)
    if test is not None:
        _check_no_labels(test, problems)
    if content is None or train is None:
        problems.fail(title)
    classes, labels = encode_labels(train.columns["Labels"], train.lines, train.name, problems)
    split_column = _read_split_column(train, problems)

    rows, bad = _with_images(folder, [train, test], images, known_good)
    if not skip_bad_images:
        problems.add(message for messages in bad for message in messages.values())
    problems.raise_if_any(title)

    assert rows[0] is not None  # train is a table, checked above
    fingerprint = hashlib.sha256(content).hexdigest()
    dataset = Dataset(folder, rows[0], rows[1], classes, labels, split_column, fingerprint)
    if not any(bad):
        return dataset
    test_mask = None if rows[1] is None else _mask(rows[1], bad[1])
    return keep_rows(dataset, _mask(rows[0], bad[0]), test_mask)


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
    parts = [("train.csv", dataset.train, train_mask)]
    if dataset.test is not None:
        assert test_mask is not None  # the caller has a mask for each part
        parts.append(("test.csv", dataset.test, test_mask))
    left_out: list[str] = []
    for name, rows, mask in parts:
        left_out += [rows.ids[index] for index in np.flatnonzero(~mask)]
        if not mask.any():
            problems.add(f"{name}: all {len(rows)} rows are left out, but one must be left")
    problems.raise_if_any(f"The data folder '{dataset.root}' has problems:")
    kept = np.flatnonzero(train_mask)
    column = dataset.split_column
    return replace(
        dataset,
        train=_take(dataset.train, train_mask),
        test=_take(dataset.test, test_mask) if dataset.test and test_mask is not None else None,
        labels=dataset.labels[kept],
        split_column=None if column is None else tuple(column[index] for index in kept),
        skipped=(*dataset.skipped, *left_out),
    )


def load_rows(folder: Path, *, images: ImageMode = "verify") -> Rows:
    """Read the rows to predict: those of ``test.csv`` if it is there, else of ``train.csv``.

    Labels are neither needed nor looked at.

    Raises:
        InputError: Something is wrong; all problems are listed with their lines.
    """
    problems = Problems()
    title = f"The data folder '{folder}' has problems:"
    name = "test.csv" if (folder / "test.csv").exists() else "train.csv"
    table = _parse(_read(folder, name, problems), name, ["ImageID", "Caption"], problems)
    if table is None:
        problems.fail(title)
    _check_ids([table], problems)
    (rows,), bad = _with_images(folder, [table], images, None)
    problems.add(bad[0].values())
    problems.raise_if_any(title)
    assert rows is not None  # there is a table
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


def _check_ids(tables: Sequence[Table], problems: Problems) -> None:
    """Report ImageIDs that are empty or on two rows, of one file or of two."""
    first: dict[str, str] = {}
    empty, twice = [], []
    for table in tables:
        for image_id, line in zip(table.columns["ImageID"], table.lines, strict=True):
            place = f"{table.name} line {line}"
            if not image_id.strip():
                empty.append(f"{place}: the ImageID is empty")
            elif image_id in first:
                twice.append(f"{place}: ImageID '{image_id}' is on {first[image_id]} already")
            else:
                first[image_id] = place
    problems.add(empty)
    problems.add(twice)


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
        f"train.csv line {line}: Split is '{cell}', but must be 'train' or 'val'"
        for cell, line in zip(column, train.lines, strict=True)
        if cell not in _SPLIT_VALUES
    )
    return column


def _with_images(
    folder: Path,
    tables: Sequence[Table | None],
    mode: ImageMode,
    known_good: Callable[[Path], bool] | None,
) -> tuple[list[Rows | None], list[dict[int, str]]]:
    """Make ``Rows`` of each table, and say for each which rows have a bad image and why."""
    rows: list[Rows | None] = []
    bad: list[dict[int, str]] = []
    for table in tables:
        if table is None:
            rows.append(None)
            bad.append({})
            continue
        ids = table.columns["ImageID"]
        paths: list[Path] | None = None
        faults: dict[int, str] = {}
        if mode != "ignore":
            paths, faults = check_images(folder, ids, mode, known_good)
        found = None if paths is None else tuple(paths)
        rows.append(Rows(ids, table.columns["Caption"], found, table.lines))
        bad.append({i: f"{table.name} line {table.lines[i]}: {f}" for i, f in faults.items()})
    return rows, bad


def _mask(rows: Rows, bad: dict[int, str]) -> np.ndarray:
    mask = np.ones(len(rows), dtype=bool)
    mask[list(bad)] = False
    return mask


def _take(rows: Rows, mask: np.ndarray) -> Rows:
    kept = np.flatnonzero(mask)
    return Rows(
        ids=tuple(rows.ids[index] for index in kept),
        captions=tuple(rows.captions[index] for index in kept),
        images=None if rows.images is None else tuple(rows.images[index] for index in kept),
        lines=tuple(rows.lines[index] for index in kept) if rows.lines else (),
    )
