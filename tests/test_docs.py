"""The pages say what is so: their examples run, and what they name exists."""

import argparse
import ast
import importlib
import inspect
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import hpo
from hpo import __main__ as command
from hpo.data import SPLIT_KINDS
from hpo.models import CHOICES, all_registries, field_names
from hpo.search import (
    SEARCHES,
    Choices,
    Component,
    DivergenceRule,
    OptunaSearch,
    Range,
    Space,
    Stage,
    load_space,
)
from hpo.search._constraints import Constraints
from hpo.search._registry import PRUNERS, SAMPLERS
from hpo.search._values import Scale
from hpo.training import METRICS

REPO = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(REPO).as_posix()
    for path in (*REPO.glob("*.md"), *REPO.glob("docs/*.md"), *REPO.glob(".github/**/*.md"))
)
#: Pages about the past, which may name what is gone.
HISTORY = ("CHANGELOG.md", "docs/log.md")
#: Programs of others, of which nothing is checked here.
FOREIGN = (
    "cd",
    "createdb",
    "export",
    "curl",
    "huggingface-cli",
    "pkill",
    "pre-commit",
    "ray",
    "sbatch",
    "git",
    "optuna-dashboard",
)
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


def test_there_are_pages_with_examples() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/library.md", "docs/search-spaces.md"} <= {*PAGES}
    assert sum(len(blocks(page, "python")) for page in PAGES) > 15
    assert sum(len(blocks(page, "sh")) for page in PAGES) > 15


# --- Python examples


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples name: data, embeddings, a small space called greedy."""
    import numpy as np
    import pandas as pd

    from hpo.demo import make_demo
    from hpo.features import resolve_encoder

    folder = tmp_path_factory.mktemp("docs")
    demo = make_demo(folder / ".hpo" / "demo")
    data = folder / "my-data"
    (data / "images").mkdir(parents=True)
    for name, rows in (("train", 240), ("test", 20)):
        frame = pd.read_csv(demo / f"{name}.csv").head(rows)
        frame.to_csv(data / f"{name}.csv", index=False)
        for image in frame["ImageID"]:
            shutil.copy(demo / "images" / image, data / "images" / image)
    train = pd.read_csv(data / "train.csv")
    pd.DataFrame(
        {
            "path": [f"my-data/images/{name}" for name in train["ImageID"]],
            "caption": train["Caption"],
            "labels": train["Labels"],
        }
    ).to_csv(folder / "photos.csv", index=False)
    shutil.copy(data / "images" / "0.jpg", folder / "a.jpg")
    encoder = resolve_encoder("demo", folder / ".hpo").weights.parent
    shutil.copytree(encoder, folder / "small-clip")
    (folder / "my-embeddings").mkdir()
    (folder / "other-embeddings").mkdir()
    rng = np.random.default_rng(0)
    for name, rows in (("", 240), ("_test", 20)):
        for modality, width in (("image", 16), ("text", 12)):
            array = rng.normal(size=(rows, width)).astype(np.float32)
            np.save(folder / "my-embeddings" / f"{modality}{name}.npy", array)
            if modality == "image":
                np.save(folder / "other-embeddings" / f"{modality}{name}.npy", array[:, :8])
    (folder / "search_spaces").mkdir()
    for name in ("greedy", "tpe"):
        (folder / "search_spaces" / f"{name}.yaml").write_text(TINY)
    return folder


@pytest.fixture
def nothing_registered() -> Iterator[None]:
    """Forget afterwards what an example registered."""
    searches = dict(SEARCHES)
    yield
    for registry in all_registries():
        for name in [name for name in registry if registry[name].origin is not None]:
            registry.forget(name)
    SEARCHES.clear()
    SEARCHES.update(searches)


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


@pytest.mark.usefixtures("nothing_registered")
def test_readme_example(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    run_page("README.md", workplace, monkeypatch, lambda section, names: seen.update(names))
    assert seen["study"].is_complete
    assert len(seen["study"].leaderboard()) == 4
    assert len(seen["model"].classes) == 18


@pytest.mark.usefixtures("nothing_registered")
def test_library_examples(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: set[str] = set()

    def after(section: str, names: dict[str, Any]) -> None:
        seen.add(section)
        if section == "A DataFrame":
            assert names["data"].rows == 240
            assert names["data"].modalities == ("image", "text")
        if section == "Several encoders":
            assert names["data"].sources == {"clip": ("image", "text"), "dino": ("image",)}
            assert names["run"].config.encoder == "clip+dino"
        if section == "Train one configuration":
            assert names["run"].score > 60
            assert list(names["run"].curve.index) == list(range(1, 21))
        if section == "Search":
            assert names["study"].is_complete
            assert len(names["study"].leaderboard()) == len(names["study"].optuna.trials) == 4
        if section == "Errors":
            assert "The fusion is 'audio', but must be a modality of" in capsys.readouterr().out

    run_page("docs/library.md", workplace, monkeypatch, after)
    assert {
        "Several encoders",
        "A DataFrame",
        "Train one configuration",
        "Search",
        "Errors",
    } <= seen


@pytest.mark.usefixtures("nothing_registered")
def test_models_examples(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = hpo.load_data(workplace / "my-data", encoder="demo", cache=workplace / ".hpo")
    hpo.fit(data, hpo.Config(fusion="sum", epochs=2)).save(workplace / "my-model")
    seen: dict[str, Any] = {}
    run_page("docs/models.md", workplace, monkeypatch, lambda section, names: seen.update(names))
    assert seen["given"].shape == (5, len(seen["model"].classes))
    assert seen["about"]["classes"] == list(seen["model"].classes)


@pytest.mark.usefixtures("nothing_registered")
def test_recipes(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo.models import FUSIONS, HEADS, LOSSES

    checks: dict[str, Callable[[dict[str, Any]], bool]] = {
        "A loss": lambda names: "smooth_bce" in LOSSES and names["run"].score > 70,
        "A fusion": lambda names: "mean" in FUSIONS and names["run"].score > 70,
        "A metric": lambda names: (
            "exact" in METRICS and names["run"].score == names["run"].curve["exact"].iloc[-1] > 30
        ),
        "A head that is fitted": lambda names: (
            {"ridge", "neighbours"} & {*HEADS}
            and names["run"].score > 70
            and names["model"].predict_proba(**names["noisy"]).shape == (300, 3)
        ),
        "A modality": lambda names: names["run"].score > 70 and names["alone"].score > 60,
        "A strategy": lambda names: (
            names["study"].is_complete
            and len(names["study"].leaderboard()) == 4
            and names["study"].best_config.fusion == "concat"
        ),
    }
    done = []
    seen: dict[str, Any] = {}

    def after(section: str, names: dict[str, Any]) -> None:
        if section in checks:
            assert checks[section](names), f"{section}: {names.get('run')}"
            if section not in done:
                done.append(section)
        seen.update(names)

    run_page("CONTRIBUTING.md", workplace, monkeypatch, after)
    assert done == list(checks)
    # A study of the strategy goes on like any other, here to the end of its grid.
    study = hpo.load_study("grid", storage="sqlite:///grid.db")
    assert study.optimize(workers=1, trials=100, progress=False)
    assert len(study.leaderboard()) == 6


# --- commands


class Parsed(BaseException):
    """A command line was understood, and goes no further."""


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[str]], argparse.Namespace]:
    """A function that parses the arguments of a verb and returns what it understood."""
    whole = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
        raise Parsed(whole(self, *args, **kwargs))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)

    def parse(module: str, arguments: list[str]) -> argparse.Namespace:
        with pytest.raises(Parsed) as parsed:
            importlib.import_module(module).main(arguments)
        namespace: argparse.Namespace = parsed.value.args[0]
        return namespace

    return parse


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


VERBS = {verb: module for verb, (module, _) in command._VERBS.items()}
MODULES = {module.removesuffix(".__main__"): module for module in VERBS.values()}
ASSIGNMENT = re.compile(r"\w+=[^$].*")


def without_prefix(words: list[str], page: str) -> list[str]:
    """Drop what stands before a command, and put in the variables that the page sets."""
    text = (REPO / page).read_text(encoding="utf-8")
    for name, value in re.findall(r'^\s*(\w+)="([^"]*)"$', text, re.MULTILINE):
        words = [w for word in words for w in (value.split() if word == f"${name}" else [word])]
    words = [word for word in words if word != "\\"]
    while words and (ASSIGNMENT.fullmatch(words[0]) or words[0] in ("srun", "#")):
        words = words[1:]
    return words


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(
    page: str, parse: Callable[[str, list[str]], argparse.Namespace], capsys: Any
) -> None:
    targets = re.findall(r"^(\w+):", (REPO / "Makefile").read_text(), re.MULTILINE)
    extras = (REPO / "pyproject.toml").read_text()
    for place, line in commands(page):
        words = without_prefix(line, page)
        for ending in ("&", "&&", ";"):
            words = words[: words.index(ending)] if ending in words else words
        if not words or words[0].startswith("run=$(") or words[0] in FOREIGN:
            continue
        first, *rest = words
        first = first.removeprefix(".venv/bin/")
        if first == "hpo":
            assert rest[0] in VERBS or rest[0] == "--help", place
            if rest[0] in VERBS:
                check_parsed(parse, VERBS[rest[0]], rest[1:], place, capsys)
        elif first == "make":
            assert {word for word in rest if "=" not in word} <= {*targets}, place
        elif first == "pip":
            for extra in re.findall(r"\[([\w,]+)\]", " ".join(rest)):
                for name in extra.split(","):
                    assert re.search(rf"^{name} = \[", extras, re.MULTILINE), place
        elif first == "pytest" or rest[:2] == ["-m", "pytest"]:
            words = rest[2:] if first != "pytest" else rest
            valued = {number for number, word in enumerate(words) if word in ("-n", "--dist")}
            for number, path in enumerate(words):
                if not {number, number - 1} & valued:
                    check_test(path, place)
        elif first == "python" and rest[0] == "-m" and rest[1].startswith("hpo"):
            check_parsed(parse, MODULES[rest[1]], rest[2:], place, capsys)
        elif first == "python" and rest[0] == "-m" and rest[1].startswith("benchmarks"):
            # one measurement as a module has options of its own
            names = rest[2:] if rest[1] == "benchmarks" else [rest[1].removeprefix("benchmarks.")]
            for name in names:
                if name and not name.startswith("-") and not name.isdigit():
                    assert (REPO / "benchmarks" / f"{name}.py").is_file(), place
        elif first == "python" and rest[0] == "-c":
            compile(rest[1], place, "exec")
        elif first == "python" and (rest[:2] == ["-m", "timeit"] or rest[0].startswith("../")):
            continue  # Python's own, or beside the repository
        elif first == "python" and rest[0].startswith("scripts/"):
            source = (REPO / rest[0]).read_text()
            for flag in [word for word in rest if word.startswith("--")]:
                assert f'"{flag}"' in source, f"{place}: {flag}"
        else:
            raise AssertionError(f"{place}: no test knows how to check this command")


def check_parsed(parse: Any, module: str, arguments: list[str], place: str, capsys: Any) -> None:
    """Check that a verb takes these arguments."""
    if "--help" in arguments:
        return
    named = ["1" if word == "N" else word for word in arguments if word != "…"]
    if not named:  # the verb alone is spoken of
        return
    try:
        parse(module, named)
    except SystemExit:
        message = capsys.readouterr().err
        # A sentence may name a verb with one flag and leave out those that it can't do without.
        lacking = re.search(r"the following arguments are required: (.*)", message)
        assert lacking, f"{place}: {message}"
        more = [word for flag in lacking[1].split(", ") for word in (flag, "1")]
        assert all(flag.startswith("--") for flag in more[::2]), f"{place}: {message}"
        try:
            parse(module, [*named, *more])
        except SystemExit:
            raise AssertionError(f"{place}: {capsys.readouterr().err}") from None


def check_test(path: str, place: str) -> None:
    """Check that a file of tests and the test in it exist."""
    file, _, name = path.partition("::")
    assert (REPO / file).exists(), place
    if name:
        assert f"def {name}(" in (REPO / file).read_text(), place


def test_commands_run(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of the README, in order, on a small data set and a small space."""
    monkeypatch.chdir(workplace)
    ran = []
    for place, words in commands("README.md"):
        if words[0] != "hpo" or len(words) < 3 or "--help" in words:
            continue
        verb, *arguments = words[1:]
        for given, instead in STAND_IN.items():
            arguments = [argument.replace(given, instead) for argument in arguments]
        # The README's study of the Python example has another name here.
        arguments = ["my-greedy" if word == "greedy" else word for word in arguments]
        arguments = [word.replace("runs/greedy", "runs/my-greedy") for word in arguments]
        if "my-embeddings" in arguments:
            arguments[arguments.index("my-greedy")] = "from-embeddings"
        if verb == "run":
            arguments += ["--space", "search_spaces/greedy.yaml", "--workers", "1"]
        status = importlib.import_module(VERBS[verb]).main(arguments)
        assert status == 0, f"{place}: {capsys.readouterr().err}"
        ran.append(verb)
    assert ran == ["run", "worker", "report", "predict", "data", "run"]
    assert (workplace / "runs" / "my-greedy" / "report" / "index.html").is_file()
    assert (workplace / "predictions.csv").read_text().startswith("ImageID,Labels\n")


def test_studies_side_by_side(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = hpo.load_data(workplace / "my-data", encoder="demo", cache=tmp_path / ".hpo")
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("greedy", "tpe")):
        space = {**yaml.safe_load(TINY), "seeds": 1 + number}
        hpo.create_study(data, space, name=name).optimize(workers=1, progress=False)
    seen: dict[str, Any] = {}
    run_page("docs/how-to.md", tmp_path, monkeypatch, lambda section, names: seen.update(names))
    assert list(seen["best"].index) == list(seen["by_class"].columns) == ["greedy", "tpe"]
    assert {*seen["by_class"].index.get_level_values("class")} == {*data.classes}
    assert seen["by_class"].notna().all(axis=None)


@pytest.mark.usefixtures("nothing_registered")
def test_tutorial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All commands of the tutorial in order, as they stand, on some of the rows."""
    monkeypatch.chdir(tmp_path)
    ran = []
    for block in blocks("docs/tutorial.md", "sh"):
        for line in block.text.splitlines():
            program, *words = shlex.split(line)
            if program == "pip":
                continue  # the package is there
            if program == "python":
                assert words[0] == "-c"
                exec(words[1], {})
                leave_rows(tmp_path / "pictures", {"train": 300, "test": 20})
                continue
            assert program == "hpo"
            few = ["--epoch-budget", "60", "--workers", "1", "--devices", "cpu"]
            few = few if words[0] == "run" else []
            assert command.main([*words, *few]) == 0, f"{block.place}: {capsys.readouterr().err}"
            ran.append(words[0])
    assert ran == ["data", "run", "run", "status", "report", "predict", "predict"]
    results = tmp_path / "runs" / "best"
    named = re.findall(r"^\| `([^`]+)` \|", (REPO / "docs" / "tutorial.md").read_text(), re.M)
    assert len(named) == 4
    for file in named:
        assert (results / file).exists(), file
    assert (tmp_path / "labels.csv").read_text() == (results / "predictions.csv").read_text()
    run_page("docs/tutorial.md", tmp_path, monkeypatch)


def leave_rows(folder: Path, counts: dict[str, int]) -> None:
    """Leave the first rows of the tables of a folder."""
    for name, rows in counts.items():
        path = folder / f"{name}.csv"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[: rows + 1]))


def test_verbs_are_in_the_readme() -> None:
    text = (REPO / "README.md").read_text()
    for verb in VERBS:
        assert f"| `hpo {verb}` |" in text


# --- names


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


# --- search spaces


def test_every_space_of_the_page_is_one(nothing_registered: None) -> None:
    base = {
        "name": "base",
        "search": {"kind": "greedy", "stages": [{"name": "rate", "params": {"lr": [0.1, 0.01]}}]},
    }
    found = [
        block for block in blocks("docs/search-spaces.md", "yaml") if "set:\n" not in block.text
    ]
    assert len(found) > 5
    for block in found:
        space = load_space({**base, **yaml.safe_load(block.text)})
        assert isinstance(space, Space), block.place


def test_the_complete_example_is_what_it_says(tmp_path: Path) -> None:
    block = next(b for b in blocks("docs/search-spaces.md", "yaml") if "complete" in b.section)
    path = tmp_path / "mine.yaml"
    path.write_text(block.text)
    space = hpo.load_space(path)
    assert (space.name, space.seeds, space.constraints.max_model_mb) == ("mine", 3, 50)
    assert space.search.values_of("epochs") == (50, 100, 200)


def test_the_grid_of_own_parameters_has_four_candidates() -> None:
    from hpo.search import make_strategy

    block = next(b for b in blocks("docs/search-spaces.md", "yaml") if "focal.gamma: [1" in b.text)
    strategy: Any = make_strategy(
        load_space({"name": "x", **yaml.safe_load(block.text)}), ("image",)
    )
    (stage,) = strategy.stages(lambda candidate: None)
    assert [candidate.config.own("loss") for candidate in stage.candidates] == [
        {},
        {"gamma": 1},
        {"gamma": 2},
        {"gamma": 3},
    ]


def test_the_page_of_spaces_names_everything() -> None:
    text = (REPO / "docs" / "search-spaces.md").read_text()
    own = [
        f"{name}.{parameter}"
        for registry in CHOICES.values()
        for name in registry
        for parameter in registry[name].parameters
    ]
    choices = [name for registry in CHOICES.values() for name in registry]
    schema = [Space, Stage, Choices, Range, *(search for search, _ in SEARCHES.values())]
    keys = {key for model in schema for key in model.model_fields}
    keys |= {f"scale.{key}" for key in Scale.model_fields}
    keys |= {f"divergence.{key}" for key in DivergenceRule.model_fields}
    keys |= {key for split in SPLIT_KINDS.values() for key in split.model_fields}
    named = [*field_names(), *own, *choices, *keys, *PRUNERS, *SAMPLERS, *METRICS]
    missing = [name for name in named if not re.search(rf"\b{re.escape(name)}\b", text)]
    assert not missing


def test_the_defaults_of_the_page_are_those_of_the_code() -> None:
    text = (REPO / "docs" / "search-spaces.md").read_text()
    table = dict(re.findall(r"^\| `([\w.]+)` \| `([^`]*)` \|", text, re.MULTILINE))
    for field in field_names():
        shown = yaml.safe_load(table[field])
        default = hpo.Config.model_fields[field].default
        assert (tuple(shown) if isinstance(shown, list) else shown) == default, field
    for registry in CHOICES.values():
        for name in registry:
            for key, parameter in registry[name].parameters.items():
                assert yaml.safe_load(table[f"{name}.{key}"]) == parameter.default
    for key in ("metric", "seeds"):
        assert yaml.safe_load(table[key]) == Space.model_fields[key].default
    for key, info in Constraints.model_fields.items():
        assert yaml.safe_load(table[f"constraints.{key}"]) == info.default
    for key, info in DivergenceRule.model_fields.items():
        assert yaml.safe_load(table[f"divergence.{key}"]) == info.default
    for key in ("trials", "seed", "sampler", "pruner"):
        shown, default = yaml.safe_load(table[key]), OptunaSearch.model_fields[key].default
        assert shown == (default.model_dump() if isinstance(default, Component) else default)


# --- what is said to be stable


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
