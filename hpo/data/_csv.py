"""Read CSV files, whose captions may hold quotes that nobody escaped.

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

Where the header has no comma, fields are separated by what it has instead: ``;`` or ``|``; or by
what a line ``sep=;`` before it says, which Excel writes. Tabs have rules of their own, see
``hpo/data/_tsv.py``. Blanks after commas belong to the fields, unless quotes would be left in them:
a file in which every comma is followed by a blank, and which is well-formed without these blanks,
is read without them.
"""

import re
from collections.abc import Callable, Sequence

from hpo.data._problems import Problems
from hpo.data._table import Table
from hpo.data._tsv import parse_tabs
from hpo.notes import Note

__all__ = ["read_csv", "read_header"]

_BREAK = r"(?:\r\n|\r|\n)"
_END = rf"(?:{_BREAK}|\Z)"
_BLANK_LINES = re.compile(rf"{_BREAK}*")
_LINE = re.compile(r"[^\r\n]*")
_BLANK_AND_QUOTE = re.compile(r',[ \t]+"')
_QUOTED = re.compile(r'"[^"]*"')
_SEPARATORS = (",", "\t", ";", "|")
_SAID = re.compile(r'"?sep=([,;|\t])"?', re.IGNORECASE)  # a first line that is Excel's own
_MARK = "\ufeff"  # a byte order mark; programs that put files together write several
_CALLED = {"\t": "tabs", ";": "';'", "|": "'|'"}

_Records = tuple[list[Sequence[str]], list[int], list[str]]


def _field(separator: str) -> str:
    """Match a field by RFC 4180; quotes inside an unquoted one are kept, as the csv module does."""
    mark = re.escape(separator)
    return rf'("[^"]*+(?:""[^"]*+)*+"|[^"{mark}\r\n][^{mark}\r\n]*+|)'


def _plain(separator: str) -> str:
    """Match a field beside a malformed caption: one line, no bare quote, a blank at neither end.

    English puts a blank after a comma and these files don't, so `left, right` is no pair of fields.
    """
    mark = re.escape(separator)
    return rf'("(?:[^"\r\n]|"")*"|[^\s"{mark}](?:[^"{mark}\r\n]*[^\s"{mark}])?|)'


def read_csv(
    content: bytes,
    name: str,
    problems: Problems,
    caption_of: Callable[[Sequence[str]], str | None] = lambda header: None,
) -> Table | None:
    """Read a table whose fields are separated by commas, tabs, ``;`` or ``|``.

    Args:
        content: The file's bytes: UTF-8 with or without a byte order mark, any line breaks.
        name: The file's name, for messages.
        problems: Takes what is wrong; the records that could be read are returned all the same.
        caption_of: Returns the one column of the header that may be malformed, if there is one.

    Returns:
        The table, or None if the header doesn't allow to read one.
    """
    text = _decode(content, name, problems)
    if text is None:
        return None
    header, start, separator = _read_header(text, name)
    if not header:
        problems.add(f"{name} is empty, but must have a header and rows")
        return None
    faults = _header_faults(header, name)
    problems.add(faults)
    if faults:
        return None
    notes = []
    if separator != ("\t" if name.lower().endswith(".tsv") else ","):
        called = _CALLED.get(separator, "commas")
        notes.append(Note(f"{name}: its columns are separated by {called}", doubtful=False))
    caption = caption_of(header)
    if len(header) == 1 and (wider := _wider_line(text, start)):
        problems.add(
            f"{name} line 1 is '{header[0][:80]}', but must have the names of the columns, "
            f"separated as on the other lines, such as '{wider[:80]}'"
        )
        return None
    if separator == "\t":
        records, lines, faults = parse_tabs(text, start, len(header))
    else:
        parser = _Parser(header, separator, caption)
        records, lines, faults = parser.parse(text, start)
        if separator == ",":
            spaced = _without_blanks(text, start, header, records, faults)
            if spaced is not None:
                records, lines, faults = spaced
                left_out = f"{name}: the blanks after commas are left out of its fields"
                notes.append(Note(left_out, doubtful=False))
            else:
                notes += _kept_quotes(text, start, records, name)
        if parser.repaired and not faults:
            unescaped = (
                f"{name}: quotes in the {caption} of {parser.repaired:,} rows are not escaped; "
                "each is read up to the quote that ends its row"
            )
            notes.append(Note(unescaped, doubtful=False))
    problems.add(f"{name} {fault}" for fault in faults)
    problems.add(
        f"{name} line {line} has the names of the columns again, as where tables were put one "
        "behind the other; delete the line"
        for record, line in zip(records, lines, strict=True)
        if header[0] in record[0]
        and len(header) > 1
        and [field.strip().lstrip(_MARK) for field in record] == header
    )
    if not records and not faults:
        problems.add(f"{name} has a header but no rows")
    if records and not text.endswith(("\n", "\r")):
        ends = f"{name}: no line break follows the last row; was the file cut off?"
        notes.append(Note(ends, doubtful=False))
    # Spreadsheets write what was once filled as columns without a name and without content.
    unnamed = [i for i, column in enumerate(header) if not column and any(r[i] for r in records)]
    if len(unnamed) > 1:
        problems.add(f"{name} has {len(unnamed)} columns without a name; name them, or delete them")
    kept = [i for i, column in enumerate(header) if column or i in unnamed[:1]]
    columns = {header[i]: tuple(r[i] for r in records) for i in kept}
    return Table(name, columns, tuple(lines), notes=tuple(notes))


def read_header(content: bytes, name: str) -> list[str]:
    """Return the columns that a file's header names; none if it can't be read."""
    text = _decode(content, name, Problems())
    return [] if text is None else _read_header(text, name)[0]


def _decode(content: bytes, name: str, problems: Problems) -> str | None:
    if b"\0" in content[:4096]:
        problems.add(f"{name} is UTF-16, or no text; save it as UTF-8")
        return None
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        problems.add(f"{name} line {line} has a zero byte, which no text has; the file is damaged")
        return None
    try:
        return content.decode("utf-8-sig").lstrip(_MARK)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        problems.add(
            f"{name} line {line}: the byte 0x{byte:02x} is not UTF-8; save it as UTF-8, or if it "
            f"is in Windows-1252, use iconv -f WINDOWS-1252 -t UTF-8 {name} > new-{name}"
        )
        return None


def _without_blanks(
    text: str,
    start: int,
    header: Sequence[str],
    records: Sequence[Sequence[str]],
    faults: Sequence[str],
) -> _Records | None:
    """Read the records without the blanks after commas, if quotes make that certain.

    Returns:
        None if no field begins with a blank and a quote, or if there is any doubt.
    """
    if not _BLANK_AND_QUOTE.search(text, start) or not (faults or _blank_and_quote(records)):
        return None
    spaced = _Parser(header, ",", None, blanks=True).parse(text, start)
    return None if spaced[2] or not spaced[0] else spaced


def _blank_and_quote(records: Sequence[Sequence[str]]) -> int:
    """Count the fields in quotes that keep them, as a blank stands before."""
    return sum(
        field[:1] in " \t" and (bare := field.strip())[:1] == '"' and bare[-1:] == '"'
        for record in records
        for field in record
        if field
    )


def _kept_quotes(text: str, start: int, records: Sequence[Sequence[str]], name: str) -> list[Note]:
    """Say which fields keep quotes that were perhaps meant to enclose them."""
    count = _blank_and_quote(records) if _BLANK_AND_QUOTE.search(text, start) else 0
    if not count:
        return []
    what = "1 field begins" if count == 1 else f"{count:,} fields begin"
    return [
        Note(
            f"{name}: {what} with a blank and a quote, which are read as parts of the text; take "
            "the blanks after all commas out, or put one after each"
        )
    ]


class _Parser:
    """The patterns of one header, and the loop over the records.

    Args:
        header: The names of the columns.
        separator: What stands between two fields.
        caption: The column that may be malformed; None if all must be well-formed.
        blanks: Whether a blank follows every separator that a field follows, and is no part of it.

    Attributes:
        repaired: How many malformed captions the last text had.
    """

    def __init__(
        self, header: Sequence[str], separator: str, caption: str | None, *, blanks: bool = False
    ) -> None:
        mark, field, plain = re.escape(separator), _field(separator), _plain(separator)
        self.width = len(header)
        self.separator = separator
        between = rf"{mark}(?:[ \t]++|(?=[{mark}\r\n]|\Z))" if blanks else mark
        self.record = re.compile(between.join([field] * self.width) + _END)
        self.called = caption or ""
        self.repaired = 0
        if caption is None:
            return
        self.caption = header.index(caption)
        after = self.width - self.caption - 1
        # What a row begins with: the plain fields before the caption. A caption that begins with
        # a blank is more likely the middle of a sentence.
        self.begin = re.compile(rf"(?:{plain}{mark})" * self.caption + r"(?![ \t])")
        self.next_row = re.compile(_BREAK + self.begin.pattern)
        # What it ends with: the closing quote and the plain fields after the caption.
        self.close = re.compile('"' + rf"(?:{mark}{plain})" * after + rf"(?={_END})")

    def parse(self, text: str, start: int) -> _Records:
        """Return the records from ``start`` on, their first lines, and what is wrong."""
        records: list[Sequence[str]] = []
        lines: list[int] = []
        faults: list[str] = []
        self.repaired = 0
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
                self.repaired += 1
                records.append(record)
                lines.append(line)
            position = end
        return records, lines, faults

    def _malformed(self, text: str, position: int) -> tuple[list[str] | None, int, str]:
        """Read the record at ``position`` by rule 2: its fields or None, its end, what is wrong."""
        begin = self.begin.match(text, position) if self.called else None
        if begin is None or not text.startswith('"', begin.end()):
            end = _line_end(text, position)
            return None, end, self._why_unreadable(text[position:end])
        opened = begin.end() + 1
        # Without a field before the caption every line looks like a row, so nothing is known.
        following = self.next_row.search(text, opened) if self.caption else None
        limit = following.start() if following else len(text)
        close = self._find_close(text, opened, limit)
        if close is None:
            fault = (
                f"the quote that opens the {self.called} is not closed before the next row or the "
                "end"
            )
            return None, limit, fault
        before = [_unquote(field) for field in begin.groups()]
        after = [_unquote(field) for field in close.groups()]
        return [*before, text[opened : close.start()], *after], close.end(), ""

    def _why_unreadable(self, line: str) -> str:
        count = _QUOTED.sub("", line).count(self.separator) + 1
        if count == self.width and not self.called:
            return "a quote inside a field must be doubled, and the field stand in quotes"
        if count == self.width:
            return (
                f"fields beside a malformed {self.called} must be plain: no bare quote, no outer "
                "blanks"
            )
        marks = "commas" if self.separator == "," else f"'{self.separator}'"
        hint = f"; a field that holds {marks} must stand in quotes" if count > self.width else ""
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


def _read_header(text: str, name: str) -> tuple[list[str], int, str]:
    """Return the columns' names, the place where the records begin, and the separator."""
    start = _skip_blank(text, 0)
    end = _line_end(text, start)
    order: tuple[str, ...] = _SEPARATORS
    if name.lower().endswith(".tsv"):
        order = ("\t", *_SEPARATORS)
    if said := _SAID.fullmatch(text, start, end):
        order = (said[1],)
        start = _skip_blank(text, end)
        end = _line_end(text, start)
    line = text[start:end]
    bare = _QUOTED.sub("", line)
    separator = next((mark for mark in order if mark in bare), order[0])
    fields = re.findall(rf"(?:^|{re.escape(separator)}){_field(separator)}", line)
    return [_unquote(field.strip()).strip() for field in fields] if line else [], end, separator


def _wider_line(text: str, start: int) -> str:
    """Return the second line if it has tabs, or like the third the same number of separators."""
    lines = text[start : start + 10_000].splitlines()[1:3]
    if len(lines) < 2:
        return ""
    bare = [_QUOTED.sub("", line) for line in lines]
    alike = any(0 < bare[0].count(mark) == bare[1].count(mark) for mark in _SEPARATORS)
    return lines[0] if alike else ""


def _header_faults(header: list[str], name: str) -> list[str]:
    """Return what is wrong with the header: columns that are there twice."""
    return [
        f"{name} has the column '{column}' {header.count(column)} times; rename one"
        for column in sorted({column for column in header if header.count(column) > 1})
        if column
    ]


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
