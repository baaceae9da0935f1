"""One table of a data folder, from its file to its rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpo.data._captions import with_captions
from hpo.data._columns import (
    ALL_OTHERS,
    KINDS,
    ROW_KINDS,
    Columns,
    as_list,
    find_columns,
    listed,
    near_misses,
)
from hpo.data._dataset import TableUsed
from hpo.data._label_columns import guess_class_columns
from hpo.data._parts import ReadOptions, TablePart, part_of
from hpo.data._problems import Problems
from hpo.data._sources import TableSource
from hpo.data._table import Table
from hpo.notes import Note

__all__ = ["ReadTable", "as_asked", "class_columns", "read_source"]

_PLURAL = {"image": "images", "caption": "captions", "split": "parts"}


@dataclass(frozen=True)
class ReadTable:
    """A table that was read.

    Attributes:
        source: Where it was.
        part: Its rows, with captions.
        digest: SHA-256 of its bytes.
        groups: For each row the number of its picture; empty if none is on several rows.
        notes: How it was read.
    """

    source: TableSource
    part: TablePart
    digest: str
    groups: tuple[int, ...] = ()
    notes: tuple[Note, ...] = ()

    def used(self) -> TableUsed:
        """Return what is told of the table."""
        columns = {kind: name for kind, name in vars(self.part.used).items() if name is not None}
        return TableUsed(self.source.name, self.source.part, len(self.part.rows), columns)


def read_source(
    source: TableSource,
    options: ReadOptions,
    problems: Problems,
    *,
    first: int = 0,
    classes: Any = None,
    labels: bool = True,
) -> ReadTable | None:
    """Read a table of a data folder.

    Args:
        source: Where it is.
        options: How to read what isn't unmistakable.
        problems: Takes what is wrong.
        first: The number of its first row, where nothing else names the rows.
        classes: For a table of rows to predict: the column or columns of labels in the table of
            the labelled rows.
        labels: Whether labels are looked at.
    """
    is_test = source.part == "test"
    given = dict(options.columns)
    kinds = KINDS if labels and not is_test else (*ROW_KINDS, "labels")

    def used_of(names: Sequence[Any], problems: Problems) -> Columns:
        asked = {kind: value for kind, value in given.items() if kind in kinds}
        if is_test or not labels:
            known = set(as_list(classes)) <= set(names)
            asked["labels"] = classes if labels and known else None
        return find_columns(
            names, asked, source.name, problems, kinds=kinds, own=True, ask=as_asked
        )

    def caption_of(header: Sequence[str]) -> str | None:
        caption = used_of(header, Problems()).caption
        return caption if isinstance(caption, str) and caption in header else None

    table, digest = source.read(problems, caption_of, options.unpack)
    if table is None:
        return None
    faults = Problems()
    used = used_of(list(table.columns), faults)
    notes = [*source.notes, *table.notes]
    if not is_test and labels and not faults:
        used, said = class_columns(table, used, faults, as_asked)
        notes += said
    if faults:
        problems.add(faults.listed())
        return None
    if labels:
        notes += _left_notes(table, used)
    part = part_of(table, used, problems, first=first)
    captioned = with_captions(part, options.captions, problems)
    return ReadTable(
        source,
        captioned.part,
        digest,
        captioned.groups,
        (*notes, *captioned.notes),
    )


def class_columns(
    table: Table, used: Columns, problems: Problems, ask: Any
) -> tuple[Columns, list[Note]]:
    """Say which columns have the labels, if no column of labels was found by its name.

    Args:
        table: The table.
        used: What was found.
        problems: Takes that there are none.
        ask: As for ``find_columns``.
    """
    if used.labels == ALL_OTHERS:
        return replace(used, labels=unused_columns(table.columns, used)), []
    if used.labels is not None:
        return used, []
    guessed = guess_class_columns(table, used)
    if not guessed:
        problems.add(
            f"{table.name} has no column of labels; say which it is with {ask('labels', '…')}; its "
            f"columns are {listed(table.columns)}"
        )
        return used, []
    note = Note(
        f"{table.name}: the labels are its {len(guessed)} columns of zeros and ones, "
        f"{listed(guessed)}",
        doubtful=False,
    )
    return replace(used, labels=guessed), [note]


def _left_notes(table: Table, used: Columns) -> list[Note]:
    """Say which columns are not read, and which of them were perhaps meant."""
    unused = unused_columns(table.columns, used)
    if not unused:
        return []
    notes = [
        Note(
            f"{table.name}: '{name}' isn't read, but may be the column of {_PLURAL[kind]}; say it "
            f"with {as_asked(kind, name)}, or rename it"
        )
        for kind, name in near_misses(used, unused).items()
    ]
    what = "1 column isn't" if len(unused) == 1 else f"{len(unused)} columns aren't"
    return [*notes, Note(f"{table.name}: {what} read: {listed(unused)}", doubtful=False)]


def unused_columns(names: Iterable[Any], used: Columns) -> tuple[Any, ...]:
    """Return the columns that are nothing."""
    values: Mapping[str, Any] = vars(used)
    taken = {name for value in values.values() for name in as_list(value)}
    return tuple(name for name in names if name not in taken)


def as_asked(kind: str, name: Any) -> str:
    """Return how to say on the command line which column is of a kind."""
    return f"--columns {kind}={name}"
