"""Limits from Python: a budget in epochs, time for a call, and what a study has when it ends."""

import dataclasses
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_samples import SPACE, array_data
from rich.console import Console

import hpo
from hpo.library import _limits as module
from hpo.library._limits import Limits, TimeLimit, shown_time
from hpo.report import finish_study
from hpo.report._finish import shortened
from hpo.search import Progress, TaskState
from hpo.study import StoredStudy

pytestmark = pytest.mark.slow

PROMOTE: dict[str, Any] = {
    "name": "p",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 40},
    "fixed": {"hidden": [8], "epochs": 20, "fusion": "concat", "batch_size": 30},
    "search": {
        **{"kind": "promote", "trials": 200, "first_rung": 2, "finalists": 2},
        "params": {"lr": {"low": 0.001, "high": 0.1, "log": True}},
    },
}


def create(folder: Path, space: dict[str, Any] = PROMOTE, **options: Any) -> hpo.Study:
    storage = f"sqlite:///{folder / 's.db'}"
    return hpo.create_study(array_data(folder / "cache"), space, storage=storage, **options)


def trained(study: hpo.Study) -> int:
    from hpo.study import epochs_trained

    return epochs_trained(study.stored, study.stored.tasks())


def test_a_budget_leaves_room_for_the_refit(tmp_path: Path) -> None:
    study = create(tmp_path)
    assert not study.optimize(workers=1, epochs=120, progress=False)
    assert study.ended_by == "the budget of 120 epochs"
    assert trained(study) <= 100
    assert study.best_config.epochs == 20
    assert study.refit().config == study.best_config
    before = len(study.optuna.get_trials())
    assert not study.optimize(workers=1, epochs=200, progress=False)
    assert len(study.optuna.get_trials()) > before
    assert trained(study) <= 180


def test_a_budget_leaves_room_for_all_models_that_are_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hpo.results

    asked: list[int | None] = []

    def select(*_: Any, most: int | None, **__: Any) -> None:
        asked.append(most)

    monkeypatch.setattr(hpo.results, "select_ensemble", select)
    study = create(tmp_path, {**PROMOTE, "ensemble": {"members": 5, "neighbours": True}})
    assert not study.optimize(workers=1, epochs=120, progress=False)
    study.refit()
    assert asked == [(120 - trained(study) - 1) // 20]  # each refit has 20 epochs


def test_the_space_s_budget_is_the_default_and_may_change(tmp_path: Path) -> None:
    study = create(tmp_path, {**PROMOTE, "budget": {"epochs": 60}})
    assert not study.optimize(workers=1, progress=False)
    assert study.ended_by == "the budget of 60 epochs"
    assert trained(study) <= 40
    again = create(tmp_path, {**PROMOTE, "budget": {"epochs": 90}})
    assert not again.optimize(workers=1, progress=False)
    assert again.ended_by == "the budget of 90 epochs"
    assert 40 < trained(again) <= 70


def test_a_budget_that_is_too_small_is_refused(tmp_path: Path) -> None:
    study = create(tmp_path)
    with pytest.raises(hpo.InputError) as caught:
        study.optimize(workers=1, epochs=39, progress=False)
    assert str(caught.value) == (
        "The budget is 39 epochs, but must be at least 40: a trial of this space may take 20, and "
        "the refit 20."
    )
    assert study.optuna.get_trials() == []


def test_a_greedy_study_keeps_to_time_alone(tmp_path: Path) -> None:
    space = {**SPACE, "split": {"kind": "tail", "val_rows": 40}}
    study = create(tmp_path, space)
    with pytest.raises(hpo.InputError, match="--epoch-budget 100: search kind greedy decides noth"):
        study.optimize(workers=1, epochs=100, progress=False)
    with pytest.raises(hpo.InputError, match="time_limit is '10 min', but must be a time such as"):
        study.optimize(workers=1, time_limit="10 min", progress=False)


@pytest.mark.timeout(120)
def test_a_time_limit_ends_a_study_with_whole_trials(tmp_path: Path) -> None:
    space = {**PROMOTE, "search": {**PROMOTE["search"], "trials": 5000}}
    study = create(tmp_path, space)
    began = time.monotonic()
    assert not study.optimize(workers=1, time_limit="30s", progress=False)
    assert time.monotonic() - began > 5
    assert study.ended_by == "the time limit of 30s"
    outcomes = [task.outcome for task in study.stored.tasks() if task.outcome is not None]
    assert any(outcome.pruned is None for outcome in outcomes)
    assert study.best_config.epochs == 20


@pytest.mark.timeout(120)
def test_looks_that_take_long_put_off_neither_the_end_nor_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine takes seconds to look at thousands of tasks, and then pauses for longer."""
    monkeypatch.setattr("hpo.library._work._PAUSE", 10_000)
    monkeypatch.setattr("hpo.library._work._LONGEST_PAUSE_S", 3_600.0)
    space = {**PROMOTE, "search": {**PROMOTE["search"], "trials": 5000}}
    study = create(tmp_path, space)
    assert not study.optimize(workers=1, time_limit="12s", progress=False)
    assert study.ended_by == "the time limit of 12s"
    few = create(tmp_path, {**PROMOTE, "name": "few", "search": {**PROMOTE["search"], "trials": 2}})
    assert few.optimize(workers=1, progress=False)  # no pause outlasts the workers
    looks: list[float] = []
    monkeypatch.setattr("hpo.library._work._LONGEST_PAUSE_S", 1.0)

    class Busy:
        def watch(self) -> bool:
            return len(looks) < 3

        def stop(self) -> None:
            pass

    other = create(tmp_path, {**PROMOTE, "name": "other"})
    assert not other.run(Busy, lambda _: looks.append(time.monotonic()), other.limits())
    assert looks[2] - looks[0] > 2.0


def test_workers_that_ended_by_the_deadline_ended_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the deadline is moved in the moment in which their end is seen."""

    class Ended:
        def watch(self) -> bool:
            return False

        def stop(self) -> None:
            pass

    passed = iter([True, False])
    monkeypatch.setattr(TimeLimit, "over", property(lambda _: next(passed)))
    study = create(tmp_path)
    assert not study.run(Ended, lambda _: None, study.limits(time_limit=30.0))
    assert study.ended_by == "the time limit of 30s"


@pytest.mark.timeout(120)
def test_without_a_whole_trial_the_furthest_is_taken(tmp_path: Path) -> None:
    """Trials so long that none gets to its end."""
    fixed = {**PROMOTE["fixed"], "epochs": 1_000_000}
    study = create(tmp_path, {**PROMOTE, "fixed": fixed})
    assert not study.optimize(workers=1, time_limit="20s", progress=False)
    assert study.ended_by == "the time limit of 20s"
    best = study.best_task
    assert best.outcome is not None and best.outcome.pruned is not None
    assert best.outcome.pruned.startswith("not trained to its end: step ")
    assert np.isfinite(best.outcome.value)
    assert study.refit().config.epochs == best.outcome.steps
    console = Console(file=io.StringIO(), width=200)
    out = tmp_path / "out"
    ended = study.ended_by
    finish_study(study.stored, console, out, "cpu", refit=True, ended_by=ended, in_time=True)
    said = f"{best.outcome.pruned}; so the model was trained for {best.outcome.steps:,} epochs\n"
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
    written = json.loads((out / "metrics.json").read_text())
    assert written["model"]["epochs"] == best.outcome.steps
    written["model"]["cut_short"] = {}  # a line of its own says of how many epochs
    assert shortened(written) == ""
    assert hpo.load_model(out / "model").config.epochs == best.outcome.steps


@pytest.fixture
def step_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], Callable[..., float]]:
    """Makes, for a time limit, what tells the deadline after so many seconds.

    It is given how far two trials of 1,000 epochs have got that are being trained, or that paused.
    """
    fixed = {**SPACE["fixed"], "fusion": "concat", "epochs": 1000}
    stage = {"name": "rate", "params": {"lr": [0.001, 0.01]}}
    space = {**SPACE, "seeds": 1, "split": {"kind": "tail", "val_rows": 40}, "fixed": fixed}
    study = create(tmp_path, {**space, "search": {"kind": "greedy", "stages": [stage]}})
    study.stored.open_next()
    two = study.stored.tasks()
    now, told = [100.0], list[float]()
    paused: dict[int, list[Progress]] = {}
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(TimeLimit, "_tell", lambda _, now, deadline, epochs: told.append(deadline))
    monkeypatch.setattr(StoredStudy, "pauses", lambda _: paused)

    def make(limit: float) -> Callable[..., float]:
        clock = TimeLimit(study.stored, Limits(time_limit=limit, began=100.0), growth=1.5)

        def step(seconds: float, *steps: int, pausing: bool = False) -> float:
            now[0] = 100.0 + seconds
            found = [Progress(done, 1000, 50.0) for done in steps]
            paused.clear()
            if pausing:
                paused.update({t.position: [p] for t, p in zip(two, found, strict=False)})
            begun = [
                dataclasses.replace(task, state=TaskState.PAUSED)
                if pausing
                else dataclasses.replace(task, state=TaskState.CLAIMED, progress=progress)
                for task, progress in zip(two, found, strict=False)
            ]
            clock.update(begun)
            return told[-1] - 100.0

        return step

    return make


@pytest.mark.parametrize("limit", [60.0, 900.0])
def test_what_is_kept_back_for_the_refit(
    limit: float, step_of: Callable[[float], Callable[..., float]]
) -> None:
    """That of a whole trial, unless none can be whole in time: then that of the furthest."""
    step, results = step_of(limit), 6 + 0.05 * limit
    # nobody knows yet how long an epoch takes
    assert step(-1) == step(0, 1) == pytest.approx(limit - results)
    assert step(1, 1) == pytest.approx(limit - results - 1.2 * 1.5 * 1)
    whole, one = 1.2 * 1.5 * 1000 / 10, 1.2 * 1.5 / 10  # 10 epochs a second
    for seconds, done in ((2, 21), (10, 101), (12, 121)):
        kept = whole if limit == 900 else one * done
        assert step(seconds, done) == pytest.approx(limit - results - kept)
    kept = 2 * (whole if limit == 900 else one * 121)  # each of two workers has half of the rate
    assert step(14, 121, 20) == pytest.approx(limit - results - kept)


def test_a_slow_beginning_says_nothing_of_the_refit(
    step_of: Callable[[float], Callable[..., float]],
) -> None:
    """Reading rows and setting up is not training."""
    step, results = step_of(900.0), 6 + 0.05 * 900
    step(-1)
    assert step(0, 0) == pytest.approx(900 - results)
    assert step(30, 5) == pytest.approx(900 - results - 1.2 * 1.5 * 30)
    kept = 1.2 * 1.5 * 1000 / 10  # 10 epochs a second since then
    assert step(31, 15) == pytest.approx(900 - results - kept)
    assert step(33, 15) == pytest.approx(900 - results - kept)  # no news is no slowness


def test_trials_that_pause_are_as_far_as_they_paused(
    step_of: Callable[[float], Callable[..., float]],
) -> None:
    """A refit of a whole trial isn't kept back because nothing is being trained just now."""
    step, results = step_of(60.0), 6 + 0.05 * 60
    step(-1)
    step(0, 1)
    assert step(4, 41) == step(4, 41, pausing=True) == pytest.approx(60 - results - 0.18 * 41)


def test_a_candidate_is_added_by_hand(tmp_path: Path) -> None:
    small = {**PROMOTE, "search": {**PROMOTE["search"], "trials": 3}}
    study = create(tmp_path, small)
    assert study.add(lr=0.05)
    assert study.optimize(workers=1, progress=False)
    trials = study.optuna.get_trials()
    assert len(trials) == 4
    assert trials[0].params == {"lr": 0.05}
    assert not study.add({"lr": 0.05})
    assert study.is_complete
    assert study.add(lr=0.06)
    assert not study.is_complete
    assert study.optimize(workers=1, progress=False)
    assert len(study.optuna.get_trials()) == 5
    with pytest.raises(hpo.InputError, match=r"lr is 0\.5, but must be 0\.001 to 0\.1"):
        study.add(lr=0.5)


def test_what_optuna_enqueues_opens_a_complete_study_again(tmp_path: Path) -> None:
    small = {**PROMOTE, "search": {**PROMOTE["search"], "trials": 2}}
    study = create(tmp_path, small)
    assert study.optimize(workers=1, progress=False)
    study.optuna.enqueue_trial({"lr": 0.07})
    study.optuna.enqueue_trial({"lr": 7.0})
    assert study.optimize(workers=1, progress=False)
    *_, enqueued, refused, taken = study.optuna.get_trials()
    assert taken.params == {"lr": 0.07}
    assert taken.value is not None
    assert enqueued.user_attrs["failed"] == (
        f"taken up: another trial, whose attribute task is {taken.user_attrs['task']}, has its "
        "values"
    )
    assert (enqueued.state.name, refused.state.name) == ("FAIL", "FAIL")
    assert "lr is 7.0, but must be 0.001 to 0.1" in refused.user_attrs["failed"]


def test_only_a_space_that_draws_takes_candidates(tmp_path: Path) -> None:
    study = create(tmp_path, {**SPACE, "split": {"kind": "tail", "val_rows": 40}})
    with pytest.raises(hpo.InputError, match="search kind greedy tries what its stages say"):
        study.add(lr=0.05)


def test_a_study_starts_from_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = create(tmp_path, {**SPACE, "split": {"kind": "tail", "val_rows": 40}})
    assert first.optimize(workers=1, progress=False)
    small = {**PROMOTE, "search": {**PROMOTE["search"], "trials": 2}}
    study = create(tmp_path, small, warm_start="small")
    assert "warm start from small: trial " in caplog.text
    assert "keeps " not in caplog.text
    create(tmp_path, small, checkpoint_every=7, run_store_gb=1.5)
    assert "keeps checkpoint_every 50 and run_store_gb 20, with which it was made" in caplog.text
    assert "left out: " in caplog.text
    assert study.optimize(workers=1, progress=False)
    assert study.optuna.get_trials()[0].params["lr"] in (0.001, 0.01)
    with pytest.raises(hpo.InputError, match="has no such study"):
        create(tmp_path, {**small, "name": "q"}, warm_start="smal")
    with pytest.raises(hpo.InputError, match="--study q: "):
        hpo.load_study("q", storage=study.stored.url)


def test_times_are_shown_as_people_write_them() -> None:
    assert [shown_time(s) for s in (90, 600, 5400, 45.5, 3600)] == [
        *("1m30s", "10m", "1h30m", "45.5s", "1h")
    ]
