"""One table of a data folder, from its file to its rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
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
from hpo.data._images import IMAGE_SUFFIXES
from hpo.data._label_columns import bit_columns, guess_class_columns, hardly_classes
from hpo.data._label_values import is_missing
from hpo.data._parts import ReadOptions, TablePart, part_notes, part_of, parts_in
from hpo.data._problems import Problems
from hpo.data._sources import TableSource
from hpo.data._table import Table
from hpo.notes import Note

__all__ = [
    "ReadTable",
    "as_asked",
    "class_columns",
    "left_notes",
    "of_another_part",
    "other_labels",
    "read_source",
]

#: Columns that say in numbers, or in True and False, which rows are of which part.
_MAY_DIVIDE = frozenset(
    ("is_train", "is_val", "is_valid", "is_validation", "is_test", "fold", "kfold", "train_test")
)
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
    before: ReadTable | None = None,
    labels: bool = True,
) -> ReadTable | None:
    """Read a table of a data folder.

    Args:
        source: Where it is.
        options: How to read what isn't unmistakable.
        problems: Takes what is wrong.
        first: The number of its first row, where nothing else names the rows.
        before: The first table of labelled rows, where this is a further one or has rows to
            predict: its labels say how those of this one are read.
        labels: Whether labels are looked at.
    """
    is_test = source.part == "test"
    given = dict(options.columns)
    kinds = KINDS if labels else (*ROW_KINDS, "labels")
    classes = None if before is None else before.part.used.labels

    def used_of(names: Sequence[Any], problems: Problems) -> Columns:
        asked = {kind: value for kind, value in given.items() if kind in kinds}
        if is_test or not labels:
            known = set(as_list(classes)) <= set(names)
            asked["labels"] = classes if labels and known else None
        if source.part != "train" and asked.get("split") not in names:
            asked.pop("split", None)  # the table's name says which part it is
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
    used = _named_rows(table, used, "id" in given)
    if used.name is not None:
        table, said = _without_empty_end(table)
        notes += said
    if not is_test and labels and not faults:
        if before is None:
            used, said = class_columns(table, used, faults, as_asked)
        else:
            used, said = _like_before(table, used, before, faults)
        notes += said
    if faults:
        problems.add(faults.listed())
        return None
    if labels:
        notes += left_notes(table, used, as_asked)
    if is_test and labels:
        notes += other_labels(table, used, classes)
    part = part_of(table, used, problems, first=first)
    if part is None:
        return None
    if labels and source.part != "train":
        problems.add(of_another_part(part, source.part))
    notes += part_notes(part, table)
    captioned = with_captions(part, options.captions, problems, encodes=options.encodes)
    return ReadTable(
        source,
        captioned.part,
        digest,
        captioned.groups,
        (*notes, *captioned.notes),
    )


def _without_empty_end(table: Table) -> tuple[Table, list[Note]]:
    """Leave out rows without content at the end, which spreadsheets write for what was deleted."""
    cells = list(table.columns.values())
    count = len(table)
    while count and all(column[count - 1] in ("", None) for column in cells):
        count -= 1
    left = len(table) - count
    if not left or not count:
        return table, []
    kept = {name: column[:count] for name, column in table.columns.items()}
    note = Note(f"{table.name}: {left:,} rows at its end are empty, and left out", doubtful=False)
    return replace(table, columns=kept, lines=table.lines[:count]), [note]


def _named_rows(table: Table, used: Columns, asked: bool) -> Columns:
    """Return the columns without that of the rows' names, if it was guessed and names repeat.

    Beside images it may be that of a picture on several rows.
    """
    if asked or used.id is None or used.image is not None:
        return used
    cells = table.columns[used.id]
    unique = len(set(map(str, cells))) == len(cells) and not any(map(is_missing, cells))
    return used if unique else replace(used, id=None)


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
        near = near_misses(used, unused_columns(table.columns, used)).get("labels", "…")
        said = f"{table.name} has no column of labels; say which it is with {ask('labels', near)}; "
        if near == "…" and (bits := bit_columns(table, used)):
            said += f"{listed(bits)} {'has' if len(bits) == 1 else 'have'} zeros and ones alone; "
        said += f"its columns are {listed(table.columns)}"
        suffixes = {PurePath(str(name)).suffix.lower() for name in table.columns}
        if table.lines and not suffixes.isdisjoint(IMAGE_SUFFIXES):
            said += "; its first line looks like a row, but must have the names of the columns"
        problems.add(said)
        return used, []
    said = (
        f"{table.name}: the labels are its {len(guessed)} columns of zeros and ones, "
        f"{listed(guessed)}"
    )
    odd = hardly_classes(guessed)
    if odd:
        classes = [name for name in guessed if name not in odd]
        said += (
            f"; {listed(odd)} may be something else: "
            + (ask("labels", ",".join(map(str, classes[:3]))) + ("…" if len(classes) > 3 else ""))
            + " leaves it out"
        )
    return replace(used, labels=guessed), [Note(said, doubtful=bool(odd))]


def left_notes(table: Table, used: Columns, ask: Callable[[str, Any], str]) -> list[Note]:
    """Say which columns are not read, and which of them were perhaps meant.

    Args:
        table: The table.
        used: What is read of it.
        ask: As for ``find_columns``.
    """
    unused = unused_columns(table.columns, used)
    if not unused:
        return []
    notes = [
        Note(
            f"{table.name}: '{name}' isn't read, but may be the column of {_PLURAL[kind]}; say it "
            f"with {ask(kind, name)}, or rename it"
        )
        for kind, name in near_misses(used, unused).items()
        if kind in _PLURAL
    ]
    if used.split is None:
        notes += [
            Note(
                f"{table.name}: '{name}' isn't read, but has a part on each row; say it with "
                f"{ask('split', name)}, or delete it"
            )
            for name in unused
            if parts_in(table.columns[name])
        ]
        notes += [
            Note(
                f"{table.name}: '{name}' isn't read, but may say of which part each row is; write "
                "a column Split with train, val or test in its place, or delete it"
            )
            for name in unused
            if str(name).strip().lower() in _MAY_DIVIDE
        ]
    what = "1 column isn't" if len(unused) == 1 else f"{len(unused)} columns aren't"
    return [*notes, Note(f"{table.name}: {what} read: {listed(unused)}", doubtful=False)]


def _like_before(
    table: Table, used: Columns, before: ReadTable, problems: Problems
) -> tuple[Columns, list[Note]]:
    """Say which columns have the labels of further labelled rows: as in the table before.

    Columns of zeros and ones are read in the order that they have there.

    Args:
        table: The table.
        used: What was found.
        before: The first table of labelled rows.
        problems: Takes that the labels are written in another way.
    """
    classes, other = before.part.used.labels, before.source.name
    if not isinstance(classes, tuple):
        used, notes = class_columns(table, used, problems, as_asked)
        if isinstance(used.labels, tuple):
            problems.add(_written_otherwise(table, used, other, classes))
        return used, notes
    if used.labels == ALL_OTHERS:
        used = replace(used, labels=unused_columns(table.columns, used))
    if used.labels is not None and not isinstance(used.labels, tuple):
        problems.add(_written_otherwise(table, used, other, classes))
        return used, []
    lacking = [name for name in classes if name not in table.columns]
    if lacking:
        problems.add(
            f"{table.name} lacks {listed(lacking)} of the columns of labels that {other} has; add "
            "them, with zeros if no row has the class"
        )
    used = replace(used, labels=classes)
    more = bit_columns(table, used)
    if not more:
        return used, []
    said = (
        f"{table.name}: {listed(more)} may be classes, but {other} has no such columns, so they "
        f"aren't read; add them to {other}, with zeros if no row has the class"
    )
    return used, [Note(said)]


def _written_otherwise(table: Table, used: Columns, other: str, classes: Any) -> str:
    return (
        f"{table.name} has its labels in {listed(as_list(used.labels))}, but {other} has them in "
        f"{listed(as_list(classes))}; write both in one way"
    )


def of_another_part(part: TablePart, called: str) -> list[str]:
    """Say which rows of a table with a part's name are of another part by a column of theirs."""
    return [
        f"{part.rows.place(row)}: {part.used.split} is '{said}', but the rows of "
        f"{part.rows.source} are '{called}'; delete the column, or put all rows into one table"
        for row, said in enumerate(part.split or ())
        if said != called
    ]


def other_labels(table: Table, used: Columns, classes: Any) -> list[Note]:
    """Say which columns of rows to predict may be labels, but are called otherwise than before.

    Args:
        table: The table.
        used: What is read of it.
        classes: The column or columns of labels in the table of the labelled rows.
    """
    if used.labels is not None or classes is None:
        return []
    unused = unused_columns(table.columns, used)
    called = as_list(classes)
    there = [name for name in unused if name in called]
    if there:
        lacking = [name for name in called if name not in there]
        return [
            Note(
                f"{table.name} has {len(there)} of the {len(called)} columns of labels and lacks "
                f"{listed(lacking)}, so its labels aren't read; add these, or delete the others"
            )
        ]
    near = near_misses(Columns(image="", caption="", split=""), unused).get("labels")
    if near is None:
        return []
    return [
        Note(
            f"{table.name}: '{near}' isn't read, but may be the column of labels, which is called "
            f"{listed(called)} elsewhere; name it so, or delete it"
        )
    ]


def unused_columns(names: Iterable[Any], used: Columns) -> tuple[Any, ...]:
    """Return the columns that are nothing."""
    values: Mapping[str, Any] = vars(used)
    taken = {name for value in values.values() for name in as_list(value)}
    return tuple(name for name in names if name not in taken)


def as_asked(kind: str, name: Any) -> str:
    """Return how to say on the command line which column is of a kind."""
    return f"--columns {kind}={name}"
