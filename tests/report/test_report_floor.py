"""The scores to beat: on the screen as soon as they are known, and in every table."""

import io
import re
from pathlib import Path

import pytest
from report_samples import GREEDY, make_study, work

import hpo
from hpo.events import StudyWatch
from hpo.library import Study
from hpo.report import write_report
from hpo.results import compute_floor
from hpo.watch import Screen, SharedConsole


def shown(folder: Path, *, before: bool) -> tuple[str, str]:
    """What a screen shows of a study before and after its floor is known."""
    study = make_study(folder)
    console = SharedConsole(file=io.StringIO(), width=150, record=True)
    watch = StudyWatch(study, Screen(console))
    watch.begin()
    if before:
        compute_floor(study)
    watch.update(study.tasks())
    first = console.export_text()
    compute_floor(study)
    assert work(study)
    watch.update(study.tasks())
    watch.update(study.tasks())
    return first, console.export_text()


def test_the_screen_shows_it_once_as_soon_as_it_is_known(tmp_path: Path) -> None:
    first, later = shown(tmp_path, before=False)
    assert "to beat" not in first
    for name in ("linear", "constant"):
        assert later.count(f"to beat on the rows to validate: {name} micro-F1 ") == 1
    assert "floor: " in later  # a row of each stage's table
    assert later.count("to be beaten") == 2


def test_of_a_resumed_study_it_is_there_at_once(tmp_path: Path) -> None:
    first, later = shown(tmp_path, before=True)
    assert first.count("to beat on the rows to validate: ") == 2
    assert "to beat on" not in later


def test_the_report_has_it_in_every_table_and_in_one_of_its_own(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    floor = compute_floor(study)
    assert work(study)
    write_report(study, study.tasks(), tmp_path / "report")
    text = (tmp_path / "report" / "tables.md").read_text()
    stages, own = text.split("## floor, micro_f1 on the rows to validate")
    best = floor.best.validation["micro_f1"].value
    row = rf"^\| floor: {floor.best.name} \| {best:.3f} \|(  \|)+ to be beaten \|$"
    assert len(re.findall(row, stages, re.MULTILINE)) == 2
    for line in floor.lines:
        score = line.validation["micro_f1"].value
        assert f"| floor: {line.name} | {score:.3f} |  | {line.baseline.about} |" in own
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<h2>floor, micro_f1 on the rows to validate</h2>") == 1
    rows = (tmp_path / "report" / "tables.csv").read_text().splitlines()
    assert sum("to be beaten" in row for row in rows) == 2


def test_a_metric_that_is_no_f1_score_is_not_mixed_up_with_them(tmp_path: Path) -> None:
    study = make_study(tmp_path, GREEDY.replace("micro_f1", "map"))
    floor = compute_floor(study)
    assert floor.metric == "micro_f1"
    assert work(study)
    write_report(study, study.tasks(), tmp_path / "report")
    text = (tmp_path / "report" / "tables.md").read_text()
    assert "to be beaten" not in text
    assert "## floor, micro_f1 on the rows to validate" in text
    with pytest.raises(hpo.InputError, match=r"^The metric of the study is map, but the floor has"):
        Study(study).leaderboard(floor=True)
