"""A store of an earlier version, or of one whose ``Config`` has grown since: ends equal."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import study_samples
import torch
from study_samples import NAMES, expected, go_on, open_study, outcome, unpack

import hpo
from hpo.run import main as run
from hpo.search import TaskState

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MADE_WITH = expected()["made_with"]
VERSION = str(torch.__version__)  # before any test changes it
#: The tasks of each study that the store has results of.
DONE = {"greedy": 7, "sampled": 5}
#: Fields that came later, at their neutral values.
NEW_FIELDS = {
    **{"input_dropout": 0.0, "modality_dropout": 0.0},
    **{"class_weight": "none", "oversample": 0.0, "encoder": None},
}
FIELD = "    options: tuple[tuple[str, Any], ...] = ()\n"


@pytest.fixture(autouse=True)
def same_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's version is part of a run's address, as new numbers may come with a new version."""
    monkeypatch.setattr(torch, "__version__", MADE_WITH["torch"])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return unpack(tmp_path / "store")


def same_bits() -> bool:
    """Whether this is the PyTorch and the processor that the expected numbers are of."""
    info = Path("/proc/cpuinfo")
    processor = info.read_text() if info.exists() else ""
    return MADE_WITH["torch"] == VERSION and MADE_WITH["processor"] in processor


VERSION = str(torch.__version__)


def check(found: dict[str, Any], name: str) -> None:
    """Compare what a study ended with with what is expected, to the last bit where it can be."""
    wanted = expected()[name]
    if name == "sampled" and optuna.__version__ != MADE_WITH["optuna"]:
        # Another TPE may draw other configurations; what was there has to be there still.
        assert len(found["tasks"]) == len(wanted["tasks"])
        found, wanted = first(found, DONE[name]), first(wanted, DONE[name])
    for config in (wanted["best"], *(task["config"] for task in wanted["tasks"])):
        if config is not None:
            config |= NEW_FIELDS
    for task in found["tasks"]:
        for cost in ("model_mb", "latency_ms"):  # not known then, nor of what was done then
            task["outcome"].pop(cost, None)
    for mine, theirs in zip(found["tasks"], wanted["tasks"], strict=True):
        assert mine["config"] == theirs["config"]
        assert mine["config_key"] == theirs["config_key"]
        for exact in ("epochs_trained", "runs", "steps", "pruned"):
            assert mine["outcome"][exact] == theirs["outcome"][exact]
        assert close(mine["outcome"]["scores"]) == theirs["outcome"]["scores"]
        assert close(mine["outcome"]["metrics"]) == theirs["outcome"]["metrics"]
    assert found["curves"].keys() == wanted["curves"].keys()
    for number, curve in wanted["curves"].items():
        assert close(found["curves"][number]) == curve
    assert found["best"] == wanted["best"]
    if same_bits():
        assert found == wanted


def close(values: Any) -> Any:
    return values if same_bits() else pytest.approx(values, rel=1e-4)


def first(found: dict[str, Any], count: int) -> dict[str, Any]:
    curves = {number: found["curves"][str(number)] for number in map(str, range(count))}
    return {**found, "tasks": found["tasks"][:count], "curves": curves, "best": None}


def without(field: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return an outcome without a field of its configurations, which must have its default."""
    for config in (found["best"], *(task["config"] for task in found["tasks"])):
        assert config.pop(field) == 0.0
    return found


def package_with_one_more_field(folder: Path) -> Path:
    """Copy the package, give ``Config`` a field, and return where to import it from."""
    shutil.copytree(ROOT / "hpo", folder / "hpo", ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "hpo" / "models" / "_config.py"
    text = module.read_text()
    assert text.count(FIELD) == 1
    module.write_text(text.replace(FIELD, f"    shiny: float = 0.0\n{FIELD}"))
    return folder


def go_on_elsewhere(store: Path, package: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, study_samples.__file__, str(store)],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_store_is_one_that_was_left_in_the_middle(store: Path) -> None:
    for name in NAMES:
        tasks = open_study(store, name).stored.tasks()
        ended = [task for task in tasks if task.state is TaskState.DONE]
        assert len(ended) == DONE[name] < len(tasks)
        wanted = expected()[name]["tasks"]
        for task, was in zip(ended, wanted, strict=False):
            assert task.key == was["config_key"]
            assert task.config is not None and task.config.key == task.key
            assert task.outcome is not None
            assert json.loads(json.dumps(task.outcome.to_json())) == was["outcome"]


def test_an_old_store_is_gone_on_with_from_python(store: Path) -> None:
    found = go_on(store)
    for name in NAMES:
        check(found[name], name)


@pytest.mark.skipif(
    MADE_WITH["torch"] != VERSION, reason="worker processes have the version that is installed"
)
def test_an_old_store_is_gone_on_with_by_the_command(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(store)
    for name in NAMES:
        command = ["--study", name, "--space", f"{name}.yaml", "--data", "data"]
        places = ["--features", "data/embeddings", "--cache", "cache"]
        assert run([*command, *places, "--workers", "1", "--no-refit"]) == 0, capsys.readouterr()
        check(outcome(open_study(store, name).stored), name)
        assert (store / "runs" / name / "report" / "index.html").is_file()


def test_an_old_store_is_gone_on_with_when_config_has_grown(store: Path, tmp_path: Path) -> None:
    found = go_on_elsewhere(store, package_with_one_more_field(tmp_path / "package"))
    for name in NAMES:
        check(without("shiny", found[name]), name)


def test_a_study_is_gone_on_with_when_config_has_grown(store: Path, tmp_path: Path) -> None:
    """One that this version began: its definition and keys don't know the field either."""
    folder = tmp_path / "begun"
    data = hpo.load_data(
        store / "data", features=store / "data" / "embeddings", cache=folder / "cache"
    )
    for name in NAMES:
        study = hpo.create_study(
            data,
            store / f"{name}.yaml",
            name=name,
            storage=f"sqlite:///{folder / 'studies.db'}",
            settings={"feature_scaling": "none"},  # the default of the time
        )
        study.optimize(workers=1, trials=DONE[name], progress=False)
        assert study.stored.counts()[TaskState.DONE] == DONE[name]
        study.stored.ledger.close()
    found = go_on_elsewhere(folder, package_with_one_more_field(tmp_path / "package"))
    for name in NAMES:
        check(without("shiny", found[name]), name)
