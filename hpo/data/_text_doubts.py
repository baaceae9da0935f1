"""Texts of a table that look as if a program had written or read them wrongly."""

import re
from collections.abc import Callable, Iterable, Sequence

from hpo.notes import Note

__all__ = ["text_notes"]

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]{2,}")
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f]")
_ESCAPED = re.compile(r"""\\(?:["']|[nrt](?=[A-Z0-9\s]|$))""")
_QUOTES = ("'", '"', "`")
_LONGEST = 60  # characters of an example


def text_notes(source: str, texts: Iterable[str], captions: Sequence[str]) -> list[Note]:
    """Say how many texts have signs of a wrong encoding or escape; nothing is mended.

    Args:
        source: What the rows are called.
        texts: All texts of the rows: names, labels, captions.
        captions: The captions among them.
    """
    odd = [text for text in texts if not text.isascii() or not text.isprintable() or "\\" in text]
    kinds: list[tuple[Callable[[str], object], str]] = [
        (
            lambda text: "\ufffd" in text,
            "have '\ufffd' in the place of characters that were lost when they were written; "
            "write them anew from where they come from",
        ),
        (_read_wrongly, "were UTF-8 and read as Windows-1252 by a program; save them as UTF-8"),
        (_CONTROL.search, "have control characters in them, which no text has; take them out"),
        (
            _ESCAPED.search,
            "have a backslash before a quote or in place of a line break or tab, which is read as "
            'a part of the text; in a table a quote in quotes is ""',
        ),
    ]
    notes = []
    for looks_so, said in kinds:
        found = [text for text in odd if looks_so(text)]
        if found:
            notes.append(Note(f"{source}: {_count(found)}, such as {_short(found[0])}, {said}"))
    filled = [text for text in captions if text]
    if len(filled) > 1 and any(all(_is_quoted(t, mark) for t in filled) for mark in _QUOTES):
        said = f"{source}: all captions stand in quotes, such as {filled[0][:_LONGEST]}, which are"
        notes.append(Note(f"{said} read as a part of the text; take them out"))
    return notes


def _read_wrongly(text: str) -> bool:
    """Say whether a text has characters that are the bytes of one character of UTF-8."""
    return any(_decodes(found[0]) for found in _BEYOND_ASCII.finditer(text))


def _decodes(text: str) -> bool:
    try:
        # Windows-1252 leaves five bytes out, which programs read as Latin-1 has them.
        content = b"".join(
            char.encode("latin-1" if ord(char) < 0x100 else "windows-1252") for char in text
        )
        found = content.decode()
    except UnicodeError:
        return False
    # One letter between U+0100 and U+07FF could be two that people write, as in «LIBERTÉ».
    return len(found) > 1 or not 0x100 <= ord(found) < 0x800


def _is_quoted(text: str, mark: str) -> bool:
    return len(text) > 2 and text[0] == text[-1] == mark and mark not in text[1:-1]


def _count(found: Sequence[str]) -> str:
    return "1 text" if len(found) == 1 else f"{len(found):,} texts"


def _short(text: str) -> str:
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return repr(shown) if not shown.isprintable() else f"'{shown}'"
