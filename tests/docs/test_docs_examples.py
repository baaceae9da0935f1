"""The examples of the pages run, and do what the pages say."""

import importlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_pages import PAGES, REPO, STAND_IN, TINY, VERBS, blocks, commands, run_page

import hpo
from hpo import __main__ as command
from hpo.training import METRICS


def test_there_are_pages_with_examples() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/library.md", "docs/search-spaces.md"} <= {*PAGES}
    assert sum(len(blocks(page, "python")) for page in PAGES) > 15
    assert sum(len(blocks(page, "sh")) for page in PAGES) > 15


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
        arguments = ["my-best" if word == "best" else word for word in arguments]
        arguments = [word.replace("runs/best", "runs/my-best") for word in arguments]
        if verb == "run":
            study = "from-embeddings" if "my-embeddings" in arguments else "my-best"
            arguments += ["--study", study, "--space", "search_spaces/best.yaml", "--workers", "1"]
        status = importlib.import_module(VERBS[verb]).main(arguments)
        assert status == 0, f"{place}: {capsys.readouterr().err}"
        ran.append(verb)
    assert ran == ["run", "worker", "report", "predict", "data", "run"]
    assert (workplace / "runs" / "my-best" / "report" / "index.html").is_file()
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
