"""Trials that change hands: handed back on a signal, or taken from a worker that fell silent."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import create_engine, make_url, text
from worker_samples import create_study, crew_of, make_bundle, violations, wait_for

from hpo.features import load_bundle
from hpo.search import Decision, Space, Task, TaskState, Verdict, run_trial
from hpo.study import StoredStudy
from hpo.training import Arithmetic, RunStore, Trainer, open_device

pytestmark = pytest.mark.slow

EPOCHS = 800
ROOT = Path(__file__).resolve().parents[2]


def one_stage(*dropouts: float) -> Space:
    fixed = {"hidden": [16], "lr": 0.01, "batch_size": 120, "epochs": EPOCHS}
    stages = [{"name": "dropout", "params": {"dropout": list(dropouts)}}]
    search = {"kind": "greedy", "stages": stages}
    return Space.model_validate({"name": "one", "seeds": 1, "fixed": fixed, "search": search})


def first_task(study: StoredStudy) -> Task:
    return study.tasks()[0]


def in_the_midst(study: StoredStudy, step: int = 20) -> bool:
    tasks = study.tasks()
    progress = tasks[0].progress if tasks else None
    return progress is not None and progress.step >= step


def trained_in_peace(study: StoredStudy, folder: Path) -> float:
    """The value of the study's first task, trained here from nothing."""
    config = study.space.fixed.replace(dropout=study.space.search.values_of("dropout")[0])
    device = open_device("cpu", Arithmetic())
    trainer = Trainer(load_bundle(study.definition.bundle), device, RunStore(folder))
    go_on = Verdict(Decision.CONTINUE)
    outcome = run_trial(trainer, study.space, config, on_step=lambda progress: go_on)
    assert outcome is not None
    return outcome.value


def start_worker(study: StoredStudy, log: Path) -> "subprocess.Popen[bytes]":
    """A worker as users start it; the URL, which may hold a password, is in the environment."""
    command = [sys.executable, "-m", "hpo.worker", "--study", study.name, "--device", "cpu"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*command, "--heartbeat", "0.2", "--grace", "1.5"],
            env={**os.environ, "HPO_STORAGE": study.url, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_hands_the_trial_back_and_another_goes_on(
    url: str, number: int, tmp_path: Path
) -> None:
    study = create_study(url, "one", one_stage(0.3), tmp_path, checkpoint_every=100_000)
    real = "sqlite" in url and number == signal.SIGTERM  # a process of its own takes seconds
    with crew_of(study, tmp_path / "log") as crew:
        first: Any = start_worker(study, crew.log) if real else crew.start()[0]
        wait_for(lambda: in_the_midst(study), "the first worker to be in the midst of its trial")
        os.kill(first.pid, number)
        code = first.wait(60) if real else (first.join(60), first.exitcode)[1]
        assert code == 3, crew.log.read_text()
        task = first_task(study)
        assert (task.state, task.token, task.trial, task.attempts) == (TaskState.OPEN, 1, 0, 0)
        (trial,) = study.optuna.get_trials()
        assert trial.state == TrialState.WAITING
        reached = max(trial.intermediate_values)
        assert 20 <= reached < EPOCHS
        crew.processes.clear()
        crew.start()
        assert crew.wait(60) == [0], crew.log.read_text()
    assert violations(study) == []
    (trial,) = study.optuna.get_trials()
    assert (trial.number, trial.state) == (0, TrialState.COMPLETE)
    assert sorted(trial.intermediate_values) == list(range(1, EPOCHS + 1))
    assert trial.user_attrs["epochs_trained"] == EPOCHS  # by both, and none twice
    assert trial.value == trained_in_peace(study, tmp_path / "calm")


def stop_between_transactions(study: StoredStudy, pid: int) -> None:
    """Stop a process while it holds no lock of the database, which would hold up everybody."""
    for _ in range(50):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.05)
        if not locked(study.url):
            return
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.03)
    raise AssertionError("the worker is in a transaction all the time")


def locked(url: str) -> bool:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(str(make_url(url).database), timeout=0.1)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()
        return False
    engine = create_engine(url)
    with engine.connect() as connection:
        count = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
        ).scalar_one()
    engine.dispose()
    return bool(count)


def test_a_worker_that_was_only_slow_cannot_write(url: str, tmp_path: Path) -> None:
    study = create_study(url, "one", one_stage(0.1, 0.2, 0.3, 0.4, 0.5), tmp_path)
    with crew_of(study, tmp_path / "log") as crew:
        (slow,) = crew.start()
        wait_for(lambda: in_the_midst(study), "the first worker to be in the midst of its trial")
        assert slow.pid is not None
        stop_between_transactions(study, slow.pid)
        crew.start()
        wait_for(
            lambda: first_task(study).state is TaskState.DONE, "the other one to take over", 60
        )
        before, trials = first_task(study), study.optuna.get_trials()
        assert before.token == 2
        old, new = trials[0], trials[before.trial or 0]
        assert old.state == TrialState.FAIL
        assert old.user_attrs["failed"] == "its worker died; another one went on with it"
        os.kill(slow.pid, signal.SIGCONT)
        assert crew.wait(60) == [0, 0], crew.log.read_text()
    assert crew.log.read_text().count("Task 0 was taken over by another worker.") == 1
    assert violations(study) == []
    after, trials = first_task(study), study.optuna.get_trials()
    assert (after.outcome, after.token, after.trial) == (before.outcome, 2, before.trial)
    assert trials[0] == old
    assert trials[new.number] == new
    owners = {str(task.owner).rpartition(":")[2] for task in study.tasks()[1:]}
    assert str(slow.pid) in owners  # it went on with other work
    assert new.value == trained_in_peace(study, tmp_path / "calm")


def test_a_worker_of_another_study_or_store_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hpo import worker

    url = f"sqlite:///{tmp_path / 'store.db'}"
    bundle = make_bundle(tmp_path)
    study = create_study(url, "greedy", one_stage(0.3), tmp_path, bundle=bundle)
    assert worker.main(["--study", "gredy", "--storage", url]) == 2
    assert capsys.readouterr().err == (
        f"error: --study gredy: {url} has no such study (did you mean 'greedy'?); it has: greedy.\n"
    )
    elsewhere = tmp_path / "elsewhere"
    assert worker.main(["--study", "greedy", "--storage", url, "--cache", str(elsewhere)]) == 2
    assert capsys.readouterr().err == (
        f"error: The study's features are not at {elsewhere / 'bundles' / bundle.key}; give the "
        "folder that holds them on this machine with --cache (cache= of load_study).\n"
    )
    study.ledger.close()
