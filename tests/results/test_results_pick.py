"""Which configuration is refitted, and what a study with two objectives leaves."""

import base64
import json
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from results_samples import SMALL, SPLIT, finish, greedy, study_of

from hpo.errors import InputError
from hpo.library import Study
from hpo.models import Config
from hpo.report._front import front_lines
from hpo.results import check_pick, judge, pick_task
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
    assert two.optuna.metric_names == ["micro_f1 (%)", "model_mb"]
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


def smallest_of_equals(study: Study) -> int | None:
    """The trial with the smallest model among the best and those that are said to be tied."""
    judged = judge(study.stored, study.best_task, study.stored.tasks(), "cpu")
    assert judged is not None
    equals = {study.best_task.trial, *judged.tied}
    board = study.leaderboard()
    chosen = board[board["trial"].isin(equals)].sort_values(["model_mb", "rank"])
    return int(chosen["trial"].iloc[0])


def test_what_is_picked(two: Study) -> None:
    tasks = two.stored.tasks()
    assert pick_task(two.stored, tasks, "cpu").trial == two.best_task.trial
    smallest = pick_task(two.stored, tasks, "cpu", "smallest_tied")
    assert smallest.trial == smallest_of_equals(two)
    for number in (0, "0"):
        assert pick_task(two.stored, tasks, "cpu", number).trial == 0
    assert two.refit(pick=0).config.hidden == by_trial(two, 0).hidden


def by_trial(study: Study, number: int) -> Config:
    return Config.from_stored(study.optuna.trials[number].user_attrs["config"])


def test_what_cannot_be_picked_is_an_error(two: Study) -> None:
    message = (
        r"^--pick smalest: must be best, smallest_tied or the number of a trial "
        r"\(did you mean 'smallest_tied'\?\)\.$"
    )
    with pytest.raises(InputError, match=message):
        check_pick("smalest")
    message = r"--pick 99: the study 'two' has no trial 99 with a result; 9 of its trials have one "
    with pytest.raises(InputError, match=message):
        pick_task(two.stored, two.stored.tasks(), "cpu", "99")


def test_the_space_says_what_is_picked(tmp_path: Path) -> None:
    """On 60 rows these can hardly be told from each other."""
    space = greedy(hidden=[[256], [64], [48]])
    study = study_of(tmp_path, {**space, "refit": {"pick": "smallest_tied"}})
    smallest = smallest_of_equals(study)
    assert smallest is not None
    assert study.refit().config.hidden == by_trial(study, smallest).hidden
    assert study.refit(pick="best").config.hidden == study.best_config.hidden
    printed = finish(study, tmp_path / "out")
    called = "best" if smallest == study.best_task.trial else "picked"
    assert f"{called}: trial {smallest}, micro_f1" in printed
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["best"]["trial"] == smallest
    assert "front" not in metrics


def test_results_have_the_front(two: Study, tmp_path: Path) -> None:
    assert front_lines(two.stored, ()) == []  # as of a study without a whole trial
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
    assert names == {"01_trials.png", "02_front.png", "reliability.png"}
    page = (report / "index.html").read_text()
    assert "<h2>front of micro_f1 against model_mb</h2>" in page
    picture = base64.b64encode((report / "figures" / "02_front.png").read_bytes()).decode()
    assert f'<img src="data:image/png;base64,{picture}"' in page
    tables = pd.read_csv(report / "tables.csv")
    listed = tables[tables["stage"] == "front of micro_f1 against model_mb"]
    assert list(listed["trial"]) == [task.trial for task in front]
    assert list(listed["winner"]) == [0] * (len(front) - 1) + [1]
    trials = pd.read_csv(report / "trials.csv")
    assert trials["model_mb"].notna().all() and trials["latency_ms"].notna().all()
    assert list(trials["value"]) == [trial.values[0] for trial in two.optuna.trials]


def test_optunas_own_plots_take_it(two: Study) -> None:
    axes = optuna.visualization.matplotlib.plot_pareto_front(two.optuna)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("micro_f1 (%)", "model_mb")
