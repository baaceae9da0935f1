"""Read a data folder: its tables, and where the images are."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpo.data._columns import ROW_KINDS, find_columns
from hpo.data._dataset import Dataset, keep_rows, problems_title
from hpo.data._images import ImageMode, embeddings_beside
from hpo.data._label_columns import has_labels, read_labels
from hpo.data._labels_as import LabelsAs
from hpo.data._parts import ReadOptions
from hpo.data._pictured import (
    Pictured,
    check_names,
    images_without_rows,
    same_images,
    with_images,
)
from hpo.data._problems import Problems
from hpo.data._read_table import ReadTable, as_asked, read_source
from hpo.data._rows import Rows, check_ids, join_rows
from hpo.data._sources import find_tables
from hpo.notes import Note

__all__ = ["kinds_there", "load_dataset", "load_rows"]

_NOTHING_SAID = ReadOptions()
_CALLED = {"images": "images", "captions": "captions"}
_COLUMN = {"images": "image", "captions": "caption"}
_MODALITY = {"images": "image", "captions": "text"}


def load_dataset(
    folder: Path,
    *,
    images: ImageMode = "exist",
    skip_bad_images: bool = False,
    options: ReadOptions = _NOTHING_SAID,
    labels_as: LabelsAs | None = None,
) -> Dataset:
    """Read a data folder and check everything about it that can be checked before any work.

    ``docs/data.md`` lists the layouts. The labelled rows are in ``train.csv`` or another table,
    those to predict, if there are any, in ``test.csv``. How captions with stray quotes are read
    stands in ``hpo/data/_csv.py``, how labels are written in ``hpo/data/_labels.py``.

    Args:
        folder: The data folder; ``find_images`` says where its images are.
        images: ``exist`` looks for the image files, without opening them; ``ignore`` leaves
            ``Rows.images`` None.
        skip_bad_images: Leave out rows whose image is missing, and name them in
            ``Dataset.skipped``, instead of refusing the folder.
        options: How to read what isn't unmistakable.
        labels_as: How to read the labels, where their owner says it.

    Raises:
        InputError: Something is wrong; all problems of the folder are listed with their lines.
        OSError: Images that stand in a table can't be written.
    """
    problems = Problems()
    title = problems_title(folder)
    if images == "ignore":
        options = replace(options, unpack=None)
    labelled, test = _read_tables(folder, options, problems)
    if not labelled:
        problems.fail(title)
    tables = [*labelled, *([] if test is None else [test])]
    notes = [note for one in tables for note in one.notes]
    has = _what_there_is(labelled, test, images, options, problems)
    found = [with_images(folder, one, "images" in has) for one in tables]
    without = "images" in has and all(len(one.faults) == len(one.rows) > 0 for one in found)
    advice = []
    if without and "captions" in has:
        if "images" in options.optional:
            has = ("captions",)
            found = [with_images(folder, one, False) for one in tables]
            notes.append(Note("no row has an image, and nothing here reads one", doubtful=False))
        else:
            advice.append("no row has an image; --modalities text reads captions alone")
    if any(one.faults for one in found):
        advice += embeddings_beside(folder)
    notes += [note for one in found for note in one.notes]
    notes += check_names(folder, tables, found, problems)
    notes += same_images(tables, found)
    if test is None and not options.skip_test and images == "exist":
        notes += images_without_rows(folder, found)
    with_labels = test.part if test is not None and has_labels(test.part) else None
    read = read_labels([one.part for one in labelled], with_labels, problems, labels_as)
    notes += read.notes
    if not skip_bad_images:
        problems.add(message for one in found for message in one.faults.values())
        problems.add(advice)
    problems.raise_if_any(title)

    count = len(labelled)
    dataset = Dataset(
        root=folder,
        train=join_rows([one.rows for one in found[:count]]),
        test=None if test is None else found[count].rows,
        classes=read.classes,
        labels=read.labels,
        split_column=_split_column(labelled),
        fingerprint=_fingerprint(labelled),
        notes=tuple(notes),
        has=has,
        test_labels=read.test,
        groups=_groups(labelled),
        tables=tuple(one.used() for one in tables),
    )
    masks = [_mask(one) for one in found]
    if all(mask.all() for mask in masks):
        return dataset
    return keep_rows(dataset, np.concatenate(masks[:count]), None if test is None else masks[count])


def load_rows(
    folder: Path,
    *,
    images: ImageMode = "exist",
    skip_bad_images: bool = False,
    captions: bool = False,
    options: ReadOptions = _NOTHING_SAID,
    notes: list[Note] | None = None,
) -> Rows:
    """Read the rows to predict: those of ``test.csv`` if it is there, else of ``train.csv``.

    Labels are neither needed nor looked at.

    Args:
        folder: The data folder.
        images: As for ``load_dataset``.
        skip_bad_images: Return rows whose image is missing as well, with a path that can't be
            read, instead of refusing the folder.
        captions: Whether rows must have a column of captions.
        options: As for ``load_dataset``.
        notes: Takes how they were read.

    Raises:
        InputError: Something is wrong; all problems are listed with their lines.
        OSError: As for ``load_dataset``.
    """
    problems = Problems()
    title = problems_title(folder)
    if images == "ignore":
        options = replace(options, unpack=None)
    sources = find_tables(folder, problems, labelled=False)
    if not sources:
        if not problems:
            problems.add(
                "there is neither test.csv nor train.csv, nor another table; --images predicts a "
                "folder of pictures"
            )
        problems.fail(title)
    source = sources[-1] if sources[-1].part == "test" else sources[0]
    table = read_source(source, options, problems, labels=False)
    if table is None:
        problems.fail(title)
    for kind, needed in (("images", images == "exist"), ("captions", captions)):
        if needed and getattr(table.part.used, _COLUMN[kind]) is None:
            problems.add(_no_column(table, kind))
    problems.raise_if_any(title)
    for messages in check_ids([table.part.rows]):
        problems.add(messages)
    found = with_images(folder, table, images == "exist")
    if not skip_bad_images:
        problems.add(found.faults.values())
        problems.add(embeddings_beside(folder) if found.faults else [])
    problems.raise_if_any(title)
    if notes is not None:
        notes += [*table.notes, *found.notes]
    return found.rows


def kinds_there(folder: Path, options: ReadOptions = _NOTHING_SAID) -> tuple[str, ...]:
    """Return what the labelled rows of a folder have for an encoder, from the columns alone.

    Returns:
        ``images``, ``captions`` or both; both if the folder can't be read.
    """
    both = ("images", "captions")
    sources = find_tables(folder, Problems())
    names = sources[0].names() if sources else []
    given = {kind: name for kind, name in options.columns.items() if kind in ROW_KINDS}
    used = find_columns(names, given, "", Problems(), kinds=ROW_KINDS, own=True)
    return tuple(kind for kind in both if getattr(used, _COLUMN[kind]) is not None) or both


def _read_tables(
    folder: Path, options: ReadOptions, problems: Problems
) -> tuple[list[ReadTable], ReadTable | None]:
    """Return the tables with labelled rows, and that of rows to predict if there is one."""
    labelled: list[ReadTable] = []
    test = None
    for source in find_tables(folder, problems):
        if options.skip_test and source.part == "test":
            continue
        first = sum(len(one.part.rows) for one in labelled)
        is_test = source.part == "test"
        table = read_source(
            source,
            options,
            problems,
            first=0 if is_test else first,
            before=labelled[0] if labelled else None,
        )
        if table is None:
            continue
        if is_test:
            test = table
        else:
            labelled.append(table)
    if labelled and labelled[0].source.part != "train":
        return [], test  # the labelled rows themselves couldn't be read
    return labelled, test


def _what_there_is(
    labelled: Sequence[ReadTable],
    test: ReadTable | None,
    images: ImageMode,
    options: ReadOptions,
    problems: Problems,
) -> tuple[str, ...]:
    """Return what the rows have for an encoder, and say where one table lacks what others have."""
    tables = [*labelled, *([] if test is None else [test])]
    has = []
    for kind in ("images", "captions"):
        if kind == "images" and images == "ignore":
            continue
        there = [getattr(one.part.used, _COLUMN[kind]) is not None for one in tables]
        if all(there):
            has.append(kind)
        elif any(there) and images == "exist" and kind not in options.optional:
            lacking = next(one for one, has_it in zip(tables, there, strict=True) if not has_it)
            other = next(one for one, has_it in zip(tables, there, strict=True) if has_it)
            rest = _MODALITY["captions" if kind == "images" else "images"]
            problems.add(
                f"{_no_column(lacking, kind)}, but {other.source.name} has one; --modalities "
                f"{rest} does without"
            )
    if not has and images == "exist" and not problems:
        problems.add(
            f"{labelled[0].source.name} has neither a column of images nor one of captions; say "
            f"which it is with {as_asked('image', '…')} or {as_asked('caption', '…')}"
        )
    return tuple(has)


def _no_column(table: ReadTable, kind: str) -> str:
    return f"{table.source.name} has no column of {_CALLED[kind]}"


def _split_column(labelled: Sequence[ReadTable]) -> tuple[str, ...] | None:
    """Return the part of each row: that of its table, or what its column says."""
    if len(labelled) == 1:
        column = labelled[0].part.split
        return None if column is None else tuple(column)
    return tuple(
        value
        for one in labelled
        for value in (
            ["val"] * len(one.part.rows)
            if one.source.part == "val"
            else one.part.split or ["train"] * len(one.part.rows)
        )
    )


def _groups(labelled: Sequence[ReadTable]) -> tuple[int, ...]:
    """Return the number of each row's picture, if one is on several rows."""
    if not any(one.groups for one in labelled):
        return ()
    numbers: list[int] = []
    for one in labelled:
        start = max(numbers, default=-1) + 1
        numbers += [start + n for n in one.groups or range(len(one.part.rows))]
    return tuple(numbers)


def _fingerprint(labelled: Sequence[ReadTable]) -> str:
    if len(labelled) == 1:
        return labelled[0].digest
    return hashlib.sha256("\n".join(one.digest for one in labelled).encode()).hexdigest()


def _mask(pictured: Pictured) -> np.ndarray:
    mask = np.ones(len(pictured.rows), dtype=bool)
    mask[list(pictured.faults)] = False
    return mask
