"""Tables in JSON: a list of objects, an object of columns, or an object on each line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpo.data._problems import Problems
from hpo.data._table import Table
from hpo.json_files import parse_json
from hpo.notes import Note

__all__ = ["read_json", "read_json_lines"]

_COCO = {"images", "annotations"}
_SHOWN = 5
_KINDS = {dict: "an object", str: "a text", int: "a number", float: "a number"}


def read_json(content: bytes, name: str, problems: Problems) -> Table | None:
    """Read a JSON file.

    It is a list of objects, one a row; an object with such a list alone in it; an object of
    columns, each a list or, as pandas writes it, an object by row; or in spite of its name a file
    with an object on each line.

    Args:
        content: The file's bytes, UTF-8.
        name: The file's name, for messages.
        problems: Takes what is wrong.
    """
    text = _decode(content, name, problems)
    if text is None:
        return None
    try:
        value = _parse(text)
    except ValueError as error:
        lines = text.split("\n")
        if sum(line.lstrip().startswith("{") for line in lines) > 1 and _is_object(lines[0]):
            return read_json_lines(content, name, problems)
        problems.add(f"{name} is not JSON: {error}")
        return None
    if isinstance(value, dict) and value.keys() >= _COCO:
        problems.add(f"{name} has annotations of COCO; make a data folder of them with `hpo coco`")
        return None
    notes: list[Note] = []
    if isinstance(value, dict) and (key := _rows_of(value)) is not None:
        others = [f"'{other}'" for other in value if other != key]
        if others:
            said = f"{name}: its rows are '{key}'; not read: {', '.join(others)}"
            notes.append(Note(said, doubtful=False))
        value = value[key]
    if isinstance(value, list):
        table = _of_records(value, name, (), problems)
        return None if table is None else replace(table, notes=(*notes, *table.notes))
    columns = _as_columns(value) if isinstance(value, dict) else None
    if columns is None:
        keys = list(value)[:_SHOWN] if isinstance(value, dict) else []
        more = ", …" if isinstance(value, dict) and len(value) > _SHOWN else ""
        there = f", with the keys {', '.join(map(repr, keys))}{more}" if keys else ""
        problems.add(
            f"{name} is {_KINDS.get(type(value), 'a value')}{there}, but must be a list of "
            "objects, one a row, or an object of columns that are equally long"
        )
        return None
    if not len(next(iter(columns.values()), ())):
        problems.add(f"{name} has no rows")
    return Table(name, columns)


def read_json_lines(content: bytes, name: str, problems: Problems) -> Table | None:
    """Read a file with a JSON object on each line; empty lines are passed over.

    Args:
        content: The file's bytes, UTF-8.
        name: The file's name, for messages.
        problems: Takes what is wrong; the lines that could be read are returned all the same.
    """
    text = _decode(content, name, problems)
    if text is None:
        return None
    records: list[Any] = []
    lines: list[int] = []
    faults = []
    # not splitlines, which also divides at characters that may stand in a text of JSON
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append(_parse(line))
            lines.append(number)
        except ValueError as error:
            faults.append(f"{name} line {number}: not JSON: {error}")
    problems.add(faults)
    return _of_records(records, name, tuple(lines), problems)


def _decode(content: bytes, name: str, problems: Problems) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.add(f"{name}: byte {error.start} is not UTF-8; save it as UTF-8")
        return None


def _parse(text: str) -> Any:
    return parse_json(text, keys_once=True)


def _is_object(line: str) -> bool:
    try:
        return isinstance(_parse(line), dict)
    except ValueError:
        return False


def _rows_of(value: Mapping[str, Any]) -> str | None:
    """Return the key of the rows in an object that has them and facts about them; None of others.

    The rows are the one list of objects there is, and nothing else is a list.
    """
    lists = [key for key, one in value.items() if isinstance(one, list)]
    if len(lists) != 1 or not all(isinstance(one, dict) for one in value[lists[0]]):
        return None
    return lists[0]


def _of_records(
    records: Sequence[Any], name: str, lines: tuple[int, ...], problems: Problems
) -> Table | None:
    """Make a table of objects; a key that one of them lacks has None there."""
    places = [f"line {n}" for n in lines] or [f"row {n}" for n in range(len(records))]
    problems.add(
        f"{name} {place}: {json.dumps(record)[:40]} is no object, but each row must be one"
        for record, place in zip(records, places, strict=True)
        if not isinstance(record, dict)
    )
    if not records:
        problems.add(f"{name} has no rows")
    objects = [record if isinstance(record, dict) else {} for record in records]
    keys = list(dict.fromkeys(key for record in objects for key in record))
    columns = {key: tuple(record.get(key) for record in objects) for key in keys}
    notes = [
        Note(f"{name}: {count:,} of {len(objects):,} rows have no '{key}'")
        for key in keys
        if (count := sum(key not in record for record in objects))
    ]
    return Table(name, columns, lines, notes=tuple(notes)) if keys else None


def _as_columns(value: Mapping[str, Any]) -> dict[str, tuple[Any, ...]] | None:
    """Return an object of columns as such, or None if it is none."""
    columns = list(value.values())
    if columns and all(isinstance(column, list) for column in columns):
        found = {key: tuple(column) for key, column in value.items()}
    elif columns and all(
        isinstance(column, dict) and column.keys() == columns[0].keys() for column in columns
    ):
        numbers = list(columns[0])
        if not all(number.isdecimal() for number in numbers):
            return None
        found = {key: tuple(column[n] for n in numbers) for key, column in value.items()}
    else:
        return None
    return found if len({len(column) for column in found.values()}) == 1 else None
