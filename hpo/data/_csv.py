"""Read the CSV files of a data folder, whose captions may hold quotes that nobody escaped.

The rule, record by record:

1. **Well-formed.** If the text at this place is a record by RFC 4180 with as many fields as the
   header, that is what it is: a field in quotes may hold commas, line breaks and doubled quotes,
   any other field ends at the next comma or line break. A well-formed file is therefore read
   exactly as Python's ``csv`` module reads it.
2. **Malformed caption.** Otherwise, if the caption opens with a quote, it goes to the first quote
   after which the row can end and the next one can begin: the remaining fields, a line break, and
   then fields as they stand before a caption (or the end of the file). These other fields are
   plain: on one line, without a bare quote, a blank at neither end. What stands between the two
   quotes is the caption, character by character.
3. **An error** otherwise: another number of fields, or a caption not closed before a line that
   looks like the next row. Rows are never merged or dropped silently.

So ``1.jpg,7,"The "No, sir" sign."`` and a caption that breaks off after a quote and goes on with
ordinary text are both read whole. What stays undecidable is a caption with unescaped quotes in
which a quote ends a line and the next line looks like a row (``2.jpg,1,...``): two rows are read.
Empty lines between records are skipped, as ``csv.DictReader`` does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.data._problems import Problems
from hpo.errors import did_you_mean

__all__ = ["Table", "read_table"]

_BREAK = r"(?:\r\n|\r|\n)"
_END = rf"(?:{_BREAK}|\Z)"
# A field by RFC 4180; quotes inside an unquoted one are kept, as the csv module does.
_FIELD = r'("[^"]*+(?:""[^"]*+)*+"|[^",\r\n][^,\r\n]*+|)'
# A field beside a malformed caption: one line, no bare quote, a blank at neither end. English
# puts a blank after a comma and these files don't, so `left, right` is no pair of fields.
_PLAIN = r'("(?:[^"\r\n]|"")*"|[^\s",](?:[^",\r\n]*[^\s",])?|)'
_BLANK_LINES = re.compile(rf"{_BREAK}*")
_LINE = re.compile(r"[^\r\n]*")
_QUOTED = re.compile(r'"[^"]*"')
_HEADER_FIELD = re.compile(rf"(?:^|,){_FIELD}")


@dataclass(frozen=True)
class Table:
    """The records of one file, in order.

    Attributes:
        name: The file's name, for messages.
        columns: One tuple of N texts for each column of the header, as written.
        lines: The line on which each of the N records begins, the header's being 1.
    """

    name: str
    columns: dict[str, tuple[str, ...]]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lines)


def read_table(
    content: bytes, name: str, required: Sequence[str], problems: Problems
) -> Table | None:
    """Read a CSV file that has the columns ``required`` and perhaps others, in any order.

    Args:
        content: The file's bytes: UTF-8 with or without a byte order mark, any line breaks.
        name: The file's name, for messages.
        required: Columns that must be there; ``Caption`` is the one that may be malformed.
        problems: Takes what is wrong; the records that could be read are returned all the same.

    Returns:
        The table, or None if the header doesn't allow to read one.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        problems.add(f"{name} line {line}: the byte 0x{byte:02x} is not UTF-8; save it as UTF-8")
        return None
    header, start = _read_header(text)
    if not header:
        problems.add(f"{name} is empty, but must have a header and rows")
        return None
    faults = _header_faults(header, name, required)
    problems.add(faults)
    if faults:
        return None
    parser = _Parser(header)
    records, lines, faults = parser.parse(text, start)
    problems.add(f"{name} {fault}" for fault in faults)
    if not records and not faults:
        problems.add(f"{name} has a header but no rows")
    columns = {column: tuple(r[i] for r in records) for i, column in enumerate(header)}
    return Table(name, columns, tuple(lines))


class _Parser:
    """The patterns of one header, and the loop over the records."""

    def __init__(self, header: Sequence[str]) -> None:
        self.width = len(header)
        self.caption = header.index("Caption")
        after = self.width - self.caption - 1
        self.record = re.compile(",".join([_FIELD] * self.width) + _END)
        # What a row begins with: the plain fields before the caption. A caption that begins with
        # a blank is more likely the middle of a sentence.
        self.begin = re.compile(rf"(?:{_PLAIN},)" * self.caption + r"(?![ \t])")
        self.next_row = re.compile(_BREAK + self.begin.pattern)
        # What it ends with: the closing quote and the plain fields after the caption.
        self.close = re.compile('"' + rf"(?:,{_PLAIN})" * after + rf"(?={_END})")

    def parse(self, text: str, start: int) -> tuple[list[Sequence[str]], list[int], list[str]]:
        """Return the records from ``start`` on, their first lines, and what is wrong."""
        records: list[Sequence[str]] = []
        lines: list[int] = []
        faults: list[str] = []
        line, counted, position = 1, 0, start
        while (position := _skip_blank(text, position)) < len(text):
            line += _count_breaks(text, counted, position)
            counted = position
            if match := self.record.match(text, position):
                records.append([_unquote(field) for field in match.groups()])
                lines.append(line)
                position = match.end()
                continue
            record, end, fault = self._malformed(text, position)
            if record is None:
                faults.append(f"line {line}: {fault}")
            else:
                records.append(record)
                lines.append(line)
            position = end
        return records, lines, faults

    def _malformed(self, text: str, position: int) -> tuple[list[str] | None, int, str]:
        """Read the record at ``position`` by rule 2: its fields or None, its end, what is wrong."""
        begin = self.begin.match(text, position)
        if begin is None or not text.startswith('"', begin.end()):
            end = _line_end(text, position)
            return None, end, self._why_unreadable(text[position:end])
        opened = begin.end() + 1
        # Without a field before the caption every line looks like a row, so nothing is known.
        following = self.next_row.search(text, opened) if self.caption else None
        limit = following.start() if following else len(text)
        close = self._find_close(text, opened, limit)
        if close is None:
            fault = "the quote that opens the Caption is not closed before the next row or the end"
            return None, limit, fault
        before = [_unquote(field) for field in begin.groups()]
        after = [_unquote(field) for field in close.groups()]
        return [*before, text[opened : close.start()], *after], close.end(), ""

    def _why_unreadable(self, line: str) -> str:
        count = _QUOTED.sub("", line).count(",") + 1
        if count == self.width:
            return "fields beside a malformed Caption must be plain: no bare quote, no outer blanks"
        hint = "; a field that holds commas must stand in quotes" if count > self.width else ""
        return f"{count} fields, but the header has {self.width} columns{hint}"

    def _find_close(self, text: str, opened: int, limit: int) -> re.Match[str] | None:
        """Find the first quote before ``limit`` after which the row can end and one can begin."""
        close = self.close.search(text, opened, limit)
        while close is not None:
            following = _skip_blank(text, close.end())
            if following >= limit or self.begin.match(text, following):
                return close
            close = self.close.search(text, close.start() + 1, limit)
        return None


def _read_header(text: str) -> tuple[list[str], int]:
    """Return the names of the columns and the place where the records begin."""
    start = _skip_blank(text, 0)
    end = _line_end(text, start)
    fields = _HEADER_FIELD.findall(text[start:end]) if end > start else []
    return [_unquote(field).strip() for field in fields], end


def _header_faults(header: list[str], name: str, required: Sequence[str]) -> list[str]:
    """Return what is wrong with the header: columns that are missing or there twice."""
    faults = []
    for column in required:
        if column not in header:
            others = [other for other in header if other not in required]
            by_case = {other.lower(): other for other in others}
            near = by_case.get(column.lower())
            hint = f" (did you mean '{near}'?)" if near else did_you_mean(column, others)
            faults.append(f"{name} has no column '{column}'{hint}; its columns are {header}")
    if len(header) == 1 and header[0] not in required:
        return [f"{name}: the columns must be separated by commas; its header is '{header[0]}'"]
    for column in sorted({column for column in header if header.count(column) > 1}):
        faults.append(f"{name} has the column '{column}' {header.count(column)} times")
    return faults


def _unquote(field: str) -> str:
    return field[1:-1].replace('""', '"') if field.startswith('"') else field


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK_LINES.match(text, position)
    assert match is not None  # the pattern matches the empty text
    return match.end()


def _line_end(text: str, position: int) -> int:
    """Return the end of the line at ``position``, before its line break."""
    match = _LINE.match(text, position)
    assert match is not None  # the pattern matches the empty text
    return match.end()


def _count_breaks(text: str, start: int, end: int) -> int:
    """Count the line breaks of ``text[start:end]``, where CR LF is one."""
    carriage = text.count("\r", start, end)
    return text.count("\n", start, end) + carriage - text.count("\r\n", start, end)
