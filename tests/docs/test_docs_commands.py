"""The commands that the pages name exist, with the options that are given to them."""

import argparse
import importlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from docs_pages import PAGES, REPO, VERBS, commands

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
MODULES = {module.removesuffix(".__main__"): module for module in VERBS.values()}
ASSIGNMENT = re.compile(r"\w+=[^$].*")


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
            valued = {number for number, word in enumerate(words) if word in ("-m", "-n", "--dist")}
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


def test_verbs_are_in_the_readme() -> None:
    text = (REPO / "README.md").read_text()
    for verb in VERBS:
        assert f"| `hpo {verb}` |" in text
