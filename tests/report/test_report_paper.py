"""The paper's tables and figures, from a study that covers them and from some that don't."""

import csv
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from report_samples import GREEDY, SAMPLED, make_study, work, write_data

from hpo.report import write_report
from hpo.report._curves import Curve, StageCurves
from hpo.report._paper import place_of, uncovered
from hpo.report._paper_figures import draw_close_up, draw_training_loss
from hpo.search import StageTable, TableRow
from hpo.study import StoredStudy

WHOLE = """
name: whole
metric: micro_f1
seeds: 1
split: {kind: tail, val_rows: 40}
fixed: {hidden: [8], lr: 0.01, epochs: 2, batch_size: 100, dropout: 0.5}
search:
  kind: greedy
  stages:
    - {name: a, params: {head: [mlp, gmlp]}, reference: [85.5, 83.5]}
    - {name: b, params: {fusion: [image, sum]}}
    - {name: c, params: {loss: [bce, focal]}}
    - {name: d, params: {hidden: [[8], [8, 4]]}}
    - {name: e, params: {batch_size: [100, 50], lr: [0.01, 0.1]}}
    - {name: f, params: {epochs: [2, 3]}}
    - {name: g, params: {activation: [gelu, relu]}}
    - {name: h, params: {activation: [gelu, relu], dropout: [0, 0.2, 0.5]}}
refit: null
reference: {name: paper, train_csv_sha256: SHA}
"""


def table(**values: list[Any]) -> StageTable:
    """A table that compares some values, in a grid of one row each."""
    length = max(map(len, values.values()))
    rows = tuple(
        TableRow("", {n: v[i % len(v)] for n, v in values.items()}, 1.0, 0.0, i, None, False, "")
        for i in range(length)
    )
    return StageTable("stage", rows, "stage", selected=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    folder = tmp_path_factory.mktemp("whole")
    written = write_data(folder / "same") / "train.csv"
    sha = hashlib.sha256(written.read_bytes()).hexdigest()
    study = make_study(folder / "study", WHOLE.replace("SHA", sha))
    assert work(study)
    return study


@pytest.fixture(scope="module")
def report(whole: StoredStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(whole, whole.tasks(), folder)
    return folder


def test_every_table_and_figure_is_there(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    text = (report / "tables.md").read_text(encoding="utf-8")
    for name in (*(f"Table {number}" for number in (*range(1, 10), 12)), "Tables 10 and 11"):
        assert page.count(f"<small>the paper&#x27;s {name}</small></h2>") == 1
        assert text.count(f" (the paper's {name})\n") == 1
    for number in range(6, 11):
        assert page.count(f"he paper&#x27;s Figure {number}: ") == 1
        assert text.count(f"he paper's Figure {number}: ") == 1
    assert "Tables and figures of the paper" not in page


def test_published_values_stand_beside_ours_where_the_data_is_the_same(
    report: Path, whole: StoredStudy
) -> None:
    best = json.loads((report / "tables/best.json").read_text())
    assert best["name"] == "The best configuration"
    shown = {row["parameter"]: row for row in best["rows"]}
    winner = whole.best()
    assert winner is not None and winner.config is not None
    assert shown["dropout"] == {
        "parameter": "dropout",
        "value": f"{winner.config.dropout:g}",
        "paper": "0.6",
    }
    assert shown["hidden"]["paper"] == "2048-512"
    with (report / "tables/start.csv").open(newline="") as file:
        start = {row["parameter"]: row for row in csv.DictReader(file)}
    assert start["lr"] == {"parameter": "lr", "value": "0.01", "paper": "0.001"}
    with (report / "tables/a.csv").open(newline="") as file:
        assert [row["reference"] for row in csv.DictReader(file)] == ["85.5", "83.5"]


def test_on_other_data_there_are_no_published_values(finished: StoredStudy, tmp_path: Path) -> None:
    write_report(finished, finished.tasks(), tmp_path)
    for name in ("start", "best"):
        rows = json.loads((tmp_path / f"tables/{name}.json").read_text())["rows"]
        assert all(list(row) == ["parameter", "value"] for row in rows)


def test_ranges_are_those_of_the_space(report: Path) -> None:
    rows = json.loads((report / "tables/ranges.json").read_text())["rows"]
    assert {row["parameter"]: (row["start"], row["range"]) for row in rows} == {
        "head": ("mlp", "mlp, gmlp"),
        "fusion": ("image", "image, sum"),
        "loss": ("bce", "bce, focal"),
        "hidden": ("8", "8, 8-4"),
        "batch_size": ("100", "50, 100"),
        "lr": ("0.01", "0.01, 0.1"),
        "epochs": ("2", "2, 3"),
        "activation": ("gelu", "gelu, relu"),
        "dropout": ("0.5", "0, 0.2, 0.5"),
    }


def test_what_is_not_covered_is_said_with_what_covers_it(
    finished: StoredStudy, tmp_path: Path
) -> None:
    said = uncovered(finished, finished.tables(), finished.best())
    assert said == [
        "Not in this study: Tables 2, 4, 6 to 10, Figures 6, 9, 10. A study that has it: hpo run "
        "--study greedy --data …",
        "Not in this study: Table 11 (dropout against none). A study that has it: hpo run --study "
        "ablation --data …",
    ]
    write_report(finished, finished.tasks(), tmp_path)
    assert f"<p>{said[0]}</p>" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert said[1] in (tmp_path / "tables.md").read_text(encoding="utf-8")


def test_a_study_that_goes_on_says_what_is_to_come(tmp_path: Path) -> None:
    study = make_study(tmp_path, GREEDY)
    first, *_ = uncovered(study, study.tables(), study.best())
    assert first == "Still to come in this study: Table 12 (the best pipeline)."
    write_report(study, study.tasks(), tmp_path / "report")
    assert not (tmp_path / "report/tables/best.csv").exists()


def test_a_sampled_study_compares_nothing_with_all_else_equal(tmp_path: Path) -> None:
    study = make_study(tmp_path, SAMPLED)
    assert work(study)
    assert uncovered(study, study.tables(), study.best())[0] == (
        "Not in this study: Tables 1 to 4, 6 to 10, Figures 6 to 10. A study that has it: hpo run "
        "--study greedy --data …"
    )
    write_report(study, study.tasks(), tmp_path / "report")
    rows = json.loads((tmp_path / "report/tables/ranges.json").read_text())["rows"]
    assert rows == [{"parameter": "lr", "range": "0.001 to 0.1, logarithmic"}]


def test_a_stage_is_told_by_what_it_varies() -> None:
    assert str(place_of(table(fusion=["image", "text"]))) == "the paper's Table 3"
    rates = table(dropout=[0.2, 0.5], activation=["gelu"])
    assert place_of(rates) == place_of(table(dropout=[0.2, 0.5]))
    assert str(place_of(rates)) == "the paper's Table 10"
    assert str(place_of(table(dropout=[0, 0.6]))) == "the paper's Table 11"
    both = place_of(table(dropout=[0, 0.2, 0.6]))
    assert str(both) == "the paper's Tables 10 and 11"
    losses = table(**{"loss": ["focal", "asl"], "focal.gamma": [1, 2]})
    assert str(place_of(losses)) == "the paper's Table 4"
    assert place_of(table(lr=[0.1, 0.2])) is None
    assert place_of(dataclasses.replace(table(head=["mlp"]), selected=True)) is None


def curve(label: str, end: float, steps: int = 10) -> Curve:
    points = {step: end - (steps - step) for step in range(1, steps + 1)}
    spread = {step: (value - 1, value + 1) for step, value in points.items()}
    loss = {step: 1.0 / step for step in points}
    return Curve(label, {}, "", False, end, points, {}, None, train_loss=loss, spread=spread)


def test_a_close_up_has_the_best_three_in_its_frame_and_the_second_half_alone() -> None:
    curves = (curve("a", 80), curve("b", 79), curve("c", 78), curve("d", 40))
    figure = draw_close_up(StageCurves("fusion", "F1", curves, (), ("bce",)))
    assert figure is not None
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert 70 < low < 78 - 4 and 80 < high < 81
    lines = [line for line in axes.lines if line.get_marker() == "None"]
    assert {tuple(line.get_xdata()) for line in lines} == {(6, 7, 8, 9, 10)}
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (75, 81)
    assert [text.get_text() for text in axes.texts] == ["1 curve ends below"]


def test_the_training_loss_is_drawn_as_it_is() -> None:
    stage = StageCurves("dropout", "F1", (curve("a", 80),), (), ("bce",))
    figure = draw_training_loss(stage)
    assert figure is not None
    assert list(figure.axes[0].lines[0].get_ydata()) == [1.0 / step for step in range(1, 11)]
    bare = dataclasses.replace(stage.curves[0], train_loss={})
    assert draw_training_loss(dataclasses.replace(stage, curves=(bare,))) is None
    assert draw_close_up(dataclasses.replace(stage, curves=())) is None
