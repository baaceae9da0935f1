"""A pandas DataFrame as a data set: which columns are what, and what their cells say."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.data._arrays import fingerprint
from hpo.data._dataset import Dataset, keep_rows, problems_title
from hpo.data._folder import SPLIT_VALUES
from hpo.data._images import ImageMode
from hpo.data._label_notes import class_notes
from hpo.data._label_values import encode_values, is_missing, read_multi_hot
from hpo.data._labels import Labels
from hpo.data._labels_as import LabelsAs, check_classes
from hpo.data._problems import Problems
from hpo.data._rows import Rows, check_ids
from hpo.errors import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["dataset_of_frame"]

# In lower case. Of each kind a frame must have one at most, or `columns` says which.
_GUESSES = {
    "image": (
        *("imageid", "image_id", "image", "image_path", "imagepath"),
        *("file", "filename", "file_name", "filepath", "file_path"),
    ),
    "caption": ("caption", "text"),
    "labels": ("labels", "label", "tags"),
    "split": ("split",),
}
_ROW_KINDS = ("image", "caption")  # what rows to predict have as well


@dataclass(frozen=True)
class _Columns:
    """The columns of a frame that are used; None where there is none of a kind."""

    image: Any = None
    caption: Any = None
    labels: Any = None
    split: Any = None


def dataset_of_frame(
    frame: "pd.DataFrame",
    *,
    test: "pd.DataFrame | None" = None,
    columns: Mapping[str, Any] | None = None,
    images: ImageMode = "exist",
    skip_bad_images: bool = False,
    labels_as: LabelsAs | None = None,
) -> Dataset:
    """Read labelled rows, and perhaps rows to predict, from DataFrames.

    A row's id is what its image column says, or its index if there is no such column. Columns are
    used if ``columns`` names them, or if their name is unmistakable, whatever its case: ImageID,
    image, image_path, file, filename, …; Caption or text; Labels, label or tags; Split.

    Args:
        frame: The labelled rows. Labels are lists, tuples or sets; or text as in train.csv; or a
            column of zeros and ones for each class.
        test: The rows to predict.
        columns: The names of columns: ``{"image": …, "caption": …, "labels": …, "split": …}``,
            each of which may be left out. ``labels`` can be a list of columns, one a class.
        images: ``exist`` looks for the image files, whose paths are absolute or start from the
            working directory; ``ignore`` leaves ``Rows.images`` None.
        skip_bad_images: Leave out rows whose image is missing instead of refusing the frame.
        labels_as: How to read a column of labels, where their owner says it.

    Raises:
        InputError: Something is wrong; all problems are listed with their rows.
    """
    problems = Problems()
    title = problems_title(None)
    used = _find_columns(frame, columns or {}, "the frame", problems)
    frames, found = [frame], [used]
    if test is not None:
        given = {kind: name for kind, name in (columns or {}).items() if kind in _ROW_KINDS}
        frames.append(test)
        found.append(_find_columns(test, given, "the test frame", problems))
        for kind in _ROW_KINDS:
            if (getattr(used, kind) is None) != (getattr(found[1], kind) is None):
                problems.add(f"only one of the frame and the test frame has a column '{kind}'")
        if found[1].labels is not None:
            problems.add(
                f"the test frame has a column of labels, '{found[1].labels}', but rows to predict "
                "must have none; drop it"
            )
    if used.labels is None and not problems:
        problems.add(
            f"the frame has no column of labels; say which it is with columns={{'labels': …}}; its "
            f"columns are {_listed(frame.columns)}"
        )
    problems.raise_if_any(title)

    tables = ("the frame", "the test frame")
    parts = [
        _rows(one, its, table, problems)
        for one, its, table in zip(frames, found, tables, strict=False)
    ]
    for messages in check_ids(parts):
        problems.add(messages)
    read = _labels(frame, used.labels, parts[0], problems, labels_as)
    split = _split(frame, used.split, parts[0], problems)
    masks = [np.ones(len(rows), dtype=bool) for rows in parts]
    if images == "exist" and used.image is not None:
        for number, rows in enumerate(parts):
            parts[number], masks[number] = _with_images(rows)
            if not skip_bad_images:
                problems.add(
                    f"{rows.place(index)}: there is no image file '{rows.ids[index]}'"
                    + ("" if Path(rows.ids[index]).is_absolute() else f" in '{Path.cwd()}'")
                    for index in np.flatnonzero(~masks[number]).tolist()
                )
    problems.raise_if_any(title)
    dataset = Dataset(
        root=None,
        train=parts[0],
        test=parts[1] if test is not None else None,
        classes=read.classes,
        labels=read.matrix,
        split_column=split,
        fingerprint=fingerprint(parts[0], read.classes, read.matrix, split),
        notes=read.notes,
    )
    if all(mask.all() for mask in masks):
        return dataset
    return keep_rows(dataset, masks[0], masks[1] if test is not None else None)


def _find_columns(
    frame: "pd.DataFrame", given: Mapping[str, Any], table: str, problems: Problems
) -> _Columns:
    """Say which columns are what, by what was given and else by their names."""
    names = list(frame.columns)
    problems.add(
        f"columns has the key '{kind}'{did_you_mean(kind, list(_GUESSES))}, but must have only "
        f"{', '.join(_GUESSES)}"
        for kind in given
        if kind not in _GUESSES
    )
    asked = [name for value in given.values() for name in _as_list(value)]
    problems.add(
        f"{table} has no column '{name}'{did_you_mean(name, names)}; its columns are "
        f"{_listed(names)}"
        for name in dict.fromkeys(asked)
        if name not in names
    )
    problems.add(
        f"{table} has the column '{name}' {names.count(name)} times"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    )
    found = {kind: given[kind] for kind in _GUESSES if given.get(kind) is not None}
    for kind, guesses in _GUESSES.items():
        if kind in given:
            continue
        matching = [n for n in names if str(n).lower() in guesses and n not in asked]
        if len(matching) > 1:
            problems.add(
                f"{table} has the columns {_listed(matching)}, each of which may hold the {kind}; "
                f"say which does with columns={{'{kind}': {matching[0]!r}}}"
            )
        elif matching:
            found[kind] = matching[0]
    return _Columns(**found)


def _rows(frame: "pd.DataFrame", used: _Columns, table: str, problems: Problems) -> Rows:
    count = len(frame)
    if not count:
        problems.add(f"{table} has no rows")
    bare = Rows(("",) * count, ("",) * count, None, table=table)
    values = list(frame.index if used.image is None else frame[used.image])
    faults = []
    ids = []
    for index, value in enumerate(values):
        if isinstance(value, str | os.PathLike | Integral) or is_missing(value):
            name = "" if is_missing(value) else str(value)
        else:
            name = "?"
            faults.append(f"{bare.place(index)}: the image is {value!r}, but must be a path")
        ids.append(name)
    problems.add(faults)
    captions = [""] * count if used.caption is None else list(frame[used.caption])
    problems.add(
        f"{bare.place(index)}: the caption is {value!r}, but must be text"
        for index, value in enumerate(captions)
        if not isinstance(value, str) and not is_missing(value)
    )
    # As in train.csv, where an empty cell is an empty caption; pandas makes it NaN.
    texts = tuple("" if is_missing(value) else str(value) for value in captions)
    return Rows(tuple(ids), texts, None, table=table)


def _with_images(rows: Rows) -> tuple[Rows, np.ndarray]:
    """Take the ids for paths; return the rows with them, and bool [N], True if there is a file."""
    paths = tuple(Path(name) for name in rows.ids)
    return replace(rows, images=paths), np.array([path.is_file() for path in paths], dtype=bool)


def _labels(
    frame: "pd.DataFrame", column: Any, rows: Rows, problems: Problems, asked: LabelsAs | None
) -> Labels:
    if isinstance(column, list | tuple):
        if asked not in (None, LabelsAs()):
            problems.add(
                "columns['labels'] names a column for each class, so neither classes nor labels_as "
                "nor no_label can be given"
            )
        classes = tuple(str(name) for name in column)
        problems.add(check_classes(classes))
        matrix = read_multi_hot(frame[list(column)].to_numpy(), classes, rows.place, problems)
        read = Labels(classes, matrix, tuple(class_notes(classes, matrix)))
    else:
        read = encode_values(list(frame[column]), rows.place, str(column), problems, asked)
    if len(rows) and not read.matrix.any() and not problems:
        problems.add(f"the frame: no row has a label in {_listed(_as_list(column))}")
    return read


def _split(
    frame: "pd.DataFrame", column: Any, rows: Rows, problems: Problems
) -> tuple[str, ...] | None:
    if column is None:
        return None
    values = tuple(str(value).strip() for value in frame[column])
    problems.add(
        f"{rows.place(index)}: {column} is '{value}', but must be 'train', 'val' or 'test'"
        for index, value in enumerate(values)
        if value not in SPLIT_VALUES
    )
    return values


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(f"'{name}'" for name in names)
