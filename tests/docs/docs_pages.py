"""The pages of the documentation: their blocks, their commands, and how their examples are run."""

import ast
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hpo import __main__ as command

REPO = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(REPO).as_posix()
    for path in (*REPO.glob("*.md"), *REPO.glob("docs/*.md"), *REPO.glob(".github/**/*.md"))
)
#: Pages about the past, which may name what is gone.
HISTORY = ("CHANGELOG.md", "docs/log.md")
#: What the examples name and no test can download, and what stands for it.
STAND_IN = {"ViT-L-14/openai": "demo", "ViT-B-32/openai": "small-clip"}
TINY = """
name: tiny
seeds: 1
split: {kind: tail, val_rows: 60}
fixed: {hidden: [32], epochs: 4}
search:
  kind: greedy
  stages:
    - {name: fusion, params: {fusion: [image, concat, sum]}}
    - {name: rate, params: {lr: [0.001, 0.01]}}
"""

VERBS = {verb: module for verb, (module, _) in command._VERBS.items()}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, what it holds, and the number of its first line."""

    page: str
    language: str
    text: str
    line: int
    section: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, language: str) -> list[Block]:
    """Return the fenced blocks of a page in a language, in order."""
    found, section = [], ""
    lines = (REPO / page).read_text(encoding="utf-8").split("\n")
    index = 0
    while index < len(lines):
        opened = re.fullmatch(r"(\s*)```(\w*)", lines[index])
        if lines[index].startswith("#"):
            section = lines[index].lstrip("# ")
        index += 1
        if opened is None:
            continue
        end = next(i for i in range(index, len(lines)) if lines[i].strip() == "```")
        if opened[2] == language:
            text = "\n".join(line.removeprefix(opened[1]) for line in lines[index:end])
            found.append(Block(page, language, text, index + 1, section))
        index = end + 1
    return found


def prose(page: str) -> str:
    """Return a page without its fenced blocks."""
    text = (REPO / page).read_text(encoding="utf-8")
    return re.sub(r"(?ms)^\s*```.*?^\s*```$", "", text)


def run_page(
    page: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: Callable[[str, dict[str, Any]], None] = lambda section, names: None,
) -> None:
    """Run the Python examples of a page one after the other, as one module.

    Args:
        page: The page.
        folder: Where they run.
        monkeypatch: Of the test.
        after: Called after each block with its section and the names that there are.
    """
    monkeypatch.chdir(folder)
    name = "docs_" + re.sub(r"\W", "_", page)
    module = type(sys)(name)
    path = folder / f"{name}.py"
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, name, module)
    source = ""
    for block in blocks(page, "python"):
        text = block.text
        for given, instead in STAND_IN.items():
            text = text.replace(given, instead)
        # A line of the module is the same line of the page.
        source += "\n" * (block.line - 1 - source.count("\n")) + text + "\n"
        path.write_text(source)
        tree = ast.parse("\n" * (block.line - 1) + text, str(path))
        exec(compile(tree, str(path), "exec"), module.__dict__)
        after(block.section, module.__dict__)


def commands(page: str) -> list[tuple[str, list[str]]]:
    """Return the command lines of a page, in fenced blocks and in the text, each with its place."""
    found = []
    for block in blocks(page, "sh"):
        text = re.sub(r"\\\n", " ", block.text)
        for line in text.split("\n"):
            found.append((f"{block.place}: {line.strip()}", line))
    starts = rf"(?:hpo (?:{'|'.join(VERBS)})\b|make |(?:\S*/)?python -m |python scripts/|pytest )"
    for code in re.findall(rf"`({starts}[^`…]*)`", prose(page).replace("\n", " ")):
        found.append((f"{page}: {code}", re.sub(r"\s+", " ", code)))
    words = [(place, shlex.split(line, comments=True)) for place, line in found]
    return [(place, line) for place, line in words if line]
