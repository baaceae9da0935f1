"""``index.html``: tables and figures of a study in one file, without scripts or a network."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from hpo.files import atomic_write, regular
from hpo.report._sections import Picture, ResultTable, Section

__all__ = ["write_page"]

_STYLE = """
:root { color-scheme: light dark; --text: #222; --page: #fff; --faint: #666; --line: #e3e3e3;
        --winner: #eef5fa; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #ddd; --page: #16181a; --faint: #9a9a9a; --line: #33373a; --winner: #1d3242; }
  figure img { filter: invert(1) hue-rotate(180deg); }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
       max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--faint); font-weight: 600; vertical-align: bottom; }
td.number, th.number { text-align: right; } td.number { white-space: nowrap; }
tr.winner { font-weight: 700; background: var(--winner); }
p.concern { border-left: .3rem solid #c0392b; background: #fbeeec; color: #222;
            padding: .5rem .8rem; }
h2 small { color: var(--faint); font-weight: 400; font-size: .8em; margin-left: .5em; }
div.wide { overflow-x: auto; }
figure { margin: 1rem 0 0; } figcaption { color: var(--faint); font-size: .9em; }
img { max-width: 100%; height: auto; }
img.thumb { max-width: 7rem; max-height: 7rem; display: block; }
@media print {
  body { margin: 0; padding: 0; max-width: none; font-size: 10px; }
  h2, thead { break-after: avoid; } tr, figure { break-inside: avoid; }
  th, td { padding: .15rem .5rem; } div.wide { overflow: visible; }
}
"""


def write_page(
    path: Path,
    title: str,
    facts: Mapping[str, str],
    sections: Sequence[Section],
    files: Sequence[str],
    concerns: Sequence[str] = (),
) -> None:
    """Write the page.

    Args:
        path: The file, written atomically. Figures are read from its folder and become a part of
            it, so that it can be sent; files are linked to.
        title: Of the page.
        facts: What the study is and how far it has come.
        sections: In their order.
        files: Files to link to.
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
        *(line for section in sections for line in _section(section, path.parent)),
    ]
    links = " · ".join(f'<a href="{escape(f, quote=True)}">{escape(f)}</a>' for f in files)
    lines += [f"<h2>Files</h2>\n<p>{links}</p>", "</body>\n</html>", ""]
    with atomic_write(path) as file:
        file.write("\n".join(lines).encode(errors="backslashreplace"))


def _section(section: Section, folder: Path) -> list[str]:
    aside = f" <small>{escape(section.aside)}</small>" if section.aside else ""
    lines = [f"<section>\n<h2>{escape(section.name)}{aside}</h2>"]
    lines += [f"<p>{escape(line)}</p>" for line in section.text]
    lines += [] if section.table is None else _table(section.table)
    lines += [_figure(picture, folder) for picture in section.pictures]
    return [*lines, "</section>"]


def _figure(picture: Picture, folder: Path) -> str:
    content = base64.b64encode(regular(folder / picture.path).read_bytes()).decode()
    alt = escape(picture.alt, quote=True)
    image = f'<img src="data:image/png;base64,{content}" alt="{alt}">'
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<figure>{image}{caption}</figure>"


def _table(table: ResultTable) -> list[str]:
    kinds = [' class="number"' if number else "" for number in table.numbers]
    lines = ['<div class="wide"><table>', "<thead><tr>"]
    lines += ["<th></th>"] if table.pictures else []
    lines += [
        f"<th{kind}>{escape(name)}</th>" for name, kind in zip(table.head, kinds, strict=True)
    ]
    lines.append("</tr></thead>\n<tbody>")
    for place, row in enumerate(table.rows):
        shown = [f"<td{of}>{escape(cell)}</td>" for cell, of in zip(row, kinds, strict=True)]
        if table.pictures:
            source = escape(table.pictures[place], quote=True)
            image = f'<img class="thumb" src="{source}" alt="{escape(row[0], quote=True)}">'
            shown.insert(0, f"<td>{image if source else ''}</td>")
        mark = ' class="winner"' if place in table.marked else ""
        lines.append(f"<tr{mark}>{''.join(shown)}</tr>")
    return [*lines, "</tbody></table></div>"]
