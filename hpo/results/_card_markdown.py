"""Text that Markdown shows as it is, whatever it looks like."""

import re
from collections.abc import Sequence

__all__ = ["escaped", "table"]

_PUNCTUATION = re.compile(r"([!#$&*+:<=>@\[\\\]^_`{|}~]|\.(?=[^\W\d]))")


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in a line or in a cell of a table."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return _PUNCTUATION.sub(r"\\\1", " ".join(plain.split())) or "(no name)"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown; what its cells say is shown as it is."""
    return [
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
        *(f"| {' | '.join(escaped(cell) if cell else '' for cell in row)} |" for row in rows),
    ]
