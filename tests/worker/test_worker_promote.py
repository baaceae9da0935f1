"""Studies that promote, with real workers: paused trials survive, and no epoch is trained twice."""

import math
import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState
from worker_samples import (
    chaos,
    create_study,
    crew_of,
    differences_from_alone,
    promote_space,
    violations,
    wait_for,
)

from hpo import replay
from hpo.search import TaskState
from hpo.study import StoredStudy
from hpo.training import RunStore
from hpo.worker import Worker, WorkerSettings

pytestmark = pytest.mark.slow


def at_peace(folder: Path, **changes: Any) -> StoredStudy:
    """A study that one worker in this process brings to its end."""
    study = create_study(f"sqlite:///{folder / 's.db'}", "s", promote_space(**changes), folder)
    assert Worker(study, WorkerSettings()).run()
    return study


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    return at_peace(tmp_path_factory.mktemp("peace"))


def scored(trial: FrozenTrial) -> Mapping[int, float]:
    return {s: v for s, v in trial.intermediate_values.items() if not math.isnan(v)}


def check_states(study: StoredStudy) -> None:
    """All trials are COMPLETE, or PRUNED with a reason; of them at least three are whole."""
    trials = study.optuna.get_trials()
    ended = [t for t in trials if t.state is not TrialState.FAIL]
    assert {t.state for t in ended} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in ended:
        reason = trial.user_attrs.get("pruned")
        assert (reason is None) == (trial.state is TrialState.COMPLETE)
        if reason is not None:
            assert reason.startswith(("not among the best 1/3 of ", "diverged: "))
    whole = [t for t in ended if t.state is TrialState.COMPLETE]
    assert len(whole) >= 3
    assert {len(t.user_attrs["scores"]) for t in whole} == {study.space.seeds}


def test_each_trial_is_that_of_its_configuration(peace: StoredStudy, tmp_path: Path) -> None:
    assert violations(peace) == []
    assert differences_from_alone(peace, tmp_path) == []
    check_states(peace)
    trials = peace.optuna.get_trials()
    assert len(trials) == 13
    assert trials[0].params == {"fusion": "mixed_joint", "lr": 0.01, "ema_decay": None}
    best = peace.best()
    assert best is not None and best.outcome is not None
    whole = [t.value for t in trials if t.state is TrialState.COMPLETE]
    assert best.outcome.value == max(whole)


def test_only_rungs_and_ends_have_scores(peace: StoredStudy) -> None:
    for trial in peace.optuna.get_trials():
        if trial.params["fusion"] != "sum" and "diverged" not in trial.user_attrs.get("pruned", ""):
            assert scored(trial).keys() <= {2, 6, 18, 19}
            last = max(trial.intermediate_values)
            assert set(trial.intermediate_values) == set(range(1, last + 1))
            assert trial.value == trial.intermediate_values[last]


def test_no_epoch_is_trained_twice(peace: StoredStudy) -> None:
    store = RunStore(peace.definition.run_store)
    trained = sum(len(store.history(address).records) for address in store.addresses())
    outcomes = [task.outcome for task in peace.tasks()]
    assert sum(outcome.epochs_trained for outcome in outcomes if outcome) == trained


def test_seeds_beyond_the_first_are_for_finalists(peace: StoredStudy) -> None:
    for trial in peace.optuna.get_trials():
        scores = trial.user_attrs["scores"]
        if trial.state is TrialState.COMPLETE:
            assert len(scores) == 2
            assert trial.value == sum(scores) / 2
            last = max(trial.intermediate_values)
            assert trial.intermediate_values[last - 1] == scores[0]  # the first seed, alone
        elif not trial.user_attrs["pruned"].startswith("diverged"):
            assert len(scores) == 1


@pytest.mark.parametrize("kind", [TrialState.COMPLETE, TrialState.PRUNED])
def test_a_replay_is_equal_and_so_is_the_suggestion(
    peace: StoredStudy, kind: TrialState, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = next(
        t for t in reversed(peace.optuna.get_trials()) if t.state is kind and len(scored(t)) > 1
    )
    where = ["--study", "s", "--storage", peace.url, "--device", "cpu"]
    assert replay.main([*where, "--trial", str(trial.number)]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.splitlines() == [
        "suggestion: equal",
        "scores: equal to the last bit",
        "curve: equal to the last bit",
    ]


def test_a_suggestion_knew_the_trials_that_waited(peace: StoredStudy) -> None:
    draws = [t.user_attrs["draw"] for t in peace.optuna.get_trials()[1:]]
    assert any(draw["paused"] for draw in draws)
    for draw in draws:
        assert {number for number, _ in draw["paused"]} <= {*draw["unfinished"]}
        assert {step for _, step in draw["paused"]} <= {*range(1, 37)}


def test_a_curve_that_is_asked_for_has_every_epoch(tmp_path: Path) -> None:
    space = promote_space(length=6, seeds=1, trials=3).model_copy(update={"evaluate_every": 1})
    study = create_study(f"sqlite:///{tmp_path / 's.db'}", "s", space, tmp_path)
    assert Worker(study, WorkerSettings()).run()
    assert all(len(scored(t)) == len(t.intermediate_values) for t in study.optuna.get_trials())
    assert differences_from_alone(study, tmp_path / "alone") == []


def test_a_study_of_fewer_trials_goes_on_with_more(tmp_path: Path) -> None:
    study = create_study(
        f"sqlite:///{tmp_path / 's.db'}", "s", promote_space(length=9, seeds=1), tmp_path
    )
    study.ledger.limit("s", None, 5)
    assert Worker(study, WorkerSettings()).run()
    before = study.optuna.get_trials()
    assert len(before) == 5
    study.ledger.limit("s", None, 9)
    assert Worker(study, WorkerSettings()).run()
    after = study.optuna.get_trials()
    assert len(after) == 9
    assert [str(t) for t in after[:5]] == [str(t) for t in before]
    assert differences_from_alone(study, tmp_path / "alone") == []


@pytest.mark.timeout(200)
def test_a_worker_that_is_stopped_leaves_paused_trials_to_others(url: str, tmp_path: Path) -> None:
    study = create_study(url, "s", promote_space(length=180), tmp_path, checkpoint_every=100_000)
    with crew_of(study, tmp_path / "log") as crew:
        for _ in range(3):
            (worker,) = crew.start()
            begun = len(study.pauses())
            wait_for(lambda begun=begun: len(study.pauses()) > begun, "one more paused trial", 60)
            crew.signal(worker, signal.SIGTERM)
            worker.join(20)
            assert worker.exitcode in (0, 3), crew.log.read_text()
            trials = study.optuna.get_trials()
            assert TrialState.RUNNING not in {t.state for t in trials}
        crew.processes.clear()
        crew.start(2)
        assert crew.wait(120) == [0, 0], crew.log.read_text()
    assert violations(study) == []
    check_states(study)
    assert differences_from_alone(study, tmp_path / "alone") == []


@pytest.mark.timeout(200)
def test_killed_workers_lose_no_paused_trial(url: str, tmp_path: Path) -> None:
    study = create_study(url, "chaos", promote_space(length=90, trials=20), tmp_path)
    killed = chaos(study, tmp_path / "log", random.Random(0), workers=3, every=0.8, seconds=150.0)
    assert killed >= 2
    assert violations(study) == []
    check_states(study)
    assert differences_from_alone(study, tmp_path / "alone") == []
    assert all(task.state is TaskState.DONE and task.attempts == 0 for task in study.tasks())
