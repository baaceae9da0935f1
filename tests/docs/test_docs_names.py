"""What the pages name exists: options, files, names of Python, links, folders."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_pages import HISTORY, PAGES, REPO, prose

import hpo


def flags() -> set[str]:
    """Return all flags of all commands, by what their sources add."""
    sources = [*(REPO / "hpo").rglob("*.py"), *(REPO / "scripts").glob("*.py")]
    sources += (REPO / "benchmarks").glob("*.py")
    found = re.findall(r'"(--[a-z][a-z-]*)"', "\n".join(path.read_text() for path in sources))
    return {*found, "--help"}


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY])
def test_flags_exist(page: str) -> None:
    known = flags()
    foreign = {"--strict"}
    for code in re.findall(r"`([^`]+)`", prose(page)):
        for flag in re.findall(r"(?<!\S)--[a-z][a-z-]*", code):
            assert flag in known | foreign, f"{page}: `{code}`"


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY])
def test_paths_and_names_exist(page: str) -> None:
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        file = code.partition("::")[0].partition("#")[0]
        if "NAME" in file:
            continue
        if re.fullmatch(r"(hpo|tests|docs|scripts|benchmarks|search_spaces)/[\w./-]*", file):
            found = any((base / file).exists() for base in (REPO, REPO / "hpo"))
            assert found, f"{page}: there is no {code}"
        elif re.fullmatch(r"hpo(\.\w+)+(\(.*\))?", code):
            check_name(code.partition("(")[0], page)


def check_name(dotted: str, page: str) -> None:
    """Check that a name such as ``hpo.search.Strategy`` can be imported."""
    if dotted in ("hpo.yaml",):
        return
    parts = dotted.split(".")
    thing: Any = hpo
    for index, part in enumerate(parts[1:], 1):
        if not hasattr(thing, part):
            try:
                importlib.import_module(".".join(parts[: index + 1]))
            except ImportError:
                raise AssertionError(f"{page}: there is no {dotted}") from None
        thing = getattr(thing, part)


def headings(path: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them."""
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page).replace("\n", " ")):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        path = (REPO / page).parent / name if name else REPO / page
        assert path.exists(), f"{page}: there is no {target}"
        if anchor:
            assert anchor in headings(path), f"{page}: there is no {target}"


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_plain(page: str) -> None:
    text = (REPO / page).read_text(encoding="utf-8")
    assert not re.search(r"\t| $", text, re.MULTILINE), "tabs or blanks at the end of a line"
    for image in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert ((REPO / page).parent / image).stat().st_size < 200_000


def test_architecture_lists_the_folders_in_the_order_of_their_imports() -> None:
    text = (REPO / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^  (\w+)/ ", text, re.MULTILINE)
    there = {path.parent.name for path in (REPO / "hpo").glob("*/__init__.py")}
    assert set(listed) == there
    for folder in listed:
        above = listed[: listed.index(folder) + 1]
        for path in (REPO / "hpo" / folder).rglob("*.py"):
            if path.name == "__main__.py" or path.parent.name == "migrations":
                continue  # entry modules put things together
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hpo."):
                    other = str(node.module).split(".")[1]
                    assert other in above or other not in there, f"{path}: {node.module}"


def test_stable_names() -> None:
    text = (REPO / "docs" / "stability.md").read_text()
    for name in hpo.__all__:
        assert hasattr(hpo, name)
        assert inspect.getdoc(getattr(hpo, name)), name
    for status in ("0", "1", "2", "3", "4", "130"):
        assert re.search(rf"^\| `{status}` \|", text, re.MULTILINE)


def test_the_hooks_are_the_checks_of_the_makefile() -> None:
    config = yaml.safe_load((REPO / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}  # nothing is downloaded
    lint = (REPO / "Makefile").read_text()
    for hook in hooks:
        assert f"$(BIN)/{hook['entry'].partition(' --')[0]}" in lint


def test_templates_of_issues_have_a_head() -> None:
    templates = [*(REPO / ".github" / "ISSUE_TEMPLATE").glob("*.md")]
    assert templates
    for path in templates:
        head = yaml.safe_load(path.read_text().split("---\n")[1])
        assert {"name", "about"} <= head.keys()
