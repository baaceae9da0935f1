"""Workers that are started before there is a study: they wait, begin when told, and never stay."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo.launch import Workers, place_workers
from hpo.search import TaskState
from hpo.worker import WorkerSettings
from hpo.worker import __main__ as worker

SPACE = {
    "name": "small",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 20},
    "fixed": {"hidden": [4], "epochs": 2},
    "search": {"kind": "greedy", "stages": [{"name": "rate", "params": {"lr": [0.01, 0.02]}}]},
}


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Workers]:
    """Two workers that are held, for a study that doesn't exist yet."""
    placements = place_workers(["cpu"], 2, 1)
    workers = Workers("small", url_in(tmp_path), placements, tmp_path / "cache", held=True)
    yield workers
    workers.stop()


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'studies.db'}"


def make_study(folder: Path) -> hpo.Study:
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 2)) < 0.5).astype(int)
    data = hpo.load_data(
        features={"text": rng.normal(size=(80, 5)) + labels.sum(axis=1, keepdims=True)},
        labels=labels,
        cache=folder / "cache",
    )
    return hpo.create_study(data, SPACE, storage=url_in(folder))


def test_they_wait_for_the_study_and_do_it(held: Workers, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    assert held.watch()
    assert study.stored.tasks() == []
    assert study.run(held.release, lambda tasks: None)
    assert study.stored.counts()[TaskState.DONE] == 2
    # The run may see the end before a worker does, which then leaves early, or was not even there.
    assert set(held.exit_codes) <= {0, 3, -signal.SIGTERM}


def test_they_are_stopped_without_having_begun(held: Workers) -> None:
    held.stop()
    assert set(held.exit_codes) <= {3, -signal.SIGTERM}


def test_they_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from hpo.launch import Workers, place_workers\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "workers = Workers('small', 'sqlite:///none.db', place_workers(['cpu'], 1, 1), folder,"
        " held=True)\n"
        "print(workers._processes[0].pid, flush=True)\n"
        "time.sleep(600)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    worker = int(run.stdout.readline())
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    end = time.monotonic() + 60
    while is_running(worker):
        assert time.monotonic() < end, "the worker outlived the run by a minute"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # it has ended, and nobody asked how


def test_no_wait_for_the_store_is_handed_over(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    placements = place_workers(["cpu"], 1, 1)
    settings = WorkerSettings(wait_for_store=0.0)
    workers = Workers("small", url_in(tmp_path), placements, tmp_path / "cache", settings=settings)
    assert study.run(lambda: workers, lambda tasks: None)
    assert study.stored.counts()[TaskState.DONE] == 2


@pytest.mark.parametrize("of_run", [True, False])
def test_a_run_says_for_its_workers_that_the_store_is_away(
    tmp_path: Path, of_run: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--study", "s", "--storage", "grpc://localhost:9", "--wait-for-store", "0"]
    given += ["--cache", str(tmp_path)]
    assert worker.main([*given, *(["--of-run"] if of_run else [])]) == 6
    said = capsys.readouterr().err
    reason = "The store can't be reached (no proxy answers)"
    if of_run:
        assert said.endswith(f" {reason}; this worker ends.\n")
    assert said.count("error: ") == (0 if of_run else 1)
