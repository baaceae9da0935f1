"""The floor in words and in tables: what a study has to beat."""

import dataclasses
from collections.abc import Sequence

from hpo.results import Floor, FloorLine
from hpo.search import FRONT, StageTable, TableRow

__all__ = ["floor_lines", "floor_table", "with_floor"]

_SHOWN = ("micro_f1", "macro_f1")


def floor_lines(floor: Floor) -> list[str]:
    """Return a line for each baseline, to be printed."""
    return [
        f"to beat on the rows to validate: {_name(line)} "
        + ", ".join(f"{n.replace('_f1', '-F1')} {line.validation[n]}" for n in _SHOWN)
        for line in floor.lines
    ]


def floor_table(floor: Floor) -> StageTable:
    """Return a table of the baselines, the best first."""
    metric = floor.metric
    lines = sorted(floor.lines, key=lambda line: -line.validation[metric].value)
    rows = tuple(
        dataclasses.replace(_row(line, metric), note=line.baseline.about) for line in lines
    )
    return StageTable(f"floor, {metric} on the rows to validate", rows, "floor", selected=False)


def with_floor(tables: Sequence[StageTable], floor: Floor | None, metric: str) -> list[StageTable]:
    """Return tables with the best baseline as a last row, if it has a score by their metric.

    A front stays as it is: a baseline has no cost.

    Args:
        tables: Of a study.
        floor: Its floor; None without one.
        metric: By which the study scores.
    """
    if floor is None or floor.metric != metric:
        return list(tables)
    row = _row(floor.best, metric)
    return [
        table if table.key == FRONT else dataclasses.replace(table, rows=(*table.rows, row))
        for table in tables
    ]


def _row(line: FloorLine, metric: str) -> TableRow:
    value = line.validation[metric].value
    return TableRow(
        f"floor: {_name(line)}", {}, value, None, None, None, winner=False, note="to be beaten"
    )


def _name(line: FloorLine) -> str:
    return line.name.replace("_", "-")
