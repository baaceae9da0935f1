"""``--log-to``: what other tools have of a study afterwards, read by these tools."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from wandb.proto.wandb_internal_pb2 import Record

import hpo
from hpo.watch import parse_log_to

pytestmark = pytest.mark.slow

SPACE = """
name: small
seeds: 2
split: {kind: tail, val_rows: 60}
fixed: {hidden: [8], epochs: 5, fusion: concat}
search:
  kind: greedy
  stages:
    - {name: rate, params: {lr: [0.001, 0.01]}}
    - {name: layers, params: {hidden: [[8], [16, 8]]}}
"""
ALL = ["--log-to=tensorboard", "--log-to=mlflow", "--log-to=wandb=mine"]


def run(folder: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "hpo.run", "--study", "small", "--space", "space.yaml"),
            *("--data", "data", "--features", "data", "--devices", "cpu", "--workers", "1"),
            *("--no-refit", *more),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "WANDB_MODE": "offline", **environment},
    )


def write_data(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = [f"{index}.jpg,{1 + index % 3},a thing" for index in range(200)]
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *rows, ""]))
    for name in ("image", "text"):
        array = rng.normal(size=(200, 8)).astype(np.float32)
        array[:, 0] += np.arange(200) % 3
        np.save(folder / "data" / f"{name}.npy", array)
    (folder / "space.yaml").write_text(SPACE)
    return folder


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was kept by all tools, twice: the second command finds all there."""
    folder = write_data(tmp_path_factory.mktemp("logged"))
    first = run(folder, *ALL, "--trials", "2")
    assert first.returncode in (0, 3), first.stderr
    assert "--log-to" not in first.stderr, first.stderr
    second = run(folder, *ALL)
    assert second.returncode == 0, second.stderr
    assert second.stderr == ""
    return folder


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{folder / 'studies.db'}"
    return optuna.load_study(study_name="small", storage=storage).get_trials()


def accumulated(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_tensorboard_has_a_folder_for_each_trial(logged: Path) -> None:
    (study,) = (logged / "runs" / "small" / "tensorboard").iterdir()
    folders = sorted(study.glob("trial-*"))
    assert [folder.name for folder in folders] == [f"trial-{n:05d}" for n in range(3)]
    for folder, trial in zip(folders, trials(logged), strict=True):
        (file,) = folder.iterdir()  # written once
        assert file.stat().st_size
        found = accumulated(folder)
        curve = {event.step: event.value for event in found.Scalars("micro_f1")}
        assert curve == pytest.approx(trial.intermediate_values, rel=1e-6)
        for name in ("val_loss", "train_loss", "macro_f1", "map"):
            assert [event.step for event in found.Scalars(name)] == [1, 2, 3, 4, 5]
        assert found.Scalars("final/value")[0].value == pytest.approx(trial.value, rel=1e-6)
        plugin = found.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data
        info = HParamsPluginData.FromString(plugin.content).session_start_info
        assert info.hparams["lr"].number_value == trial.params["lr"]
        assert info.hparams["hidden"].string_value in ("8", "16-8")
    whole = accumulated(study / "study")
    best = [event.value for event in whole.Scalars("best_so_far")]
    assert best == sorted(best)
    assert [event.step for event in whole.Scalars("best_so_far")][-1] > 0
    assert "result/validation/micro_f1" in whole.Tags()["scalars"]


def test_a_folder_of_tensorboard_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """Half of one would be taken for kept by the next command."""
    from hpo.watch._tensorboard import open_tracker

    tracker = open_tracker({"study": "a/b", "identity": "0123456789"}, None, tmp_path)
    event = {
        **{"event": "trial_ended", "trial": 3, "params": {"lr": 0.1}, "state": "done"},
        **{"value": 50.0, "std": 0.0, "steps": 2, "epochs_trained": 2},
    }
    with pytest.raises(AttributeError):
        tracker.trial(event, {"val_loss": {1: 0.5}, "broken": [1]})  # type: ignore[dict-item]
    assert not tracker.has(event)
    assert list(tmp_path.glob("tensorboard/*/*")) == []
    tracker.trial(event, {"val_loss": {1: 0.5}})
    assert tracker.has(event)
    (folder,) = tmp_path.glob("tensorboard/*/*")
    assert folder.name == "trial-00003" and folder.parent.name == "a-b-012345"


def test_mlflow_has_runs_within_that_of_the_study(logged: Path) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{logged / 'runs' / 'small' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    found = {r.data.tags["hpo.trial"]: r for r in client.search_runs([experiment.experiment_id])}
    assert set(found) == {"study", "0", "1", "2"}
    parent = found.pop("study")
    assert parent.info.status == "FINISHED"
    assert parent.data.params["hpo_metric"] == "micro_f1"
    assert "result/validation/micro_f1" in parent.data.metrics
    for trial in trials(logged):
        one = found[str(trial.number)]
        assert one.info.status == "FINISHED"
        assert one.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert one.info.run_name == f"trial {trial.number}"
        assert float(one.data.params["lr"]) == trial.params["lr"]
        assert one.data.metrics["value"] == trial.value
        history = client.get_metric_history(one.info.run_id, "micro_f1")
        curve = {metric.step: metric.value for metric in history}
        assert curve == pytest.approx(trial.intermediate_values)
        assert len(client.get_metric_history(one.info.run_id, "val_loss")) == 5


def wandb_records(file: Path) -> Iterator[Record]:
    """What a file of an offline run holds: pieces in blocks of 32 KiB, as in LevelDB."""
    data, position, whole = file.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        piece = data[position + 7 : position + 7 + length]
        whole = piece if kind in (1, 2) else whole + piece
        position += 7 + length
        if kind in (1, 4):
            yield Record.FromString(whole)


def values_of(items: Any) -> dict[str, Any]:
    return {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}


def test_wandb_has_a_group_of_runs(logged: Path) -> None:
    folders = [f for f in (logged / "runs" / "small" / "wandb").glob("offline-run-*") if f.is_dir()]
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        (file,) = folder.glob("*.wandb")
        about: dict[str, Any] = {"history": [], "summary": {}}
        for record in wandb_records(file):
            if record.HasField("run"):
                about["run"] = record.run
            elif record.HasField("history"):
                about["history"].append(values_of(record.history.item))
            elif record.HasField("summary"):
                about["summary"] |= values_of(record.summary.update)
        found.setdefault(about["run"].display_name, about)
    assert set(found) == {"small", "trial 0", "trial 1", "trial 2"}
    for trial in trials(logged):
        about = found[f"trial {trial.number}"]
        assert (about["run"].project, about["run"].run_group) == ("mine", "small")
        config = {c.key: json.loads(c.value_json) for c in about["run"].config.update}
        assert config["lr"] == trial.params["lr"]
        curve = {row["epoch"]: row["micro_f1"] for row in about["history"]}
        assert curve == pytest.approx(trial.intermediate_values)
        assert about["summary"]["value"] == trial.value
        assert about["summary"]["state"] == "done"
    runs = [f for f in folders if f.name.endswith("-0")]
    assert len(runs) == 1, "a trial that is there is not kept again"


def test_a_tool_that_fails_ends_nothing(tmp_path: Path) -> None:
    folder = write_data(tmp_path)
    (folder / "blocked").write_text("a file where a folder is to be")
    done = run(folder, "--log-to=tensorboard=blocked", "--log-to=mlflow=http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    said = "--log-to tensorboard failed and is left out; the study goes on ("
    assert sum(said in line for line in lines) == 1
    assert "Traceback" not in done.stderr
    assert "best: trial" in done.stdout
    assert (folder / "runs" / "small" / "metrics.json").exists()


def test_tools_are_checked_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(hpo.InputError) as unknown:
        parse_log_to(["tensorbord", "mlflow", "mlflow=x"])
    assert unknown.value.problems == [
        "--log-to tensorbord: there is no tool 'tensorbord' (did you mean 'tensorboard'?); tools: "
        "tensorboard, mlflow, wandb",
        "--log-to mlflow=x: mlflow is given twice",
    ]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(hpo.InputError, match=r"tensorboard is missing; pip install 'hpo\[tens"):
        parse_log_to(["tensorboard"])


def test_wandb_asks_nobody_for_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(hpo.InputError, match=r"nobody is logged in; call `wandb login`, or set"):
        parse_log_to(["wandb"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert str(parse_log_to(["wandb"])[0]) == "wandb"
