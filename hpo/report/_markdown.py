"""``tables.md``: a report as Markdown, with its figures beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hpo.files import atomic_write
from hpo.report._sections import ResultTable, Section

__all__ = ["write_markdown"]


def write_markdown(
    path: Path,
    title: str,
    facts: Mapping[str, str],
    sections: Sequence[Section],
    concerns: Sequence[str] = (),
) -> None:
    """Write a report as Markdown.

    Args:
        path: The file, written atomically.
        title: Its heading.
        facts: What it is about.
        sections: In their order; their pictures are linked to.
        concerns: What a reader has to know first.
    """
    lines = [f"# {title}", ""]
    for concern in concerns:
        lines += [f"> {concern}", ""]
    lines += [*(f"- {name}: {' '.join(fact.split())}" for name, fact in facts.items()), ""]
    for section in sections:
        aside = f" ({section.aside})" if section.aside else ""
        lines += [f"## {section.name}{aside}", ""]
        for line in section.text:
            lines += [line, ""]
        if section.table is not None:
            lines += [*_table(section.table), ""]
        for picture in section.pictures:
            lines += [f"![{picture.alt}]({picture.path})", ""]
            lines += [picture.caption, ""] if picture.caption else []
    with atomic_write(path) as file:
        file.write("\n".join(lines).encode(errors="backslashreplace"))


def _table(table: ResultTable) -> list[str]:
    lines = [_row(table.head), _row(["---:" if n else "---" for n in table.numbers])]
    for place, cells in enumerate(table.rows):
        marked = place in table.marked
        lines.append(_row([f"**{cell}**" if marked and cell else cell for cell in cells]))
    return lines


def _row(cells: Sequence[str]) -> str:
    # A reason may hold anything; a bar or a line break would end the cell.
    return f"| {' | '.join(' '.join(c.split()).replace('|', chr(92) + '|') for c in cells)} |"
