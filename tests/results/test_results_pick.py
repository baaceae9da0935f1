"""Which configuration is refitted, and what a study with two objectives leaves."""

import json
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from results_samples import SMALL, SPLIT, finish, greedy, study_of

from hpo.errors import InputError
from hpo.library import Study
from hpo.results import check_pick, pick_task
from hpo.search import front_of

TWO: dict[str, Any] = {
    "name": "two",
    "seeds": 2,
    "split": SPLIT,
    "fixed": SMALL,
    "against": "model_mb",
    "search": {
        **{"kind": "optuna", "trials": 9, "sampler": {"name": "TPESampler"}},
        "params": {
            "hidden": {"choices": [[4], [32], [256]]},
            "lr": {"low": 0.003, "high": 0.03, "log": True},
        },
    },
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study_of(tmp_path_factory.mktemp("two"), TWO)


def test_the_front_is_optuna_s(two: Study) -> None:
    front = two.front()
    assert set(front["trial"]) == {trial.number for trial in two.optuna.best_trials}
    assert front["model_mb"].is_monotonic_increasing
    assert front["score"].is_monotonic_increasing
    for row in front.itertuples():
        assert two.optuna.trials[row.trial].values == [row.score, row.model_mb]
    assert list(front.columns) == [
        *("score", "std", "trial", "hidden", "lr", "steps", "epochs_trained"),
        *("model_mb", "latency_ms", "pruned"),
    ]
    assert two.optuna.metric_names == ["micro-F1 (%)", "model_mb"]
    assert two.best_task.trial == front["trial"].iloc[-1]
    assert two.best_value == two.leaderboard()["score"][0]
    fastest = two.front("latency_ms")
    assert fastest["latency_ms"].is_monotonic_increasing
    with pytest.raises(InputError, match=r"against is 'model', but must be one of: model_mb, lat"):
        two.front("model")


def test_every_study_has_a_front_of_the_size(tmp_path: Path) -> None:
    study = study_of(tmp_path, greedy(hidden=[[4], [64]]))
    front = study.front()
    assert isinstance(front, pd.DataFrame) and len(front) in (1, 2)
    assert study.best_task.trial in set(front["trial"])


def test_what_is_picked(two: Study) -> None:
    tasks = two.stored.tasks()
    best = pick_task(two.stored, tasks, "cpu")
    assert best.trial == two.best_task.trial
    smallest = pick_task(two.stored, tasks, "cpu", "smallest_tied")
    assert smallest.outcome is not None and best.outcome is not None
    assert smallest.outcome.model_mb is not None and best.outcome.model_mb is not None
    assert smallest.outcome.model_mb <= best.outcome.model_mb
    for number in (0, "0"):
        assert pick_task(two.stored, tasks, "cpu", number).trial == 0
    assert two.refit(pick=0).config.hidden == tasks[0].config.hidden  # type: ignore[union-attr]


def test_what_cannot_be_picked_is_an_error(two: Study) -> None:
    message = r"--pick smalest: must be best, smallest_tied or the number of a trial\."
    with pytest.raises(InputError, match=message):
        check_pick("smalest")
    message = r"--pick 99: the study 'two' has no trial 99 with a result; 9 of its trials have one "
    with pytest.raises(InputError, match=message):
        pick_task(two.stored, two.stored.tasks(), "cpu", "99")


def test_the_space_says_what_is_picked(tmp_path: Path) -> None:
    """Both widths learn nothing at this rate, so that they can't be told from each other."""
    space = greedy(hidden=[[64], [4]])
    fixed = {**SMALL, "lr": 1e-9}
    study = study_of(tmp_path, {**space, "fixed": fixed, "refit": {"pick": "smallest_tied"}})
    assert study.refit().config.hidden == (4,)
    assert study.refit(pick="best").config == study.best_config.replace(batch_size=60)
    printed = finish(study, tmp_path / "out")
    smallest = next(t for t in study.stored.tasks() if t.config and t.config.hidden == (4,))
    assert f": trial {smallest.trial}, micro_f1" in printed
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["best"]["trial"] == smallest.trial
    assert "front" not in metrics


def test_results_have_the_front(two: Study, tmp_path: Path) -> None:
    printed = finish(two, tmp_path)
    front = front_of(two.stored.tasks(), "model_mb")
    line = ", ".join(
        f"trial {t.trial} {t.outcome.value:.2f} at {t.outcome.model_mb:.3g} MB"
        for t in front
        if t.outcome is not None
    )
    assert f"front (micro_f1 against model_mb): {line}\n" in printed
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["against"] == "model_mb"
    assert [point["trial"] for point in metrics["front"]] == [task.trial for task in front]
    assert [stage["name"] for stage in metrics["stages"]] == ["best 9 of 9 trials"]
    assert metrics["best"]["model_mb"] == metrics["front"][-1]["model_mb"]
    report = tmp_path / "report"
    names = {path.name for path in (report / "figures").iterdir()}
    assert names == {"01_trials.png", "02_front.png"}
    page = (report / "index.html").read_text()
    assert "<h2>front of micro_f1 against model_mb</h2>" in page
    assert '<img src="figures/02_front.png"' in page
    tables = pd.read_csv(report / "tables.csv")
    listed = tables[tables["stage"] == "front of micro_f1 against model_mb"]
    assert list(listed["trial"]) == [task.trial for task in front]
    assert list(listed["winner"]) == [0] * (len(front) - 1) + [1]
    trials = pd.read_csv(report / "trials.csv")
    assert trials["model_mb"].notna().all() and trials["latency_ms"].notna().all()
    assert list(trials["value"]) == [trial.values[0] for trial in two.optuna.trials]


def test_optunas_own_plots_take_it(two: Study) -> None:
    figure = optuna.visualization.plot_pareto_front(two.optuna)
    assert len(figure.data) > 0
