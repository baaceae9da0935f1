"""The site: it is built without a warning, and everything that it must explain has its place."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

import hpo
from hpo.__main__ import _VERBS
from hpo._run_options import run_parser
from hpo.data import SPLIT_KINDS
from hpo.models import CHOICES, field_names
from hpo.search import (
    SEARCHES,
    Budget,
    Choices,
    Constraints,
    DivergenceRule,
    Ensemble,
    Range,
    Refit,
    Space,
    Stage,
)

pytest.importorskip("mkdocstrings", reason="needs the extra docs")
REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built in a process of its own; a warning ends it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def cells(page: Path) -> set[str]:
    """Return what stands in the first cells of a page's tables."""
    found = re.findall(r"<tr>\s*<td>(.*?)</td>", read(page), re.DOTALL)
    return {html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in found}


def test_every_verb_has_a_page(site: Path) -> None:
    commands = site / "reference" / "commands"
    for verb in _VERBS:
        assert f'<h1 id="hpo-{verb}">hpo {verb}' in read(commands / f"{verb}.html")
        assert f"hpo {verb}" in cells(commands / "index.html")
        assert f"commands/{verb}.html" in read(site / "index.html"), "it is in the navigation"
    assert "hpo study retry" in read(commands / "study.html")


def test_every_option_of_run_is_explained(site: Path) -> None:
    page = site / "reference" / "commands" / "run.html"
    given = {name.split()[0] for name in cells(page)}
    shown = [action for action in run_parser()._actions if action.help != "==SUPPRESS=="]
    assert len(shown) > 30
    for action in shown:
        if action.dest != "help":
            assert action.option_strings[-1] in given
            meaning = (action.help or "") % {**vars(action), "prog": ""}
            assert html.escape(meaning.split("*")[0], quote=False) in read(page)
    hidden = [action for action in run_parser()._actions if action.help == "==SUPPRESS=="]
    for action in hidden:
        assert action.option_strings[-1] not in given


def test_every_key_of_a_space_is_explained(site: Path) -> None:
    page = site / "reference" / "space.html"
    given = cells(page)
    models: list[type[BaseModel]] = [Space, Stage, Choices, Range, Refit, Ensemble, Budget]
    models += [DivergenceRule, Constraints, *SPLIT_KINDS.values()]
    models += [search for search, _ in SEARCHES.values()]
    for model in models:
        assert set(model.model_fields) <= given, model.__name__
    assert set(field_names()) <= given
    for registry in CHOICES.values():
        for name in registry:
            assert {f"{name}.{own}" for own in registry[name].parameters} <= given
    for title in ("The file", *(f"search: {kind}" for kind in SEARCHES)):
        assert re.search(rf"<h2 id=\"[\w-]+\">{title}<", read(page)), title
    assert not re.search(r"<td></td>\s*</tr>", read(page)), "a key without a meaning"


def test_every_public_name_is_explained(site: Path) -> None:
    text = read(site / "reference" / "python.html")
    for name in hpo.__all__:
        assert f'id="hpo.{name}"' in text
    for method in ("Study.optimize", "Study.refit", "Model.predict", "Model.export"):
        assert f'id="hpo.{method}"' in text
    assert "<blockquote>" not in text, "an example in a docstring isn't indented by four"


def test_links_of_the_repository_are_links_of_the_site(site: Path) -> None:
    assert 'href="benchmarks.html"' in read(site / "index.html")
    assert 'href="contributing.html#recipes"' in read(site / "library.html")
    assert 'src="pictures/report.png"' in read(site / "index.html")
    assert (site / "pictures" / "report.png").is_file()
    for page in site.rglob("*.html"):
        for target in re.findall(r'(?:href|src)="([^"]+)"', read(page)):
            target = html.unescape(target)
            if re.match(r"[a-z]+:|//", target) or page.name == "404.html":
                continue
            name, _, anchor = target.partition("#")
            path = page.parent / name.partition("?")[0] if name else page
            path = path / "index.html" if path.is_dir() else path
            assert path.is_file(), f"{page.relative_to(site)}: {target}"
            if anchor and path.suffix == ".html":
                assert f'id="{anchor}"' in read(path), f"{page.relative_to(site)}: {target}"


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img)\b[^>]*>", read(page)):
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), f"{page}: {tag}"
