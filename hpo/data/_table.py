"""A table of any format, as its columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo.notes import Note

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """The records of one table, in order.

    Attributes:
        name: What the table is called in messages, such as ``train.csv``.
        columns: For each column the cells of the N records: text as written, or values of Python.
        lines: The line on which each record begins, the header's being 1; empty if there are none.
        class_names: For columns whose cells are numbers of classes, what each number stands for.
        notes: How the table was read.
    """

    name: str
    columns: Mapping[Any, tuple[Any, ...]]
    lines: tuple[int, ...] = ()
    class_names: Mapping[Any, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))
