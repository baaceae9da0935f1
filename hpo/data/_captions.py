"""Several captions of a picture: in one cell, in several columns, or on several rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpo.data._parts import CaptionRule, TablePart
from hpo.data._problems import Problems
from hpo.data._rows import Rows
from hpo.notes import Note

__all__ = ["CaptionedPart", "with_captions"]

_DONE = {
    "mean": "the embeddings of a picture's captions are averaged",
    "first": "the first caption of a picture is read, the others aren't",
    "each": "each caption has a row of its own",
}


@dataclass(frozen=True)
class CaptionedPart:
    """A part of which each row has its captions.

    Attributes:
        part: The rows, with captions.
        groups: For each row the number of its picture; empty if no picture is on several rows.
        notes: What was done.
    """

    part: TablePart
    groups: tuple[int, ...] = ()
    notes: tuple[Note, ...] = ()


def with_captions(
    part: TablePart, rule: CaptionRule | None, problems: Problems, *, encodes: bool = True
) -> CaptionedPart:
    """Give each row its caption or captions.

    Captions in one cell are averaged if no rule is given. A picture on several rows is read as one
    with several captions only if there is a rule; then these rows must agree in all else.

    Args:
        part: The rows as their table has them.
        rule: What several captions of a picture mean.
        problems: Takes what is wrong.
        encodes: Whether captions are encoded; else a row's embedding is what it is, and nothing is
            to be said of its captions.
    """
    if part.captions is None:
        return CaptionedPart(part)
    if all(len(texts) < 2 for texts in part.captions) and len(set(part.pictured)) == len(part.rows):
        single = [texts[0] if texts else "" for texts in part.captions]
        return CaptionedPart(_with(part, single, ()))
    places = _places_by_picture(part)
    repeated = [rows for rows in places if len(rows) > 1]
    merged = part
    if repeated and rule is None:
        _say_how(part, repeated, problems)
        places = [[row] for row in range(len(part.rows))]
    elif repeated:
        _check_agreement(part, repeated, problems)
        merged = _take(part, [rows[0] for rows in places])
    captions = [
        list(dict.fromkeys(text for row in rows for text in part.captions[row])) for rows in places
    ]
    several = sum(len(texts) > 1 for texts in captions)
    if not several:
        first = [texts[0] if texts else "" for texts in captions]
        return CaptionedPart(_with(merged, first, ()))
    chosen = rule or "mean"
    total = sum(len(texts) for texts in captions)
    note = Note(
        f"{part.rows.source}: {several:,} of {len(captions):,} pictures have several captions "
        f"({total:,} in all), and {_DONE[chosen]} (--captions {chosen}"
        + ("; or first, each)" if rule is None else ")"),
        doubtful=rule is None,
    )
    first = [texts[0] if texts else "" for texts in captions]
    if chosen == "each":
        return _each(merged, captions, note)
    further = tuple(tuple(texts[1:]) for texts in captions) if chosen == "mean" else ()
    return CaptionedPart(_with(merged, first, further), notes=(note,) if encodes else ())


def _places_by_picture(part: TablePart) -> list[list[int]]:
    """Return the rows of each picture, in the order of their first ones."""
    places: dict[object, list[int]] = {}
    for row, picture in enumerate(part.pictured):
        places.setdefault(picture or row, []).append(row)
    return list(places.values())


def _say_how(part: TablePart, repeated: Sequence[Sequence[int]], problems: Problems) -> None:
    """Name the way on where pictures are on several rows with different captions."""
    assert part.captions is not None  # the caller has looked
    differ = sum(len({tuple(part.captions[row]) for row in rows}) > 1 for rows in repeated)
    if differ:
        said = "picture is" if differ == 1 else "pictures are"
        problems.add(
            f"{part.rows.source}: {differ:,} {said} on several rows with different captions; "
            "say what that means with --captions mean, first or each"
        )


def _check_agreement(
    part: TablePart, repeated: Sequence[Sequence[int]], problems: Problems
) -> None:
    """Say where the rows of a picture differ in more than their captions."""
    for cells, what in ((part.labels, "labels"), (part.split, "part")):
        if cells is None:
            continue
        problems.add(
            f"{part.rows.place(row)}: the {what} of '{part.pictured[row]}' are {cells[row]!r}, but "
            f"{cells[rows[0]]!r} on {part.rows.place(rows[0])}; the rows of a picture must agree"
            for rows in repeated
            for row in rows[1:]
            if repr(cells[row]) != repr(cells[rows[0]])
        )


def _each(part: TablePart, captions: Sequence[Sequence[str]], note: Note) -> CaptionedPart:
    """Make a row of each caption; the rows of a picture have a number after its name."""
    rows = [
        (row, number, text)
        for row, texts in enumerate(captions)
        for number, text in enumerate(texts or [""])
    ]
    expanded = _take(part, [row for row, _, _ in rows])
    ids = tuple(
        f"{part.rows.ids[row]}#{number}" if len(captions[row]) > 1 else part.rows.ids[row]
        for row, number, _ in rows
    )
    expanded = replace(expanded, rows=replace(expanded.rows, ids=ids))
    return CaptionedPart(
        _with(expanded, [text for _, _, text in rows], ()),
        tuple(row for row, _, _ in rows),
        (note,),
    )


def _with(
    part: TablePart, captions: Sequence[str], further: tuple[tuple[str, ...], ...]
) -> TablePart:
    rows = replace(part.rows, captions=tuple(captions), further=further)
    return replace(part, rows=rows)


def _take(part: TablePart, index: Sequence[int]) -> TablePart:
    """Return some rows of a part, in this order."""

    def some(values: Sequence[Any] | None) -> list[Any] | None:
        return None if values is None else [values[row] for row in index]

    rows = Rows(
        ids=tuple(part.rows.ids[row] for row in index),
        captions=tuple(part.rows.captions[row] for row in index),
        images=None,
        lines=tuple(part.rows.lines[row] for row in index) if part.rows.lines else (),
        table=part.rows.table,
        numbers=() if part.rows.lines else tuple(index),
    )
    return replace(
        part,
        rows=rows,
        pictures=some(part.pictures),
        captions=some(part.captions),
        labels=some(part.labels),
        split=some(part.split),
    )
