"""Every table of a report as CSV and as JSON, for programs."""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.files import atomic_write
from hpo.report._sections import Section
from hpo.results import write_csv

__all__ = ["file_name", "write_data"]

_LONGEST_NAME = 80


def write_data(folder: Path, sections: Sequence[Section]) -> list[Path]:
    """Write ``NAME.csv`` and ``NAME.json`` for each table.

    The JSON has the table's ``name`` and its ``rows``, each an object; what isn't known is null.

    Args:
        folder: Gets the files.
        sections: Those without a table are passed over.

    Returns:
        The files.
    """
    paths: list[Path] = []
    for section in sections:
        table = section.table
        if table is None or not table.rows:
            continue
        name = file_name(table.key or table.name)
        while folder / f"{name}.csv" in paths:
            name += "_"
        rows = [{c: _known(value) for c, value in row.items()} for row in table.values()]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        cells = [[_cell(row.get(column)) for column in columns] for row in rows]
        write_csv(folder / f"{name}.csv", columns, cells)
        with atomic_write(folder / f"{name}.json") as file:
            record = {"name": section.name, "rows": rows}
            text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
            file.write(text.encode(errors="backslashreplace"))
        paths += [folder / f"{name}.csv", folder / f"{name}.json"]
    return paths


def file_name(name: str) -> str:
    """Return a name in letters, digits and underscores that any file system takes."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:_LONGEST_NAME] or "stage"


def _known(value: Any) -> Any:
    """Return a value, and None for a number that is none, which JSON hasn't got."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return "" if value is None else value
