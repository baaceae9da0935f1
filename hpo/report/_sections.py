"""What a report is made of: sections with a table, pictures and lines of text."""

import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["Picture", "ResultTable", "Section"]


@dataclasses.dataclass(frozen=True)
class ResultTable:
    """A table of text; all columns but the first hold numbers, unless ``words`` names them.

    Attributes:
        name: Its heading.
        head: Names of the columns.
        rows: The cells of each row.
        words: Names of further columns that don't hold numbers.
        marked: Places of the rows that stand out, such as a stage's winner.
        pictures: For each row a data URI of its picture, empty where there is none; or nothing.
        records: What the files of the table hold, in all digits; None for what the cells say.
        key: Of its files; by default they are named after the heading.
    """

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[str, ...] = ()
    marked: frozenset[int] = frozenset()
    pictures: tuple[str, ...] = ()
    records: tuple[Mapping[str, Any], ...] | None = None
    key: str = ""

    @property
    def numbers(self) -> tuple[bool, ...]:
        """Whether each column holds numbers."""
        return (False, *(name not in self.words for name in self.head[1:]))

    def values(self) -> list[dict[str, Any]]:
        """Return the rows as they are written to files, numbers as numbers."""
        if self.records is not None:
            return [dict(record) for record in self.records]
        return [
            {
                name: _number(cell) if number else cell
                for name, cell, number in zip(self.head, row, self.numbers, strict=True)
            }
            for row in self.rows
        ]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        path: Of its file, relative to the report's folder.
        alt: What it shows, for who can't see it.
        caption: Below it; may be empty.
    """

    path: str
    alt: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        name: Its heading.
        table: Its table, if it has one.
        pictures: Below the table.
        text: Lines above the table.
        aside: Beside the heading, such as what the paper calls it.
    """

    name: str
    table: ResultTable | None = None
    pictures: tuple[Picture, ...] = ()
    text: tuple[str, ...] = ()
    aside: str = ""


def _number(cell: str) -> Any:
    """Return what a cell says as a number; None for an empty one, and other text as it is."""
    plain = cell.replace(",", "")
    if not plain:
        return None
    for kind in (int, float):
        try:
            return kind(plain)
        except ValueError:
            continue
    return cell
