"""A pandas DataFrame as a data set: which columns are what, and what their cells say."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.data._arrays import fingerprint
from hpo.data._captions import CaptionedPart, with_captions
from hpo.data._columns import ROW_KINDS, Columns, as_list, find_columns
from hpo.data._dataset import Dataset, keep_rows, problems_title
from hpo.data._images import ImageMode, url_fault
from hpo.data._label_columns import has_labels, read_labels
from hpo.data._labels_as import LabelsAs
from hpo.data._parts import CaptionRule, part_notes, part_of
from hpo.data._problems import Problems
from hpo.data._read_table import class_columns, left_notes, of_another_part, other_labels
from hpo.data._rows import Rows, check_ids
from hpo.data._table import Table
from hpo.notes import Note

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["dataset_of_frame"]

_ASK = "columns={{'{}': '{}'}}".format
"""How to say which column is of a kind."""


def dataset_of_frame(
    frame: "pd.DataFrame",
    *,
    test: "pd.DataFrame | None" = None,
    columns: Mapping[str, Any] | None = None,
    captions: CaptionRule | None = None,
    images: ImageMode = "exist",
    skip_bad_images: bool = False,
    labels_as: LabelsAs | None = None,
) -> Dataset:
    """Read labelled rows, and perhaps rows to predict, from DataFrames.

    A row's id is what its id or image column says, or its index if there is neither. Columns are
    used if ``columns`` names them, or if their name is unmistakable, whatever its case: ImageID,
    image, image_path, file, filename, …; Caption or text; Labels, label or tags; Split.

    Args:
        frame: The labelled rows. Labels are lists, tuples or sets; or text as in train.csv; or a
            column of zeros and ones for each class.
        test: The rows to predict; if they have labels, they are the untouched test part.
        columns: The names of columns: ``{"image": …, "caption": …, "labels": …, "split": …, "id":
            …}``, each of which may be left out. ``labels`` can be a list of columns, one a class;
            without a column of labels, columns that are nothing else are, if all of them are zeros
            and ones. ``caption`` can be a list of columns as well.
        captions: What several captions of a picture mean, see ``ReadOptions``.
        images: ``exist`` looks for the image files, whose paths are absolute or start from the
            working directory; ``ignore`` leaves ``Rows.images`` None.
        skip_bad_images: Leave out rows whose image is missing instead of refusing the frame.
        labels_as: How to read a column of labels, where their owner says it.

    Raises:
        InputError: Something is wrong; all problems are listed with their rows.
    """
    problems = Problems()
    title = problems_title(None)
    given = columns or {}
    table, used, notes = _columns_of(frame, given, "the frame", problems)
    tables = [(table, used, frame)]
    if test is not None:
        asked = {kind: name for kind, name in given.items() if kind in ROW_KINDS}
        known = set(as_list(used.labels)) <= set(test.columns)
        other = _table(test, "the test frame")
        asked["labels"] = used.labels if known else None
        if given.get("split") in test.columns:
            asked["split"] = given["split"]
        its = find_columns(list(test.columns), asked, other.name, problems)
        tables.append((other, its, test))
        notes += left_notes(other, its, _ASK)
        notes += other_labels(other, its, used.labels)
        for kind in ("image", "caption"):
            if (getattr(used, kind) is None) != (getattr(its, kind) is None):
                problems.add(f"only one of the frame and the test frame has a column '{kind}'")
    problems.raise_if_any(title)

    found = []
    for one, its, source in tables:
        part = part_of(one, its, problems, index=list(source.index))
        if part is None:
            problems.fail(title)
        if source is test:
            problems.add(of_another_part(part, "test"))
        notes += part_notes(part, one)
        found.append(with_captions(part, captions, problems, encodes=images == "exist"))
    notes += [note for one in found for note in one.notes]
    parts = [one.part.rows for one in found]
    # Frames that only count their rows may both begin at 0.
    counted = [its.name is None and _counts(source) for _, its, source in tables]
    for group in [[rows] for rows in parts] if any(counted) else [parts]:
        for messages in check_ids(group):
            problems.add(messages)
    labelled = found[1].part if test is not None and has_labels(found[1].part) else None
    read = read_labels([found[0].part], labelled, problems, labels_as)
    notes += read.notes
    masks = [np.ones(len(rows), dtype=bool) for rows in parts]
    if images == "exist" and used.image is not None:
        for number, captioned in enumerate(found):
            parts[number], masks[number], faults = _with_images(captioned, parts[number])
            if not skip_bad_images:
                problems.add(faults)
    problems.raise_if_any(title)
    column = found[0].part.split
    split = None if column is None else tuple(column)
    dataset = Dataset(
        root=None,
        train=parts[0],
        test=parts[1] if test is not None else None,
        classes=read.classes,
        labels=read.labels,
        split_column=split,
        fingerprint=fingerprint(parts[0], read.classes, read.labels, split),
        notes=tuple(notes),
        test_labels=read.test,
        groups=found[0].groups,
    )
    if all(mask.all() for mask in masks):
        return dataset
    return keep_rows(dataset, masks[0], masks[1] if test is not None else None)


def _table(frame: "pd.DataFrame", name: str) -> Table:
    columns = {column: tuple(frame[column]) for column in frame.columns if column is not None}
    return Table(name, columns)


def _counts(frame: "pd.DataFrame") -> bool:
    """Say whether the index of a frame is the one that pandas makes."""
    return type(frame.index).__name__ == "RangeIndex"


def _columns_of(
    frame: "pd.DataFrame", given: Mapping[str, Any], name: str, problems: Problems
) -> tuple[Table, Columns, list[Note]]:
    """Return the labelled frame as a table, and its columns."""
    names = list(frame.columns)
    used = find_columns(names, given, name, problems)
    if problems:
        return Table(name, {}), used, []
    table = _table(frame, name)
    if not len(frame):
        problems.add(f"{name} has no rows")
    used, notes = class_columns(table, used, problems, _ASK)
    return table, used, [*notes, *left_notes(table, used, _ASK)]


def _with_images(one: CaptionedPart, rows: Rows) -> tuple[Rows, np.ndarray, list[str]]:
    """Take what the image column says for paths.

    Returns:
        The rows with them; bool [N], True if there is a file; and what is wrong where there isn't.
    """
    names = [str(picture) for picture in one.part.pictures or rows.ids]
    paths = tuple(Path(name) for name in names)
    there = np.array([path.is_file() for path in paths], dtype=bool)
    faults = []
    for index in np.flatnonzero(~there).tolist():
        name = names[index]
        where = "" if Path(name).is_absolute() else f" in '{Path.cwd()}'"
        fault = url_fault(name) or f"there is no image file '{name}'{where}"
        faults.append(f"{rows.place(index)}: {fault}")
    return replace(rows, images=paths), there, faults
