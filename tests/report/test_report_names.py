"""Names that other programs would take for something else are shown as they are."""

import logging
from pathlib import Path
from typing import Any

import pytest
from report_samples import GREEDY, make_study, work

import hpo.report._pictures as module
from hpo.report import write_report

ODD = GREEDY.replace("name: fusion,", r"name: '$\frac$ [red] [/b] :smile:',")


def test_a_stage_may_have_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = make_study(tmp_path, ODD)
    assert work(study)
    caplog.clear()
    paths = write_report(study, study.tasks(), tmp_path / "report")
    assert [path.name for path in paths if path.suffix == ".png"] == [
        "01_frac_red_b_smile.png",
        "01_frac_red_b_smile_close.png",
        "02_rate_dropout.png",
    ]
    assert r"$\frac$ [red] [/b] :smile:" in (tmp_path / "report" / "index.html").read_text()
    assert caplog.records == []

    drawn = module.draw_stage

    def draw(stage: Any) -> Any:
        if "frac" in stage.name:
            raise ValueError("no such glyph")
        return drawn(stage)

    monkeypatch.setattr(module, "draw_stage", draw)
    with caplog.at_level(logging.WARNING):
        paths = write_report(study, study.tasks(), tmp_path / "again")
    assert [path.name for path in paths if path.suffix == ".png"] == [
        "01_frac_red_b_smile_close.png",
        "02_rate_dropout.png",
    ]
    assert (tmp_path / "again" / "index.html").exists()
    assert [record.getMessage() for record in caplog.records] == [
        r"The figure 'Curves of the stage $\frac$ [red] [/b] :smile:' can't be drawn: no such glyph"
    ]
