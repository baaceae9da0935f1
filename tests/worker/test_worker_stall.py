"""Runs that hang, and memory that is not enough."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState
from worker_samples import create_study, crew_of, violations, wait_for

from hpo.launch import ThreadWorker
from hpo.search import Space, TaskState
from hpo.study import StoredStudy
from hpo.training import Interrupted, Trainer
from hpo.worker import Worker, WorkerSettings, _assignment


def one_task(url: str, folder: Path) -> StoredStudy:
    space = {
        "name": "one",
        "seeds": 1,
        "fixed": {"hidden": [16], "epochs": 10, "batch_size": 1000},
        "search": {
            "kind": "greedy",
            "stages": [{"name": "dropout", "params": {"dropout": [0.1]}}],
        },
    }
    return create_study(url, "s", Space.model_validate(space), folder)


HANGING = """
import sys, time
from hpo import worker
from hpo.worker import _assignment

_assignment.run_trial = lambda *arguments, **options: time.sleep(3600)
sys.exit(worker.main(sys.argv[1:]))
"""


def test_a_run_that_hangs_is_ended_and_counted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    study = one_task(url, tmp_path)
    command = [sys.executable, "-c", HANGING, "--study", "s", "--storage", url]
    quick = ["--device", "cpu", "--heartbeat", "0.2", "--stall-timeout", "1"]
    for attempt in (1, 2):
        done = subprocess.run([*command, *quick], capture_output=True, text=True, timeout=100)
        assert done.returncode == 75, done.stderr
        assert "no progress for 1 s; the worker ends." in done.stderr
        (task,) = study.tasks()
        assert task.attempts == attempt
        assert task.state is (TaskState.FAILED if attempt == 2 else TaskState.OPEN)
        assert task.reason == "no progress for 1 s"
    trials = study.optuna.get_trials()
    assert [trial.state for trial in trials] == [TrialState.FAIL] * 2
    assert {trial.user_attrs["failed"] for trial in trials} == {"no progress for 1 s"}


def test_out_of_memory_halves_the_micro_batch_of_that_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    model = Trainer.model

    def short_of_memory(trainer: Trainer, *arguments: object) -> object:
        sizes.append(trainer.numerics.micro_batch)
        if trainer.numerics.micro_batch > 256:
            raise torch.OutOfMemoryError("no memory for so many rows")
        return model(trainer, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "model", short_of_memory)
    study = one_task(f"sqlite:///{tmp_path / 's.db'}", tmp_path)
    assert Worker(study, WorkerSettings()).run()
    assert sizes == [1024, 512, 256]
    assert violations(study) == []
    assert study.tasks()[0].attempts == 0


def test_a_deadline_interrupts_a_trial_and_leaves_it_resumable(tmp_path: Path) -> None:
    study = one_task(f"sqlite:///{tmp_path / 's.db'}", tmp_path)
    long = study.space.model_dump(mode="json")
    long["fixed"]["epochs"] = 100_000
    slow = create_study(study.url, "slow", Space.model_validate(long), tmp_path)
    with crew_of(slow, tmp_path / "log") as crew:
        crew.start()
        wait_for(lambda: any(task.progress for task in slow.tasks()), "a start", 60)
        slow.ledger.limit("slow", 0.5, None)
        crew.end()
        crew.start()
        assert crew.wait(60)[-1] == 3, crew.log.read_text()
    (task,) = slow.tasks()
    assert task.state in (TaskState.OPEN, TaskState.CLAIMED)
    assert task.attempts == 0


def test_a_run_that_hangs_in_a_thread_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(*_arguments: object, **_options: object) -> None:
        released.wait()
        raise Interrupted

    monkeypatch.setattr(_assignment, "run_trial", hang)
    study = one_task(f"sqlite:///{tmp_path / 's.db'}", tmp_path)
    crew = ThreadWorker(study, WorkerSettings(heartbeat=0.1, stall_timeout=0.5))
    try:
        with pytest.raises(RuntimeError, match=r"hangs \(no progress for 0\.5 s\).*new process"):
            wait_for(lambda: not crew.watch(), "the end", 60)
        crew.stop()  # returns at once
        (task,) = study.tasks()
        assert (task.state, task.attempts) == (TaskState.OPEN, 1)
    finally:
        released.set()
