"""The records of a table whose fields are separated by tabs.

Such files are written with quotes that enclose fields, and without: a caption may begin with a
quote that means nothing. So a line that has as many fields as the header is a record; a field of it
that is enclosed in quotes as RFC 4180 has it loses them, and any other one is text as it stands
there. Otherwise the text is read by RFC 4180, where a field in quotes may hold tabs and line
breaks, but no line of its own that looks like a record.
"""

import re
from collections.abc import Sequence

__all__ = ["parse_tabs"]

_BREAK = re.compile(r"\r\n|\r|\n")
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
_ENCLOSED = re.compile(r'"(?:[^"]|"")*"')
_FIELD = r'("[^"]*+(?:""[^"]*+)*+"|[^"\t\r\n][^\t\r\n]*+|)'


def parse_tabs(
    text: str, start: int, width: int
) -> tuple[list[Sequence[str]], list[int], list[str]]:
    """Return the records from ``start`` on, their first lines, and what is wrong.

    Args:
        text: The file.
        start: Where the header ends.
        width: How many columns it has.
    """
    record = re.compile("\t".join([_FIELD] * width) + r"(?:\r\n|\r|\n|\Z)")
    records: list[Sequence[str]] = []
    lines: list[int] = []
    faults: list[str] = []
    line, counted = 1, 0
    position = _line_at(text, start).end()
    while position < len(text):
        found = _line_at(text, position)
        begins, position = position, found.end()
        if not found[1]:
            continue
        line += len(_BREAK.findall(text, counted, begins))
        counted = begins
        fields = found[1].split("\t")
        unclosed = any(f.startswith('"') and not _ENCLOSED.fullmatch(f) for f in fields)
        whole = record.match(text, begins)
        if whole is not None and whole.end() > found.end() and not _is_one(whole, width):
            whole = None
        if len(fields) == width and not (unclosed and whole is not None):
            records.append([_unquoted(field) for field in fields])
        elif whole is not None:
            records.append([_unquoted(field) for field in whole.groups()])
            position = whole.end()
        else:
            faults.append(f"line {line}: {len(fields)} fields, but the header has {width} columns")
            continue
        lines.append(line)
    return records, lines, faults


def _line_at(text: str, position: int) -> re.Match[str]:
    found = _LINE.match(text, position)
    assert found is not None  # it matches the empty text
    return found


def _is_one(match: re.Match[str], width: int) -> bool:
    """Say whether what matched over several lines has no line after the first like a record."""
    return all(line.count("\t") != width - 1 for line in match[0].splitlines()[1:])


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if _ENCLOSED.fullmatch(field) else field
