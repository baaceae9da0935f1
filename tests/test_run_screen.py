"""A run on a terminal, for machines, and in quiet; what can't be shown ends nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from terminals import Resize, run_in_terminal

pytestmark = pytest.mark.slow

SPACE = """
name: small
seeds: 2
split: {kind: tail, val_rows: 60}
fixed: {hidden: [64], epochs: 400, fusion: concat}
divergence: {patience: 400}
search:
  kind: greedy
  stages:
    - {name: rate, params: {lr: [0.001, 0.01]}}
    - {name: fusion, params: {fusion: [image, concat]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = [f"{index}.jpg,{1 + index % 3},a thing" for index in range(400)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *rows, ""]))
    for name in ("image", "text"):
        array = rng.normal(size=(400, 32)).astype(np.float32)
        array[:, 0] += np.arange(400) % 3
        np.save(tmp_path / "data" / f"{name}.npy", array)
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path


#: For runs that nobody watches.
FEW = ("--set", "fixed.epochs=20")


def command(*more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "hpo.run", "--study", "small", "--space", "space.yaml"),
        *("--data", "data", "--features", "data", "--devices", "cpu", "--heartbeat", "0.2"),
        *("--workers", "1", *more),
    ]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal(folder: Path, columns: int) -> None:
    views: list[str] = []

    def look(screen: str, resize: Resize) -> None:
        views.append(screen)

    status, _, left = run_in_terminal(command(), folder, columns, seen=look)
    assert status == 0, left
    (best,) = [view for view in views if "epoch " in view and "best so far" in view][-1:]
    lines = best.splitlines()
    place = max(index for index, line in enumerate(lines) if line.startswith("small · 0:00:"))
    shown = lines[place:]
    assert " epochs/s · " in shown[0] or " epochs trained" in shown[0]
    assert shown[1].startswith("configurations  ") and " of 3" in shown[1]
    assert any(line.startswith("trial ") and "━" in line for line in shown)
    assert any(" lr 0.01" in line or " fusion " in line for line in shown)
    assert all(len(line) <= columns for line in lines)
    # nothing of it is left in the end, and the tables and results are whole
    assert "small · 0:00" not in left and "━" not in left
    assert left.count("→") == 2
    assert "best: trial " in left and "runs/small/report" in left
    assert "Traceback" not in left


def test_a_terminal_that_changes_its_size(folder: Path) -> None:
    sizes = iter([(20, 24), (200, 50), (5, 3), (20, 5), (120, 30)])

    def look(screen: str, resize: Resize) -> None:
        if "configurations" in screen or "all " in screen:
            columns, rows = next(sizes, (20, 24))
            resize(columns, rows)

    status, written, left = run_in_terminal(command("--no-refit"), folder, 80, seen=look)
    assert status == 0, left
    assert "Traceback" not in written and "best: trial" in written.replace("\r\n", "")


def test_twenty_columns(folder: Path) -> None:
    status, written, left = run_in_terminal(command("--no-refit"), folder, 20, 24)
    assert status == 0, left
    assert "Traceback" not in written and "left out" not in written
    assert "best: trial" in left.replace("\n", "")
    assert "━" not in left


def test_a_terminal_that_goes_away_ends_nothing(folder: Path) -> None:
    """Where the hang-up is ignored, as with nohup."""
    wrapped = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command("--no-refit")]
    import pty

    controller, other = pty.openpty()
    process = subprocess.Popen(
        wrapped,
        cwd=folder,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(other)
    seen = b""
    while b"configurations  " not in seen:
        seen += os.read(controller, 4096)
    os.close(controller)
    assert process.wait(240) == 0
    assert (folder / "runs" / "small" / "metrics.json").exists()


def test_machines_get_json_and_nothing_else(folder: Path) -> None:
    done = subprocess.run(
        command("--json"), cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[:2] == ["study_begun", "plan"] and kinds[-1] == "finished"
    assert {"trial_begun", "trial_progress", "best", "decision", "floor", "progress"} <= set(kinds)
    assert kinds.count("trial_ended") == 3 and kinds.count("stage_decided") == 2
    assert events[-1] | {"time": ""} == {
        **{"event": "finished", "time": "", "study": "small", "status": 0, "error": None}
    }
    result = events[kinds.index("result")]
    metrics = json.loads((folder / "runs" / "small" / "metrics.json").read_text())
    assert result["trial"] == metrics["best"]["trial"]
    assert result["scores"]["validation"] == metrics["judged"]["validation_tuned"]
    assert [e for e in events if e["event"] == "finishing"][-1]["step"] == 400


def test_quiet_prints_the_results_alone(folder: Path) -> None:
    done = subprocess.run(
        command("--quiet", "--no-refit", *FEW),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("best: trial ") and last == "  runs/small/report"


def test_an_error_is_an_event_as_well(folder: Path) -> None:
    done = subprocess.run(
        command("--json", "--pick", "99", *FEW),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["event"], last["status"]) == ("finished", 2) and done.returncode == 2
    assert done.stderr == f"error: {last['error']}\n"


def test_lines_of_json_to_a_pipe_that_nobody_reads(folder: Path) -> None:
    process = subprocess.Popen(
        command("--json", "--no-refit", *FEW), cwd=folder, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(240) == 0
    assert (folder / "runs" / "small" / "metrics.json").exists()


def test_a_killed_run_leaves_workers_that_finish(folder: Path) -> None:
    """What they print went to a pipe of the run."""
    process = subprocess.Popen(
        command("--json", "--no-refit"), cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "trial_progress":
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    done = subprocess.run(
        command("--json"), cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == 0


def test_quiet_or_json(folder: Path) -> None:
    done = subprocess.run(command("--quiet", "--json"), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert "not allowed with argument" in done.stderr
    dry = subprocess.run(command("--dry-run", "--json"), cwd=folder, capture_output=True, text=True)
    assert dry.returncode == 2
    assert "--json: tells what happens, and with --dry-run nothing does." in dry.stderr
