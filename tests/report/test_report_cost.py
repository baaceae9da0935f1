"""What a study cost: recorded by the command that ends it, shown by every report of it."""

import json
import platform
import time
from pathlib import Path

import pytest
import torch
from report_samples import GREEDY, make_study, work
from rich.console import Console

from hpo._energy import Energy
from hpo._machine import processor_name
from hpo.report import CommandCost, finish_study, note_command, write_report
from hpo.study import StoredStudy


def shown(folder: Path) -> dict[str, str]:
    rows = json.loads((folder / "tables/cost.json").read_text())["rows"]
    return {row[""]: row["value"] for row in rows}


def ticking(*values: float) -> Energy:
    left = list(values)
    return Energy([(lambda: left.pop(0), 0.0)])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    study = make_study(tmp_path_factory.mktemp("cost"), GREEDY)
    assert work(study)
    return study


def test_the_command_that_ends_a_study_records_its_cost(study: StoredStudy, tmp_path: Path) -> None:
    note_command(study, ["--study", "small", "--data", "my data", "--storage=sqlite:///s.db"])
    cost = CommandCost(time.monotonic() - 100, ("cpu",), ticking(1_000.0, 1_500.0, 13_340.0))
    cost.observe()
    with (tmp_path / "printed").open("w") as file:
        finish_study(study, Console(file=file), tmp_path, "cpu", refit=False, cost=cost)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert 100 <= metrics["wall_s"] < 160
    assert metrics["cost"]["energy_j"] == 12_340
    assert (
        metrics["cost"]["versions"]["torch"] == torch.__version__.split("+")[0]
        or metrics["cost"]["versions"]["torch"] == torch.__version__
    )
    said = shown(tmp_path / "report")
    assert said["energy"] == "12.3 kJ (cpu)"
    assert said["the last command"] == f"{metrics['wall_s']:,.1f} s"
    assert said["machine"].startswith(f"{processor_name()}, ")
    assert f"python {platform.python_version()}, hpo " in said["versions"]
    assert said["command"] == "hpo run --study small --data 'my data' --storage=sqlite:///s.db"
    trained = sum(task.outcome.epochs_trained for task in study.tasks() if task.outcome)
    assert said["epochs of single runs, trials"] == f"{trained:,}"
    assert said["workers"] == f"1 on {platform.node()}"


def test_devices_that_do_not_tell(study: StoredStudy, tmp_path: Path) -> None:
    cost = CommandCost(time.monotonic(), ("cpu",), Energy([]))
    with (tmp_path / "printed").open("w") as file:
        finish_study(study, Console(file=file), tmp_path, "cpu", refit=False, cost=cost)
    assert shown(tmp_path / "report")["energy"] == "the devices don't tell (cpu)"


def test_before_the_end_the_store_tells_what_it_knows(study: StoredStudy, tmp_path: Path) -> None:
    write_report(study, study.tasks(), tmp_path)
    said = shown(tmp_path)
    assert said["energy"] == "not known before hpo run has ended the study"
    assert said["trained by"].startswith("trainer ") and "PyTorch" in said["trained by"]
    assert said["arithmetic"] == "float32, 1 thread on a processor, compiler off"
    assert "machine" not in said


def test_a_password_is_not_noted(study: StoredStudy, tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:secret@host/db"
    for arguments in (["--storage", url], [f"--storage={url}"]):
        note_command(study, arguments)
        write_report(study, study.tasks(), tmp_path)
        command = shown(tmp_path)["command"]
        assert "secret" not in command and "me:***@host/db" in command


def test_a_study_from_python_has_no_command(finished: StoredStudy, tmp_path: Path) -> None:
    write_report(finished, finished.tasks(), tmp_path)
    assert shown(tmp_path)["command"] == "not noted: not made by hpo run"
