"""The part of the site's build that is ours: pages from outside ``docs/``, and links to them.

The pages are written for GitHub, where a link is a path in the repository. On the site the README
is the first page, some pages of the repository have a place in the navigation, and any other file
that a page links to is put beside the pages. Lists and tables are made Python-Markdown's.
"""

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

sys.path.append(str(Path(__file__).parent))

from site_reference import command_pages, python_page, space_page

REPO = Path(__file__).resolve().parents[1]
#: Pages from outside the folder, by where they are on the site.
OUTSIDE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "benchmarks.md": "benchmarks/results.md",
}
COMMANDS = "reference/commands"
#: Where files that aren't pages are.
FILES = "files"
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
#: The beginning of a list's item at the margin.
_ITEM = re.compile(r"(?:[-*]|\d+\.) ")
_CODE = re.compile(r"`[^`]+`")
_FENCE = re.compile(r"(?ms)^([ ]*```.*?^[ ]*```[ ]*$)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the commands into the navigation, and watch the pages from outside."""
    pages = command_pages()
    assert config.nav is not None
    _fill(config.nav, [f"{COMMANDS}/{name}.md" for name in pages])
    config.watch += [str(REPO / name) for name in OUTSIDE.values()]
    return config


def _fill(nav: list, pages: list[str]) -> None:
    """Put pages in place of the folder of the commands."""
    for entry in nav:
        for title, inner in entry.items() if isinstance(entry, dict) else ():
            if inner == f"{COMMANDS}/":
                entry[title] = pages
            elif isinstance(inner, list):
                _fill(inner, pages)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that don't stand in ``docs/``."""
    made = {f"{COMMANDS}/{name}.md": text for name, text in command_pages().items()}
    made |= {"reference/space.md": space_page(), "reference/python.md": python_page()}
    made |= {place: (REPO / name).read_text(encoding="utf-8") for place, name in OUTSIDE.items()}
    for place, text in made.items():
        files.append(File.generated(config, place, content=text))
    for page in [file for file in files if file.is_documentation_page()]:
        if page.src_uri in made and page.src_uri not in OUTSIDE:
            continue
        for _, target, _ in _LINK.findall(_FENCE.sub("", page.content_string)):
            path = _in_repository(page.src_uri, target)
            place = _place(path)
            if files.get_file_from_path(place) is None and (REPO / path).is_file():
                files.append(File.generated(config, place, abs_src_path=str(REPO / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where things are on the site, and lists be read as GitHub reads them."""
    source = page.file.src_uri
    if source.startswith("reference/"):
        return markdown

    def moved(found: re.Match[str]) -> str:
        path = _in_repository(source, found[2])
        if ":" in found[2] or not (REPO / path).is_file():
            return found[0]
        return found[1] + get_relative_url(_place(path), source) + found[3]

    parts = _FENCE.split(markdown)
    return for_python_markdown(
        "".join(part if n % 2 else _LINK.sub(moved, part) for n, part in enumerate(parts))
    )


def for_python_markdown(markdown: str) -> str:
    """Return GitHub's Markdown as Python-Markdown reads the same.

    On GitHub what belongs to an item stands below its first letter, a list may follow a line of
    text at once, and a bar in a table's code has a backslash. Python-Markdown wants four blanks a
    level, an empty line before a list, and no backslash.
    """
    lines: list[str] = []
    in_list, moved_by = False, None  # of the fence that is open
    begin = ""  # first line of the present block
    for line in markdown.split("\n"):
        blanks = len(line) - len(line.lstrip(" "))
        wider = 4 * (blanks // 2) if in_list else blanks
        if line.lstrip().startswith("```"):
            moved_by = wider - blanks if moved_by is None else None
        elif moved_by is not None:
            lines.append(" " * moved_by + line if line else line)
            continue
        elif line.lstrip().startswith("|"):
            line = _CODE.sub(lambda code: code[0].replace("\\|", "|"), line)
        elif _ITEM.match(line):
            if lines and lines[-1].strip() and not _ITEM.match(begin):
                lines.append("")
                begin = line
            in_list = True
        elif line and not blanks:
            # Text at the margin ends a list, unless it goes on with the paragraph before.
            in_list = in_list and bool(lines[-1].strip())
        begin = line if not lines or not lines[-1].strip() else begin
        lines.append(" " * (wider - blanks if line.strip() else 0) + line)
    return "\n".join(lines)


def _in_repository(source: str, target: str) -> str:
    """Return the path in the repository of what a page of the site links to."""
    base = OUTSIDE.get(source, f"docs/{source}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), target))


def _place(path: str) -> str:
    """Return where a file of the repository is on the site."""
    for place, name in OUTSIDE.items():
        if name == path:
            return place
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{FILES}/{path}"
