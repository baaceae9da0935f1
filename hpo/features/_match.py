"""Which rows of an array are ours: by file names, keys or captions that lie beside it."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

__all__ = ["ABSENT", "Match", "Wanted", "match_rows"]

ABSENT = -1
"""Stands for a row of ours that the array hasn't got."""

# What follows the last dot of a name only counts as a suffix if it is one: 'photo.v2' has none.
_SUFFIX = re.compile(
    r"\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|heic|npy|txt|json|mp4|wav|flac)$", re.IGNORECASE
)
_POSITIONS = frozenset(("", "unnamed: 0", "index", "row", "idx", "position", "level_0"))
# Columns of whole numbers that name nothing.
_MEASURES = frozenset(
    (
        "width",
        "height",
        "original_width",
        "original_height",
        "size",
        "label",
        "labels",
        "y",
        "split",
    )
)
_CAPTIONS = frozenset(("caption", "captions", "text", "texts", "sentence", "title"))
_IDS = (
    "imageid",
    "image_path",
    "image_id",
    "ids",
    "id",
    "key",
    "__key__",
    "keys",
    "filename",
    "file_name",
    "filenames",
    "image_name",
    "image_file",
    "image",
    "img",
    "path",
    "paths",
    "filepath",
    "file",
    "files",
    "name",
    "names",
    "url",
)


@dataclass(frozen=True)
class Wanted:
    """The rows that embeddings are to be found for.

    Attributes:
        ids: Their ImageIDs.
        captions: Their captions; empty if unknown.
        table: What the rows are called in messages.
        averaged: Whether rows have further captions, which count as much as these.
    """

    ids: Sequence[str]
    captions: Sequence[str]
    table: str
    averaged: bool = False

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Match:
    """The rows of an array in our order.

    Attributes:
        rows: int64 [N], the array's row for each of ours, or ``ABSENT``.
        by: The column that said so.
        by_id: Whether it has ImageIDs, rather than captions.
        doubts: What may not be as it was meant.
    """

    rows: np.ndarray
    by: str
    by_id: bool = True
    doubts: list[str] = field(default_factory=list)


def match_rows(
    columns: Mapping[str, Sequence[str]],
    wanted: Wanted,
    same: Callable[[int, int], bool],
    problems: list[str],
    where: str,
    *,
    reads_captions: bool,
) -> Match | None:
    """Find our rows by the columns that lie beside an array.

    Args:
        columns: What identifies the rows of the array, one text for each, by the column's name.
        wanted: Our rows.
        same: Says whether two rows of the array hold the same embedding.
        problems: Takes why the rows can't be told.
        where: Where the columns were found, for messages.
        reads_captions: Whether the embeddings are of captions.

    Returns:
        The rows; None if a problem was added, or if the columns are mere positions.
    """
    columns = {name: v for name, v in columns.items() if not _is_position(name, v, wanted.ids)}
    if not columns:
        return None
    found: dict[str, tuple[Match, list[str]]] = {}
    ranked = sorted(columns, key=_rank)
    for name in ranked:
        if name.lower() in _CAPTIONS:
            continue
        called = f"{where} ({name})" if len(columns) > 1 else where
        faults: list[str] = []
        match = _by_name(columns[name], wanted, same, faults, called, name)
        if match is None:
            continue
        whole = not faults and bool((match.rows != ABSENT).all())
        if _rank(name) < len(_IDS) or len(columns) == 1 or whole:  # a width may be a number, too
            found[name] = match, faults
    if found:
        best = max(found, key=lambda name: int((found[name][0].rows != ABSENT).sum()))
        result, faults = found[best]
        certain = [m for m, bad in found.values() if not bad and (m.rows != ABSENT).all()]
        names = [m for m in certain if not _counts(columns[m.by])]
        if names and len(names) < len(certain):  # what only counts the rows beside names of them
            certain = names
            result, faults = names[0], []
        other = next((m for m in certain[1:] if (m.rows != certain[0].rows).any()), None)
        if other is not None:
            faults = [
                f"{where} has '{certain[0].by}' and '{other.by}', which put the rows in different "
                "orders; remove the one that is wrong"
            ]
        problems += faults
        if faults:
            return None
        captions, changed = _other_captions(columns, result.rows, wanted)
        theirs = set(map(_plain, columns[captions])) if changed else set()
        if len(changed) > 1 and all(_plain(wanted.captions[index]) in theirs for index in changed):
            problems.append(
                f"{where} has '{result.by}' and '{captions}', which put the rows in different "
                "orders; remove the one that is wrong"
            )
            return None
        if changed and reads_captions:
            result.doubts.append(
                f"{where}: {len(changed)} captions are others than those of {wanted.table}, such "
                f"as that of '{wanted.ids[changed[0]]}', and the text embeddings are of those"
            )
        return result
    for name in ranked if any(wanted.captions) else ():
        faults = []
        match = _by_caption(columns[name], wanted, same, faults, where, name)
        problems += faults
        if faults:
            return None
        if match is not None and wanted.averaged:
            problems.append(
                f"{where} names rows by captions, but rows of {wanted.table} have several, whose "
                "mean is asked for; write the ImageIDs beside the array, or take --captions first "
                "or each"
            )
            return None
        if match is not None:
            return match
    first = columns[ranked[0]]
    problems.append(
        f"{where} names rows such as '{first[0]}', and none of {wanted.table}, whose ImageIDs are "
        f"such as '{wanted.ids[0]}'; mend it, or remove it if it is of something else"
    )
    return None


def _is_position(name: str, values: Sequence[str], ids: Sequence[str]) -> bool:
    """Say whether a column tells nothing of which rows there are: it counts them, or measures."""
    if name.lower() in _POSITIONS or name.lower() in _MEASURES:
        return True
    return _counts(values) and not any(_number(image_id) is not None for image_id in ids)


def _counts(values: Sequence[str]) -> bool:
    """Say whether values are 0, 1, 2, … or 1, 2, 3, …, perhaps with zeros before them."""
    return all(map(_is_number, values)) and any(
        all(int(value) == number for number, value in enumerate(values, start)) for start in (0, 1)
    )


def _rank(name: str) -> int:
    lower = name.lower()
    return _IDS.index(lower) if lower in _IDS else len(_IDS)


def _by_name(
    names: Sequence[str],
    wanted: Wanted,
    same: Callable[[int, int], bool],
    problems: list[str],
    where: str,
    column: str,
) -> Match | None:
    """Find each ImageID among names: whole, without suffix, then without its folders."""
    places: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        for form in _ends_of(name):
            places.setdefault(form, []).append(row)
    numbers: dict[int, list[int]] = {}
    if all(_is_number(name) for name in names):  # COCO's 139 is 000000000139.jpg
        for row, name in enumerate(names):
            numbers.setdefault(int(name), []).append(row)
    elsewhere: list[tuple[str, str]] = []

    def hits_of(image_id: str) -> list[int]:
        for depth, form in enumerate(_ends_of(image_id)):
            hits = places.get(form, [])
            if hits:
                if depth and not _agree(image_id, names[hits[0]]):
                    elsewhere.append((image_id, names[hits[0]]))
                return hits
        number = _number(image_id)
        return [] if number is None else numbers.get(number, [])

    rows, unclear = _first_rows(wanted.ids, hits_of, same)
    if not (rows != ABSENT).any():
        return None
    if unclear:
        image_id, first, second = unclear[0]
        problems.append(
            f"{where} has '{image_id}' on the rows {first} and {second}, but needs one row for "
            f"each ImageID ({len(unclear)} such)"
        )
    taken: dict[int, str] = {}
    for row, image_id in zip(rows.tolist(), wanted.ids, strict=True):
        if row != ABSENT and taken.setdefault(row, image_id) != image_id:
            problems.append(
                f"{where}: the ImageIDs '{taken[row]}' and '{image_id}' are both found in row "
                f"{row}, '{names[row]}'; names need the folders that tell them apart"
            )
            break
    doubts = []
    if elsewhere:
        mine, theirs = elsewhere[0]
        doubts.append(
            f"{where}: {len(elsewhere)} ImageIDs are found by file name alone, in other folders "
            f"('{mine}' in '{theirs}')"
        )
    return Match(rows, column, doubts=doubts)


def _by_caption(
    captions: Sequence[str],
    wanted: Wanted,
    same: Callable[[int, int], bool],
    problems: list[str],
    where: str,
    column: str,
) -> Match | None:
    """Find each of our captions; one that stands there twice must have one embedding."""
    places: dict[str, list[int]] = {}
    for row, caption in enumerate(captions):
        places.setdefault(_plain(caption), []).append(row)
    rows, unclear = _first_rows(
        wanted.captions, lambda caption: places.get(_plain(caption), []), same
    )
    if not (rows != ABSENT).any():
        return None
    if unclear:
        caption, first, second = unclear[0]
        problems.append(
            f"{where} names rows by captions alone, and the caption '{caption[:60]}' has different "
            f"embeddings on the rows {first} and {second} ({len(unclear)} such); write the "
            "ImageIDs beside the array"
        )
        return None
    return Match(rows, column, by_id=False)


def _first_rows(
    texts: Sequence[str],
    hits_of: Callable[[str], Sequence[int]],
    same: Callable[[int, int], bool],
) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """Return the first row of each text.

    Args:
        texts: Our names or captions.
        hits_of: Returns the rows of the array that a text stands for.
        same: Says whether two of them hold the same embedding.

    Returns:
        int64 [N], ``ABSENT`` where there is none; and texts that stand for rows which differ, each
        with two of these.
    """
    rows = np.full(len(texts), ABSENT, dtype=np.int64)
    unclear = []
    for index, text in enumerate(texts):
        hits = hits_of(text)
        if not hits:
            continue
        different = next((row for row in hits[1:] if not same(hits[0], row)), None)
        if different is not None:
            unclear.append((text, hits[0], different))
        rows[index] = hits[0]
    return rows, unclear


def _other_captions(
    columns: Mapping[str, Sequence[str]], rows: np.ndarray, wanted: Wanted
) -> tuple[str, list[int]]:
    """Return the column of captions beside the array, and which of ours are others than there."""
    name = next((name for name in columns if name.lower() in _CAPTIONS), "")
    if not name or not any(wanted.captions):
        return name, []
    theirs = columns[name]
    return name, [
        index
        for index, row in enumerate(rows.tolist())
        if row != ABSENT and _plain(theirs[row]) != _plain(wanted.captions[index])
    ]


def _clean(name: str) -> str:
    if "://" in name:
        name = re.split(r"[?#]", name, maxsplit=1)[0]
    return unicodedata.normalize("NFC", name.strip()).replace("\\", "/").removeprefix("./")


def _forms(name: str) -> tuple[str, ...]:
    """Return a name as it is, and without its suffix."""
    bare = _SUFFIX.sub("", name)
    return (name,) if bare == name else (name, bare)


def _ends_of(name: str) -> Iterator[str]:
    """Yield all ends of a path, the longest first, each with and without the suffix."""
    parts = [part for part in _clean(name).split("/") if part]
    for start in range(len(parts)):
        yield from _forms("/".join(parts[start:]))


def _agree(image_id: str, name: str) -> bool:
    """Say whether the folders of two paths are the same, as far as both have any."""
    mine = PurePosixPath(_clean(image_id)).parts[:-1]
    theirs = PurePosixPath(_clean(name)).parts[:-1]
    shared = min(len(mine), len(theirs))
    return shared == 0 or mine[-shared:] == theirs[-shared:]


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _number(image_id: str) -> int | None:
    stem = _SUFFIX.sub("", _clean(image_id).rpartition("/")[2])
    return int(stem) if _is_number(stem) else None


def _plain(caption: str) -> str:
    return " ".join(unicodedata.normalize("NFC", caption).split())
