"""``index.html``: tables and figures of a study in one file, without scripts or a network."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from hpo.files import atomic_write, regular
from hpo.report._result_tables import ResultTable
from hpo.report._table_files import table_cells
from hpo.search import StageTable

__all__ = ["write_page"]

_STYLE = """
:root { color-scheme: light dark; --text: #222; --page: #fff; --faint: #666; --line: #e3e3e3;
        --winner: #eef5fa; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #ddd; --page: #16181a; --faint: #9a9a9a; --line: #33373a; --winner: #1d3242; }
  img { filter: invert(1) hue-rotate(180deg); }
}
@media print { h2 { break-after: avoid; } table, img { break-inside: avoid; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
       max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--faint); font-weight: 600; } td.number, th.number { text-align: right; }
tr.winner { font-weight: 700; background: var(--winner); }
p.concern { border-left: .3rem solid #c0392b; background: #fbeeec; color: #222;
            padding: .5rem .8rem; }
img { max-width: 100%; height: auto; margin-top: 1rem; }
"""
_TEXT_COLUMNS = ("candidate", "note")


def write_page(
    path: Path,
    title: str,
    facts: Mapping[str, str],
    tables: Sequence[StageTable],
    metric: str,
    figures: Mapping[int, str],
    files: Sequence[str],
    further: Sequence[ResultTable] = (),
    concerns: Sequence[str] = (),
) -> None:
    """Write the page.

    Args:
        path: The file, written atomically. Figures are read from its folder and become a part of
            it, so that it can be sent; files are linked to.
        title: Of the page.
        facts: What the study is and how far it has come.
        tables: One for each stage.
        metric: Name of the metric, with its unit.
        figures: The image of a table, by its index.
        files: Files to link to.
        further: Tables of the results, shown below those of the stages.
        concerns: What a reader has to know first.
    """
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        f'<head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head>",
        f"<body>\n<h1>{escape(title)}</h1>",
        *(f'<p class="concern">{escape(line)}</p>' for line in concerns),
        "<dl>",
        *(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items()),
        "</dl>",
    ]
    for index, table in enumerate(tables):
        lines += [f"<h2>{escape(table.name)}</h2>", *_table(table, metric)]
        if index in figures:
            alt = escape(f"Curves of the stage {table.name}", quote=True)
            picture = base64.b64encode(regular(path.parent / figures[index]).read_bytes()).decode()
            lines.append(f'<p><img src="data:image/png;base64,{picture}" alt="{alt}"></p>')
    for result in further:
        kinds = [' class="number"' if number else "" for number in result.numbers]
        lines += [f"<h2>{escape(result.name)}</h2>", *_open_table(result.head, kinds)]
        lines += [_row(cells, kinds) for cells in result.rows]
        lines.append("</tbody></table>")
    links = " · ".join(f'<a href="{escape(f, quote=True)}">{escape(f)}</a>' for f in files)
    lines += [f"<h2>Files</h2>\n<p>{links}</p>", "</body>\n</html>", ""]
    with atomic_write(path) as file:
        file.write("\n".join(lines).encode())


def _table(table: StageTable, metric: str) -> list[str]:
    head, rows = table_cells(table, metric)
    kinds = ["" if name in _TEXT_COLUMNS else ' class="number"' for name in head]
    lines = _open_table(head, kinds)
    for row, cells in zip(table.rows, rows, strict=True):
        lines.append(_row(cells, kinds, " class=winner" if row.winner else ""))
    return [*lines, "</tbody></table>"]


def _open_table(head: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """Return the beginning of a table: its header, with the attributes of each column's cells."""
    lines = ["<table>", "<thead><tr>"]
    lines += [f"<th{kind}>{escape(name)}</th>" for name, kind in zip(head, kinds, strict=True)]
    return [*lines, "</tr></thead>\n<tbody>"]


def _row(cells: Sequence[str], kinds: Sequence[str], kind: str = "") -> str:
    shown = [f"<td{of}>{escape(cell)}</td>" for cell, of in zip(cells, kinds, strict=True)]
    return f"<tr{kind}>{''.join(shown)}</tr>"
