"""Embeddings in the order of our rows: by what lies beside them, or on trust, which is said."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpo.features._arrays import Source, described
from hpo.features._found import Found
from hpo.features._match import ABSENT, Match, Wanted, match_rows
from hpo.features._modalities import ENCODED
from hpo.notes import Note

__all__ = ["Ordered", "length_notes", "notes_on", "order_rows", "type_notes", "zero_notes"]

_NAMED = 5
#: Embeddings of one caption differ by rounding; by how much, of their largest value.
_TOLERANCE = 0.01
#: Vectors of one encoder are of about the same length, in the mean over rows.
_MOST_LONGER = 2


@dataclass(frozen=True)
class Ordered:
    """Embeddings of one modality for one part of our rows.

    Attributes:
        source: The embeddings; a row ``ABSENT`` stands for one that they lack.
        table: What our rows are called.
        by: What the order was taken from; empty if it was taken on trust.
        certain: What would make it certain.
        unused: How many rows of the array are none of ours.
        doubts: What may not be as it was meant.
    """

    source: Source
    table: str
    by: str = ""
    certain: str = ""
    unused: int = 0
    doubts: Sequence[str] = ()


def order_rows(
    found: Found,
    modality: str,
    parts: Mapping[str, Wanted],
    problems: list[str],
    *,
    matched: bool,
    own_test: bool,
    skip: bool,
) -> dict[str, Ordered]:
    """Return what an array has for our rows, by part.

    Args:
        found: The array, and what lies beside it.
        modality: Which it is.
        parts: Our rows: ``train``, and perhaps ``test``.
        problems: Takes why it can't be used.
        matched: Whether our rows have names to compare.
        own_test: Whether the rows of test.csv have an array of their own.
        skip: Whether rows may be absent.
    """
    holds_both = found.holds != "test" and "test" in parts and not own_test
    own = "test" if found.holds == "test" else "train"
    wanted = _joined(parts["train"], parts["test"]) if holds_both else parts[own]
    found = found if found.columns or not matched else _with_perhaps(found, wanted, len(parts[own]))
    if not matched or not found.columns:
        return _on_trust(found, parts, problems)
    before = len(problems)
    match = match_rows(
        found.columns,
        wanted,
        lambda first, second: _same(found, first, second),
        problems,
        found.where,
        reads_captions=modality in ENCODED and ENCODED[modality].reads == "captions",
    )
    if match is None:
        return {} if len(problems) > before else _on_trust(found, parts, problems)
    if not holds_both:
        return _placed(found, match, {own: wanted}, problems, skip)
    count = len(parts["train"])
    there = (match.rows[count:] != ABSENT).any()
    if not there:
        match = replace(match, rows=match.rows[:count])
    return _placed(
        found, match, dict(parts) if there else {"train": parts["train"]}, problems, skip
    )


def notes_on(ordered: Mapping[tuple[str, str], Ordered]) -> list[Note]:
    """Say how embeddings were put in order, one line for all that are alike."""
    notes = []
    on_trust: dict[tuple[str, str], list[str]] = {}
    said: dict[tuple[str, str], list[str]] = {}
    for one in ordered.values():
        key = (one.table, one.by or one.certain)
        (said if one.by else on_trust).setdefault(key, []).append(one.source.name)
        notes += [Note(doubt) for doubt in one.doubts]
        if one.unused:
            rows = "1 row is" if one.unused == 1 else f"{one.unused:,} rows are"
            text = f"{one.source.name}: {rows} none of {one.table}, and not used"
            notes.append(Note(text, doubtful=False))
    for (table, certain), names in on_trust.items():
        listed = ", ".join(dict.fromkeys(names))
        notes.append(
            Note(
                f"{listed}: the order was taken on trust to be that of {table}; it would be "
                f"certain with {certain}"
            )
        )
    for (table, by), names in said.items():
        listed = ", ".join(dict.fromkeys(names))
        notes.append(Note(f"{listed}: in the order of {table} by {by}", doubtful=False))
    return list(dict.fromkeys(notes))


def type_notes(found: Iterable[Found]) -> list[Note]:
    """Say which embeddings are of a type that is converted."""
    notes = []
    for one in found:
        if one.unread:
            unread = ", ".join(one.unread)
            verb = "isn't" if len(one.unread) == 1 else "aren't"
            notes.append(Note(f"{one.name}: {unread} beside it {verb} read", doubtful=False))
        if one.made_of:
            ends = f"'{one.made_of[0]}' to '{one.made_of[-1]}'"
            alike = len({re.sub(r"\d+$", "", name) for name in one.made_of}) == 1
            text = f"{one.name}: its {len(one.made_of):,} columns of floats, {ends}, are one vector"
            notes.append(Note(text, doubtful=not alike))
        types = {array.dtype.name for array in one.arrays}
        if "float64" in types:
            notes.append(Note(f"{one.name} is float64, and kept as float16", doubtful=False))
        if "int8" in types:
            notes.append(
                Note(
                    f"{one.name} is int8, and taken as embeddings that were quantised with one "
                    "factor for all values; float16 or float32 make it certain"
                )
            )
    return notes


def length_notes(sources: Mapping[tuple[str, str], Source]) -> list[Note]:
    """Say where the embeddings of the two parts are of other lengths, as if scaled otherwise."""
    notes = []
    for (part, name), source in sources.items():
        other = sources.get(("test", name))
        if part != "train" or other is None:
            continue
        ours, theirs = _length(source), _length(other)
        if min(ours, theirs) > 0 and max(ours, theirs) > _MOST_LONGER * min(ours, theirs):
            notes.append(
                Note(
                    f"{source.name} has vectors of length {ours:.3g} in the mean, but {other.name} "
                    f"of {theirs:.3g}; a model takes them for scaled alike"
                )
            )
    return notes


def _length(source: Source) -> float:
    """Return how long vectors are in the mean of the first rows."""
    for _, values in source.blocks():
        return float(np.linalg.norm(values, axis=1).mean())
    return 0.0


def zero_notes(name: str, rows: Sequence[int]) -> list[Note]:
    """Say which rows of embeddings are zero as a whole, if any."""
    text = f"{name} has only zeros in {described(rows)}, as where nothing could be encoded"
    return [Note(text)] if rows else []


def _with_perhaps(found: Found, wanted: Wanted, least: int) -> Found:
    """Take the first file of another name that has the first ``least`` ImageIDs in a column."""
    for where, columns in found.perhaps.items():
        for name, values in columns.items():
            match = match_rows({name: values}, wanted, _never, [], where, reads_captions=False)
            if match is not None and (match.rows[:least] != ABSENT).all() and match.by_id:
                return replace(found, columns={name: values}, where=where)
    return found


def _never(_first: int, _second: int) -> bool:
    return False


def _joined(train: Wanted, test: Wanted) -> Wanted:
    captions = [*train.captions, *test.captions] if train.captions and test.captions else ()
    return Wanted([*train.ids, *test.ids], captions, train.table, train.averaged)


def _placed(
    found: Found, match: Match, parts: Mapping[str, Wanted], problems: list[str], skip: bool
) -> dict[str, Ordered]:
    """Divide the rows among the parts, and say which are absent."""
    by = f"{found.where} ({match.by})" if len(found.columns) > 1 else found.where
    ids = [image_id for wanted in parts.values() for image_id in wanted.ids]
    absent = [ids[index] for index in np.flatnonzero(match.rows == ABSENT)]
    if absent and not skip:
        listed = ", ".join(f"'{image_id}'" for image_id in absent[:_NAMED])
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        problems.append(
            f"{found.where} has no row for the ImageIDs {listed}{more}; --skip-bad-images leaves "
            "rows without embeddings out"
        )
        return {}
    unused = len(found) - len(np.unique(match.rows[match.rows != ABSENT]))
    result: dict[str, Ordered] = {}
    start = 0
    for part, wanted in parts.items():
        rows = match.rows[start : start + len(wanted)]
        start += len(wanted)
        first = not result
        result[part] = Ordered(
            Source(found.name, found.arrays, rows),
            wanted.table,
            by,
            unused=unused if first else 0,
            doubts=match.doubts if first else (),
        )
    return result


def _on_trust(found: Found, parts: Mapping[str, Wanted], problems: list[str]) -> dict[str, Ordered]:
    """Take the rows in the order in which they stand."""
    count = len(found)
    if found.holds != "both":
        part = found.holds
        wanted = parts[part]
        if count != len(wanted):
            others = parts.get("test") if part == "train" else None
            hint = ""
            if others is not None and count == len(wanted) + len(others):
                hint = f"; put those of {others.table} into a file of their own"
            problems.append(
                f"{found.name} has {count} rows, but {wanted.table} has {len(wanted)}{hint}"
            )
            return {}
        rows = np.arange(count)
        source = Source(found.name, found.arrays, rows)
        return {part: Ordered(source, wanted.table, certain=found.certain)}
    train = parts["train"]
    test_rows = len(parts["test"]) if "test" in parts else 0
    if count not in (len(train), len(train) + test_rows):
        both = f" or, with {parts['test'].table}, {len(train) + test_rows}" if test_rows else ""
        problems.append(f"{found.name} has {count} rows, but {train.table} has {len(train)}{both}")
        return {}
    order = np.arange(count)
    result = {}
    bounds: Iterable[tuple[str, np.ndarray]] = [("train", order[: len(train)])]
    if count > len(train):
        bounds = [*bounds, ("test", order[len(train) :])]
    for part, rows in bounds:
        source = Source(found.name, found.arrays, rows)
        result[part] = Ordered(source, parts[part].table, certain=found.certain)
    return result


def _same(found: Found, first: int, second: int) -> bool:
    """Say whether two rows hold one embedding, but for rounding."""
    source = Source(found.name, found.arrays, np.array([first, second]))
    (_, values), *_ = source.blocks()
    largest = float(np.abs(values).max(initial=0.0))
    return bool(np.abs(values[0] - values[1]).max(initial=0.0) <= _TOLERANCE * largest)
