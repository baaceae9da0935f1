"""Studies with limits, with real workers: what breaks one is a trial, but is not trained."""

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from training_samples import WIDTHS, make_bundle

import hpo
from hpo import replay
from hpo.errors import InputError
from hpo.library import Study
from hpo.models import Config, model_megabytes
from hpo.search import NoCandidateError, TaskState
from hpo.training import RunStore

SMALL, LARGE = (8,), (64,)
SPLIT = {"kind": "tail", "val_rows": 80}
FIXED = {"lr": 0.01, "epochs": 4, "batch_size": 100, "fusion": "concat"}


def size_of(hidden: tuple[int, ...]) -> float:
    widths = {name: WIDTHS[name] for name in ("image", "text")}
    size = model_megabytes(Config(fusion="concat", hidden=hidden), widths, 5)
    assert size is not None
    return size


def study_of(folder: Path, search: dict[str, Any], seeds: int = 1, **keys: Any) -> Study:
    bundle = make_bundle()
    data = hpo.load_data(
        features=dict(bundle.features.train),
        labels=bundle.labels,
        classes=list(bundle.classes),
        cache=folder / "cache",
        progress=False,
    )
    space = {"name": "s", "seeds": seeds, "split": SPLIT, "fixed": FIXED, "search": search, **keys}
    return hpo.create_study(data, space, storage=f"sqlite:///{folder / 's.db'}")


def sampled(kind: str, trials: int = 8) -> dict[str, Any]:
    params = {"hidden": {"choices": [SMALL, LARGE]}, "lr": {"low": 0.001, "high": 0.1}}
    return {"kind": kind, "trials": trials, "params": params, "sampler": {"name": "RandomSampler"}}


@pytest.mark.parametrize("kind", ["optuna", "promote"])
def test_a_model_that_is_too_large_is_a_trial_without_an_epoch(tmp_path: Path, kind: str) -> None:
    limit = (size_of(SMALL) + size_of(LARGE)) / 2
    study = study_of(tmp_path, sampled(kind), constraints={"max_model_mb": limit})
    assert study.optimize(workers=1, devices="cpu", progress=False)
    tasks = study.stored.tasks()
    assert [task.state for task in tasks] == 8 * [TaskState.DONE]
    trials = {trial.number: trial for trial in study.optuna.get_trials()}
    large = [task for task in tasks if task.config is not None and task.config.hidden == LARGE]
    assert 0 < len(large) < 8
    reason = f"not trained: {size_of(LARGE):.3g} MB, but max_model_mb is {limit:g}"
    for task in tasks:
        assert task.config is not None and task.outcome is not None and task.trial is not None
        trial, size = trials[task.trial], size_of(task.config.hidden)
        assert trial.constraints == {"model_mb": pytest.approx(size - limit)}
        assert trial.user_attrs["model_mb"] == task.outcome.model_mb == size
        assert task.outcome.latency_ms is not None and task.outcome.latency_ms > 0
        if task not in large:
            assert task.outcome.is_scored
            continue
        assert (task.outcome.pruned, task.outcome.epochs_trained) == (reason, 0)
        assert (trial.state, trial.values) == (TrialState.PRUNED, None)
        assert trial.intermediate_values == {}
    best = study.best_task
    assert best not in large
    assert best.outcome is not None
    assert study.optuna.best_value == best.outcome.value
    store = RunStore(study.stored.definition.run_store)
    trained = sum(len(store.history(address).records) for address in store.addresses())
    assert trained == sum(task.outcome.epochs_trained for task in tasks if task.outcome)
    board = study.leaderboard()
    assert list(board["pruned"][-len(large) :]) == len(large) * [reason]
    assert board["score"][-len(large) :].isna().all()
    named = ["--study", "s", "--trial", str(large[0].trial), "--storage", study.stored.url]
    with pytest.raises(InputError, match="has no result; its state is PRUNED"):
        replay._main([*named, "--device", "cpu"])


def test_greedy_trains_nothing_that_is_too_large(tmp_path: Path) -> None:
    limit = (size_of(SMALL) + size_of(LARGE)) / 2
    stages = [
        {"name": "layer", "params": {"hidden": [LARGE, SMALL]}},
        {"name": "rate", "params": {"lr": [0.01, 0.03]}},
    ]
    study = study_of(tmp_path, {"kind": "greedy", "stages": stages}, max_model_mb=limit)
    assert study.optimize(workers=1, devices="cpu", progress=False)
    assert {task.config.hidden for task in study.stored.tasks() if task.config} == {SMALL}
    assert len(study.stored.tasks()) == 2
    layer, rate = study.stored.tables()
    assert [row.note for row in layer.rows] == [
        f"skipped: {size_of(LARGE):.3g} MB, but max_model_mb is {limit:g}",
        "",
    ]
    assert study.best_config.hidden == SMALL
    assert rate.decided


@pytest.mark.parametrize("kind", ["optuna", "promote", "greedy"])
def test_a_study_in_which_nothing_is_fast_enough_says_so(tmp_path: Path, kind: str) -> None:
    search = sampled(kind, trials=2)
    message = "None of the 2 trials keeps within the constraints; the last one: not trained: "
    if kind == "greedy":
        stages = [{"name": "layer", "params": {"hidden": [LARGE, SMALL]}}]
        search = {"kind": "greedy", "stages": stages}
        message = "All candidates of the stage 'layer' failed"
    study = study_of(tmp_path, search, constraints={"max_latency_ms": 1e-6})
    with pytest.raises(NoCandidateError, match=message):
        study.optimize(workers=1, devices="cpu", progress=False)
    for task in study.stored.tasks():
        assert task.outcome is not None and task.outcome.pruned is not None
        assert task.outcome.pruned.endswith(" ms a row, but max_latency_ms is 1e-06")


def test_a_space_without_a_small_enough_model_makes_no_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^No configuration of the space keeps within max_model"):
        study_of(tmp_path, sampled("optuna"), max_model_mb=1e-4)
    assert not (tmp_path / "s.db").exists()


def test_the_latency_is_measured_once_an_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpo.worker import _bench

    measured: list[Config] = []

    def latency(config: Config, *_: Any) -> float:
        measured.append(config)
        return 0.25

    monkeypatch.setattr(_bench, "latency_ms", latency)
    study = study_of(tmp_path, sampled("optuna"), constraints={"max_latency_ms": 1.0})
    assert study.optimize(workers=1, devices="cpu", progress=False)
    assert sorted(config.hidden for config in measured) == [SMALL, LARGE]
    assert {trial.user_attrs["latency_ms"] for trial in study.optuna.get_trials()} == {0.25}
    assert all(t.constraints == {"latency_ms": -0.75} for t in study.optuna.get_trials())


def test_a_cost_that_cannot_be_measured_fails_a_study_that_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpo.worker import _bench

    def broken(*_: Any) -> float:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(_bench, "latency_ms", broken)
    study = study_of(tmp_path / "one", sampled("optuna", trials=1))
    assert study.optimize(workers=1, devices="cpu", progress=False)
    assert study.front()["latency_ms"].isna().all()
    study = study_of(tmp_path / "two", sampled("optuna", trials=1), against="latency_ms")
    study.optimize(workers=1, devices="cpu", progress=False)
    (task,) = study.stored.tasks()
    assert task.state is TaskState.FAILED
    assert task.reason == (
        "ValueError: latency_ms of this configuration can't be known before it is trained"
    )
