"""The report folder against the ledger, Optuna's storage and the run store."""

import base64
import csv
import io
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report_samples import SAMPLED, make_study, work
from rich.console import Console

from hpo._energy import Energy
from hpo.report import CommandCost, finish_study, write_report
from hpo.report.__main__ import main
from hpo.results import compute_floor
from hpo.search import NoCandidateError
from hpo.study import StoredStudy
from hpo.training import curve_columns
from hpo.worker import _assignment

FIGURES = ("01_fusion.png", "01_fusion_close.png", "02_rate_dropout.png")
TABLES = ("start", "ranges", "fusion", "rate_dropout", "best", "cost")
RESULTS = (
    "winner",
    "reliability",
    "floor",
    "without",
    "classes",
    "worst_rows",
    "doubtful_rows",
    "confusions",
)
KINDS = ("csv", "json")


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def report(finished: StoredStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "report"
    write_report(finished, finished.tasks(), folder)
    return folder


def test_trials_hold_what_optuna_holds(finished: StoredStudy, report: Path) -> None:
    rows = read_csv(report / "trials.csv")
    trials = finished.optuna.get_trials()
    assert len(rows) == len(trials) == 5
    for row, trial in zip(rows, trials, strict=True):
        assert (row["number"], row["state"]) == (str(trial.number), "complete")
        assert row["stage"] == trial.user_attrs["stage"]
        assert float(row["value"]) == trial.value
        assert float(row["std"]) == trial.user_attrs["std"]
        assert {k: row[f"params_{k}"] for k in trial.params} == {
            k: str(v) for k, v in trial.params.items()
        }
        scores = [float(row["score_seed_0"]), float(row["score_seed_1"])]
        assert scores == trial.user_attrs["scores"]
        assert np.mean(scores) == pytest.approx(float(row["value"]))
        for name in curve_columns(finished.definition.metrics):
            assert float(row[f"metrics_{name}"]) == trial.user_attrs["metrics"][name]
        assert int(row["epochs_trained"]) == trial.user_attrs["epochs_trained"]
        assert row["reason"] == ""
        for cost in ("model_mb", "latency_ms"):
            assert float(row[cost]) == trial.user_attrs[cost] > 0


def test_tables_hold_what_the_ledger_holds(finished: StoredStudy, report: Path) -> None:
    tasks = finished.tasks()
    by_trial = {str(task.trial): task for task in tasks}
    floor = [f"floor: {line.name}" for line in compute_floor(finished).lines]
    written = read_csv(report / "tables.csv")
    assert [row["candidate"] for row in written] == [
        "fusion image",
        "fusion sum",
        floor[0],
        *(f"lr {lr}, dropout {dropout}" for lr in (0.01, 0.1) for dropout in (0.2, 0.5)),
        floor[0],
        *floor,
    ]
    rows = [row for row in written if row["trial"]]
    assert len(rows) == 6
    for row in rows:
        outcome = by_trial[row["trial"]].outcome
        assert outcome is not None
        assert (float(row["value"]), float(row["std"])) == (outcome.value, outcome.std)
        costs = (float(row["model_mb"]), float(row["latency_ms"]))
        assert costs == (outcome.model_mb, outcome.latency_ms)
    for stage in ("fusion", "rate × dropout"):
        of_stage = [row for row in rows if row["stage"] == stage]
        best = max(of_stage, key=lambda row: float(row["value"]))
        assert [row for row in of_stage if row["winner"] == "1"] == [best]
    winner = next(row for row in rows if row["winner"] == "1")
    bold = f"| **{winner['candidate']}** | **{float(winner['value']):.3f} ± "
    assert bold in (report / "tables.md").read_text(encoding="utf-8")


class _Page(HTMLParser):
    """Collects cells, images and links, and whether anything else is loaded or run."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.files: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.files += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def _embedded(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def test_page_shows_every_score_and_needs_nothing_else(finished: StoredStudy, report: Path) -> None:
    page = _Page()
    page.feed((report / "index.html").read_text(encoding="utf-8"))
    tables = finished.tables()
    for row in (row for table in tables for row in table.rows):
        assert f"{row.value:.3f} ± {row.std:.3f}" in page.cells
    assert page.files == [
        *(_embedded(report / "figures" / name) for name in FIGURES),
        "trials.csv",
        "tables.csv",
        "tables.md",
        "tables/",
    ]
    assert all((report / name).exists() for name in page.files[len(FIGURES) :])
    assert not page.tags & {"script", "link", "iframe"}


def test_figures_are_images_and_repeatable(
    finished: StoredStudy, report: Path, tmp_path: Path
) -> None:
    write_report(finished, finished.tasks(), tmp_path)
    for name in FIGURES:
        content = (report / "figures" / name).read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert image.format == "PNG" and image.width > 1000
        assert (tmp_path / "figures" / name).read_bytes() == content


def test_report_while_the_study_runs(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    task = study.ledger.claim(study.name, "somebody", 60.0)
    assert task is not None and task.config is not None
    folder = tmp_path / "report"
    write_report(study, study.tasks(), folder)
    assert read_csv(folder / "trials.csv") == []
    assert "<img" not in (folder / "index.html").read_text(encoding="utf-8")

    trial = study.trials.begin(task, study.strategy.attributes(task))
    assert trial is not None
    study.trials.append(trial, [(1, 50.0), (2, 60.0)], {})
    study.trials.leave()
    write_report(study, study.tasks(), folder)
    (row,) = read_csv(folder / "trials.csv")
    assert (row["state"], row["stage"], row["value"]) == ("running", "fusion", "")
    rows = read_csv(folder / "tables.csv")
    assert [(row["candidate"], row["value"], row["trial"]) for row in rows] == [
        ("fusion image", "", "0"),
        ("fusion sum", "", ""),
    ]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "<dd>1 claimed, 1 open</dd>" in page
    assert "<dd>not decided yet</dd>" in page
    assert f'<img src="{_embedded(folder / "figures" / "01_fusion.png")}"' in page
    assert (folder / "figures" / "01_fusion.png").is_file()


def test_reason_of_a_failure_is_told_even_if_no_candidate_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path)

    def fail(*_args: Any, **_options: Any) -> None:
        raise RuntimeError("broken | on\npurpose")

    monkeypatch.setattr(_assignment, "run_trial", fail)
    with pytest.raises(NoCandidateError, match=r"All candidates of the stage 'fusion' failed\."):
        work(study)
    out = tmp_path / "report"
    assert main(["--study", study.name, "--storage", study.url, "--out", str(out)]) == 4
    rows = read_csv(out / "trials.csv")
    assert {(row["state"], row["reason"]) for row in rows} == {
        ("fail", "RuntimeError: broken | on\npurpose")
    }
    assert f"See {out / 'trials.csv'}." in capsys.readouterr().err


def test_sampled_study_shows_its_best_trials_and_draws_the_others(tmp_path: Path) -> None:
    study = make_study(tmp_path, SAMPLED)
    assert work(study)
    paths = write_report(study, study.tasks(), tmp_path / "report")
    assert [path.relative_to(tmp_path / "report").as_posix() for path in paths] == [
        "trials.csv",
        "tables.csv",
        "tables.md",
        *(
            f"tables/{name}.{kind}"
            for name in ("ranges", "trials", "best", "cost")
            for kind in KINDS
        ),
        "figures/01_trials.png",
        "index.html",
    ]
    values = sorted((trial.value for trial in study.optuna.get_trials()), reverse=True)
    rows = read_csv(tmp_path / "report" / "tables.csv")
    assert [float(row["value"]) for row in rows] == values[:10]
    assert len(read_csv(tmp_path / "report" / "trials.csv")) == 12


def test_a_finished_study_has_the_same_folder(finished: StoredStudy, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    finish_study(finished, console, tmp_path, "cpu", refit=False)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {
        "metrics.json",
        "report/trials.csv",
        "report/tables.md",
        "report/tables.csv",
        "report/classes.csv",
        "report/confusions.csv",
        "report/errors.csv",
        *(f"report/figures/{name}" for name in FIGURES),
        "report/index.html",
        "report/figures/reliability.png",
        "report/reliability.csv",
        *(f"report/tables/{name}.{kind}" for name in (*TABLES, *RESULTS) for kind in KINDS),
    }


def test_twice_the_same_bytes_with_all_that_a_finished_study_has(
    finished: StoredStudy, tmp_path: Path
) -> None:
    console = Console(file=io.StringIO(), width=200)
    cost = CommandCost(time.monotonic(), ("cpu",), Energy([]))
    finish_study(finished, console, tmp_path / "a", "cpu", refit=True, cost=cost)
    report = tmp_path / "a/report"
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    where = ["--study", "small", "--storage", finished.url]
    assert main([*where, "--out", str(report)]) == 0
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == before
    assert {path.suffix for path in before} == {".csv", ".json", ".md", ".html", ".png"}
    assert "<h2>Reliability</h2>" in before[report / "index.html"].decode()


def test_the_winner_has_intervals_and_so_have_the_trials_it_was_compared_with(
    finished: StoredStudy, tmp_path: Path
) -> None:
    console = Console(file=io.StringIO(), width=200)
    finish_study(finished, console, tmp_path, "cpu", refit=False)
    judged = json.loads((tmp_path / "metrics.json").read_text())["judged"]
    winner, *_ = json.loads((tmp_path / "report/tables/winner.json").read_text())["rows"]
    assert winner["micro_f1_low"] == judged["validation"]["micro_f1"]["low"]
    rows = [
        row
        for name in ("fusion", "rate_dropout")
        for row in json.loads((tmp_path / f"report/tables/{name}.json").read_text())["rows"]
    ]
    assert {row["trial"] for row in rows if row["trial"] is not None} == set(range(5))
    for row in rows:
        if row["trial"] is not None:
            assert row["low"] <= row["value"] <= row["high"]
            same = judged["compared"].get(str(row["trial"]), judged["validation"])["micro_f1"]
            assert (row["low"], row["high"]) == (same["low"], same["high"])
            assert same["value"] == pytest.approx(row["value"], abs=1e-3)
    page = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert '<th class="number">95%</th>' in page
    assert "no test part: the validation rows chose" in page


def test_results_are_found_where_they_usually_are(
    finished: StoredStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    console = Console(file=io.StringIO(), width=200)
    finish_study(finished, console, Path("runs/small"), "cpu", refit=False)
    where = ["--study", "small", "--storage", finished.url]
    assert main([*where, "--out", "elsewhere"]) == 0
    page = Path("elsewhere/index.html").read_bytes()
    assert page == Path("runs/small/report/index.html").read_bytes()


def test_command_prints_its_files(
    finished: StoredStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--study", "small", "--storage", finished.url]) == 0
    printed = capsys.readouterr()
    assert [line.strip() for line in printed.out.splitlines()] == [
        f"runs/small/report/{name}"
        for name in (
            "trials.csv",
            "tables.csv",
            "tables.md",
            "index.html",
            f"tables/ ({len(list(Path('runs/small/report/tables').iterdir()))} files)",
            f"figures/ ({len(FIGURES)} files)",
        )
    ]
    assert printed.err == ""


def test_command_without_the_runs_leaves_the_losses_out(
    finished: StoredStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--study", "small", "--storage", finished.url, "--out", str(tmp_path / "out")]
    assert main([*arguments, "--cache", str(tmp_path / "absent")]) == 0
    assert capsys.readouterr().err == (
        f"There are no runs at {tmp_path / 'absent' / 'runs'}, so the figures have no losses; "
        "give the folder that holds them on this machine with --cache.\n"
    )
    assert (tmp_path / "out" / "figures" / "01_fusion.png").is_file()


def test_command_refuses_what_it_cannot_do(
    finished: StoredStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--study", "smal", "--storage", finished.url]) == 2
    assert re.fullmatch(
        r"error: --study smal: sqlite:///.*studies\.db has no such study "
        r"\(did you mean 'small'\?\); it has: small\.\n",
        capsys.readouterr().err,
    )
    file = tmp_path / "report"
    file.write_text("")
    assert main(["--study", "small", "--storage", finished.url, "--out", str(file)]) == 2
    assert capsys.readouterr().err == f"error: --out {file} is a file, but must be a folder\n"


def test_what_was_changed_is_left_out_and_named(
    finished: StoredStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(file=io.StringIO(), width=200)
    finish_study(finished, console, tmp_path, "cpu", refit=False)
    report, where = tmp_path / "report", ["--study", "small", "--storage", finished.url]

    def page_after(path: Path, old: bytes, new: bytes) -> str:
        whole = path.read_bytes()
        assert old in whole
        path.write_bytes(whole.replace(old, new, 1))
        assert main([*where, "--out", str(report)]) == 0
        path.write_bytes(whole)
        return (report / "index.html").read_text(encoding="utf-8")

    assert "Reliability" not in page_after(report / "reliability.csv", b"0.", b"1.")
    assert "reliability.csv isn't what was written, so the report le" in capsys.readouterr().err
    assert "gets most wrong" not in page_after(report / "errors.csv", b"0.", b"1.")
    assert "errors.csv isn't what was written, so the report leaves" in capsys.readouterr().err
    assert "Reliability" not in page_after(tmp_path / "metrics.json", b"1", b"2")
    assert "metrics.json are left out: the file is damaged (its check" in capsys.readouterr().err
    assert main([*where, "--out", str(report)]) == 0
    assert "Reliability" in (report / "index.html").read_text(encoding="utf-8")
