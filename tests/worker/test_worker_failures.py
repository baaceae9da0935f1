"""Failures that are not crashes, limits, a store that goes away, and sampled studies."""

import time
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from worker_samples import (
    LENGTH,
    Outcome,
    create_study,
    crew_of,
    greedy_space,
    violations,
    wait_for,
)

from hpo.models import Config
from hpo.search import Space, TaskState
from hpo.training import ModelRun, Trainer
from hpo.worker import Worker, WorkerSettings

pytestmark = pytest.mark.slow

#: A hidden layer whose weights fit into no address space.
TOO_WIDE = 10**15


def space_of(*stages: dict[str, Any]) -> Space:
    fixed = {"hidden": [16], "lr": 0.01, "batch_size": 120, "epochs": 20}
    search = {"kind": "greedy", "stages": list(stages)}
    return Space.model_validate({"name": "small", "seeds": 1, "fixed": fixed, "search": search})


def test_a_configuration_that_fails_is_given_up_and_the_study_goes_on(
    url: str, tmp_path: Path
) -> None:
    space = space_of(
        {"name": "layers", "params": {"hidden": [[TOO_WIDE], [16]]}},
        {"name": "dropout", "params": {"dropout": [0.1, 0.2]}},
    )
    study = create_study(url, "s", space, tmp_path)
    with crew_of(study, tmp_path / "log") as crew:
        crew.start()
        assert crew.wait(60) == [5], crew.log.read_text()
    assert violations(study) == []
    task = study.tasks()[0]
    assert (task.state, task.attempts, task.token) == (TaskState.FAILED, 2, 2)
    failed = study.optuna.get_trials(states=(TrialState.FAIL,))
    assert len(failed) == 2
    for trial in failed:
        assert trial.user_attrs["task"] == 0
        assert trial.user_attrs["failed"].startswith("InputError: hidden [1000")
        assert trial.user_attrs["traceback"].startswith("Traceback (most recent call last):")
        assert "run_trial" in trial.user_attrs["traceback"]
    layers, dropout = study.tables()
    assert [row.winner for row in layers.rows] == [False, True]
    assert layers.rows[0].note == f"failed: {task.reason}"
    assert dropout.decided


def test_memory_that_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    space = space_of({"name": "dropout", "params": {"dropout": [0.1, 0.2]}})
    study = create_study(f"sqlite:///{tmp_path / 's.db'}", "s", space, tmp_path)
    model = Trainer.model

    def allocate(trainer: Trainer, config: Config, *rest: Any, **more: Any) -> ModelRun:
        if config.dropout == 0.1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")
        return model(trainer, config, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "model", allocate)
        Worker(study, WorkerSettings()).run()
    failed, done = study.tasks()
    assert (failed.state, failed.attempts) == (TaskState.FAILED, 2)
    assert failed.reason is not None and "can't allocate memory" in failed.reason
    assert done.state is TaskState.DONE
    # The smaller and smaller micro-batches of the failing one were not left to the other.
    assert "trying again with 1 rows at once" in caplog.text
    stored = {path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()}
    alone = space_of({"name": "dropout", "params": {"dropout": [0.2]}})
    Worker(
        create_study(f"sqlite:///{tmp_path / 'alone.db'}", "s", alone, tmp_path), WorkerSettings()
    ).run()
    assert {path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()} == stored


def test_a_stage_of_failures_ends_the_study_in_words(tmp_path: Path) -> None:
    space = space_of({"name": "layers", "params": {"hidden": [[TOO_WIDE]]}})
    study = create_study(f"sqlite:///{tmp_path / 'store.db'}", "s", space, tmp_path)
    with crew_of(study, tmp_path / "log") as crew:
        crew.start()
        assert crew.wait(60) == [4]
    assert "error: All candidates of the stage 'layers' failed.\n" in crew.log.read_text()


def test_the_limit_of_trials_holds_for_all_workers_together(url: str, tmp_path: Path) -> None:
    space = space_of({"name": "dropout", "params": {"dropout": [0.1, 0.2, 0.3, 0.4, 0.5]}})
    study = create_study(url, "s", space, tmp_path)
    study.ledger.limit("s", None, 2)
    with crew_of(study, tmp_path / "log") as crew:
        crew.start(3)
        assert crew.wait(60) == [3, 3, 3], crew.log.read_text()
        assert len(study.optuna.get_trials()) == 2
        study.ledger.limit("s", None, None)  # everything can be gone on with
        crew.processes.clear()
        crew.start()
        assert crew.wait(60) == [0], crew.log.read_text()
    assert violations(study) == []
    assert len(study.optuna.get_trials()) == 5


def test_after_the_deadline_nothing_is_started(tmp_path: Path) -> None:
    space = space_of({"name": "dropout", "params": {"dropout": [0.1, 0.2]}})
    study = create_study(f"sqlite:///{tmp_path / 'store.db'}", "s", space, tmp_path)
    study.open_next()
    study.ledger.limit("s", 0.01, None)
    time.sleep(0.05)
    with crew_of(study, tmp_path / "log") as crew:
        crew.start()
        assert crew.wait(60) == [3], crew.log.read_text()
    assert [task.token for task in study.tasks()] == [0, 0]


def test_the_deadline_ends_a_trial_in_its_midst(tmp_path: Path) -> None:
    space = space_of({"name": "epochs", "params": {"epochs": [1_000_000]}})
    study = create_study(f"sqlite:///{tmp_path / 'store.db'}", "s", space, tmp_path)
    with crew_of(study, tmp_path / "log") as crew:
        crew.start()
        wait_for(lambda: any(task.progress for task in study.tasks()), "a trial to go on")
        study.ledger.limit("s", 0.3, None)
        assert crew.wait(6) == [3], crew.log.read_text()
    (task,) = study.tasks()
    assert (task.state, task.attempts) == (TaskState.OPEN, 0)
    (trial,) = study.optuna.get_trials()
    assert trial.state == TrialState.WAITING
    assert trial.intermediate_values


@pytest.mark.timeout(120)
def test_a_store_that_is_restarted_loses_nothing(
    postgres: Any, tmp_path: Path, reference: Outcome
) -> None:
    study = create_study(postgres.new_url(), "s", greedy_space(LENGTH), tmp_path)
    with crew_of(study, tmp_path / "log") as crew:
        crew.start(2)
        wait_for(
            lambda: sum(task.state is TaskState.DONE for task in study.tasks()) >= 3,
            "three finished tasks",
        )
        postgres.stop()
        try:
            time.sleep(2.5)
        finally:
            postgres.start()
        assert crew.wait(90) == [0, 0], crew.log.read_text()
    log = crew.log.read_text()
    assert "The store can't be reached" in log
    assert "Going on after " in log
    stored = [study.optuna.user_attrs, [trial.user_attrs for trial in study.optuna.get_trials()]]
    for where in (log, str(stored), str(study.ledger.study("s")), str(study.tasks())):
        assert postgres.PASSWORD not in where
    assert violations(study, reference) == []
    assert all(task.attempts == 0 for task in study.tasks())


def test_a_sampled_study_has_the_trials_it_asks_for_and_no_two_alike(
    url: str, tmp_path: Path
) -> None:
    space = Space.model_validate(
        {
            "name": "tpe",
            "seeds": 1,
            "fixed": {"hidden": [16], "batch_size": 120},
            "search": {
                "kind": "optuna",
                "trials": 18,
                "sampler": {"name": "TPESampler", "multivariate": True, "n_startup_trials": 6},
                "pruner": {
                    "name": "SuccessiveHalvingPruner",
                    "min_resource": 3,
                    "reduction_factor": 3,
                },
                "params": {
                    "loss": {"choices": ["bce", "focal"]},
                    "lr": {"low": 1e-4, "high": 1e-1, "log": True},
                    "batch_size": {"choices": [60, 120, 1000, 2000]},
                    "epochs": {"choices": [9, 27]},
                },
            },
        }
    )
    study = create_study(url, "s", space, tmp_path)
    with crew_of(study, tmp_path / "log") as crew:
        crew.start(3)
        assert crew.wait(90) == [0, 0, 0], crew.log.read_text()
    assert violations(study) == []
    trials = study.optuna.get_trials()
    assert len(trials) == 18
    assert {trial.user_attrs["task"] for trial in trials} == set(range(18))
    assert len({str(trial.user_attrs["config"]) for trial in trials}) == 18
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        last = max(trial.intermediate_values)
        assert last in (3, 9)
        assert trial.user_attrs["pruned"] == f"SuccessiveHalvingPruner at step {last}"
    best = study.best()
    assert best is not None
    assert best.outcome is not None
    finished = [trial.value for trial in trials if trial.value is not None]
    assert best.outcome.value == max(finished)
