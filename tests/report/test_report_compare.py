"""Studies side by side, and what is said where they can't be paired."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from report_samples import GREEDY, work, write_data
from rich.console import Console
from sklearn.metrics import f1_score

import hpo
from hpo.report import finish_study, write_comparison
from hpo.report.__main__ import main
from hpo.results import RowsSeen, paired, winner_on
from hpo.study import StoredStudy

SPLIT = "split: {kind: tail, val_rows: 40, test_rows: 20}"
FIRST = GREEDY.replace("split: {kind: tail, val_rows: 40}", SPLIT)
SECOND = """
name: second
seeds: 1
split: {kind: tail, val_rows: 40, test_rows: 20}
fixed: {hidden: [4], epochs: 2, fusion: text}
search:
  kind: optuna
  trials: 3
  params: {lr: {low: 0.0001, high: 0.001}}
"""
OTHER = SECOND.replace("val_rows: 40, test_rows: 20", "val_rows: 30")


def seen(ids: str, classes: str, truth: list[list[int]], *models: list[list[int]]) -> RowsSeen:
    """Rows named by letters."""
    predicted = [np.array(model, dtype=bool) for model in models]
    return RowsSeen(tuple(ids), tuple(classes), np.array(truth, dtype=bool), predicted)


TRUTH = [[1, 0], [0, 1], [1, 1]]
RIGHT = seen("abc", "xy", TRUTH, TRUTH)
WRONG = seen("abc", "xy", TRUTH, [[1, 1], [0, 0], [1, 1]])


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[StoredStudy]:
    folder = tmp_path_factory.mktemp("compare")
    source = write_data(folder / "data")
    data = hpo.load_data(source, features=source / "embeddings", cache=folder / ".hpo")
    found = []
    for name, text in (("first", FIRST), ("second", SECOND), ("other", OTHER)):
        (folder / f"{name}.yaml").write_text(text)
        url = f"sqlite:///{folder / 'studies.db'}"
        study = hpo.create_study(data, folder / f"{name}.yaml", name=name, storage=url).stored
        study.open_next()
        assert work(study)
        found.append(study)
    return found


def test_the_same_rows_in_another_order_are_the_same_rows() -> None:
    order = np.array([2, 0, 1])
    assert paired(RIGHT, WRONG) == paired(RIGHT, WRONG.taken(order))
    found = paired(RIGHT, WRONG)
    assert not isinstance(found, str)
    truth, predicted = WRONG.truth, WRONG.predicted[0]
    for name, average in (("micro_f1", "micro"), ("macro_f1", "macro"), ("samples_f1", "samples")):
        expected = 100 - 100 * f1_score(truth, predicted, average=average, zero_division=0)
        assert found[name].value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            dataclasses.replace(WRONG, classes=("x", "z")),
            "they have other classes, 2 and 2, of which 1 are the same",
        ),
        (dataclasses.replace(WRONG, classes=("y", "x")), "they have the classes in another order"),
        (
            dataclasses.replace(WRONG, ids=("a", "b", "d")),
            "they are other rows: 3 and 3, with 2 in common",
        ),
        (
            dataclasses.replace(WRONG, ids=("a", "b", "b")),
            "they are other rows: 3 and 3, with 2 in common",
        ),
        (
            dataclasses.replace(WRONG, truth=~WRONG.truth),
            "3 of these rows have other labels",
        ),
    ],
)
def test_what_can_t_be_paired_says_why(other: RowsSeen, said: str) -> None:
    assert paired(RIGHT, other) == said


def test_differences_are_those_of_the_winners(studies: list[StoredStudy], tmp_path: Path) -> None:
    first, second, _ = studies
    write_comparison([first, second], tmp_path)
    record = json.loads((tmp_path / "tables/differences.json").read_text())
    parts = {row["part"]: row for row in record["rows"]}
    assert {name: row["rows"] for name, row in parts.items()} == {"val": 40, "test": 20}
    for part, row in parts.items():
        assert (row["first"], row["second"]) == ("first", "second")
        means = []
        for study in (first, second):
            best = study.best()
            assert best is not None
            found = winner_on(study, best, ["cpu"])
            assert not isinstance(found, str)
            rows = found[part]
            scores = [
                f1_score(rows.truth, p, average="micro", zero_division=0) for p in rows.predicted
            ]
            means.append(100 * float(np.mean(scores)))
            if part == "val":
                assert best.outcome is not None
                assert means[-1] == pytest.approx(best.outcome.value, abs=1e-3)
        assert row["micro_f1"] == pytest.approx(means[0] - means[1])
        assert row["micro_f1_low"] <= row["micro_f1"] <= row["micro_f1_high"]
        told = row["micro_f1_low"] > 0
        assert row["so"] == (
            "first is better by micro-F1" if told else "can't be told apart by micro-F1"
        )
    assert parts["val"]["micro_f1"] > 0  # of 1 trial with 4 units and the text alone


def test_other_rows_are_not_paired(studies: list[StoredStudy], tmp_path: Path) -> None:
    first, _, other = studies
    write_comparison([first, other], tmp_path)
    page = (tmp_path / "tables.md").read_text()
    assert (
        "first and other can't be paired on the validation rows, the winners as the search trained "
        "them: they are other rows: 40 and 30, with 30 in common. Studies with the same data and "
        "split have the same rows."
    ) in page
    assert (
        "first and other can't be paired on the test rows, the winners as the search trained them: "
        "other has not got a test part."
    ) in page
    assert not (tmp_path / "tables/differences.json").exists()
    rows = json.loads((tmp_path / "tables/studies.json").read_text())["rows"]
    about = {row[""]: (row["first"], row["other"]) for row in rows}
    assert about["rows to train, validate, test"] == ("80, 40, 20", "110, 30, none")
    assert about["search"] == ("greedy", "optuna")


def test_refitted_models_are_compared_on_the_test_rows(
    studies: list[StoredStudy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for study in studies[:2]:
        with (tmp_path / "out").open("w") as file:
            finish_study(study, Console(file=file), Path("runs") / study.name, "cpu", refit=True)
    write_comparison(studies[:2], tmp_path / "compared")
    rows = json.loads((tmp_path / "compared/tables/differences.json").read_text())["rows"]
    assert [row["part"] for row in rows] == ["val", "test", "model"]
    scores = [
        json.loads(Path(f"runs/{study.name}/metrics.json").read_text())["test"]["micro_f1"]["value"]
        for study in studies[:2]
    ]
    assert rows[-1]["micro_f1"] == pytest.approx(scores[0] - scores[1])


def test_twice_the_same_bytes(studies: list[StoredStudy], tmp_path: Path) -> None:
    paths = write_comparison(studies, tmp_path / "a")
    write_comparison(studies, tmp_path / "b")
    assert {path.suffix for path in paths} == {".md", ".csv", ".json", ".png", ".html"}
    for path in paths:
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes()


def test_a_study_without_a_result_or_weights_says_so(
    studies: list[StoredStudy], tmp_path: Path
) -> None:
    first, second, _ = studies
    away = StoredStudy.join(second.url, "second", cache=Path(second.definition.cache))
    moved = Path(away.definition.run_store)
    moved.rename(tmp_path / "runs")
    try:
        write_comparison([first, away], tmp_path / "compared")
    finally:
        (tmp_path / "runs").rename(moved)
    page = (tmp_path / "compared/tables.md").read_text()
    assert "first and second can't be paired: of first, the run store at " in page
    assert f"of second, the run store at {moved} doesn't have the weights of its trial " in page


def test_command(
    studies: list[StoredStudy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = ["--storage", studies[0].url]
    assert main(["--compare", "first", "second", *storage, "--out", str(tmp_path / "c")]) == 0
    printed = capsys.readouterr().out
    assert printed == (
        f"  {tmp_path}/c/tables.md\n  {tmp_path}/c/index.html\n  {tmp_path}/c/tables/ (6 files)\n"
        f"  {tmp_path}/c/figures/ (1 files)\n"
    )
    assert main(["--compare", "first", *storage]) == 2
    assert capsys.readouterr().err == (
        "error: --compare first: must be two or more different studies of the storage.\n"
    )
    assert main(["--compare", "first", "secnd", *storage, "--out", str(tmp_path / "c")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --compare secnd: ")
    assert "(did you mean 'second'?)" in said
    with pytest.raises(SystemExit):
        main(["--compare", "first", "second", "--study", "first", *storage])
    assert "give one of --study NAME and --compare NAME NAME" in capsys.readouterr().err
