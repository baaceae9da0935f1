"""The front of two objectives, and the searches that can have one."""

import dataclasses
import math

import numpy as np
import pytest
from search_samples import BOTH, outcome, sampled_space

from hpo.errors import InputError
from hpo.models import Config
from hpo.search import FRONT, Space, Task, TaskState, front_of, load_space, make_strategy

PARAMS = {"lr": {"low": 0.001, "high": 0.1}}


def task(position: int, value: float, mb: float | None, pruned: str | None = None) -> Task:
    result = dataclasses.replace(outcome(value, pruned), model_mb=mb, latency_ms=mb)
    config = Config(lr=0.01 + position / 100)
    return Task(
        *(position, 0, config.key, config, (), TaskState.DONE),
        trial=position,
        outcome=result,
    )


def on_front(points: list[tuple[float, float]]) -> set[int]:
    """What nothing dominates, by the definition."""
    return {
        i
        for i, (value, cost) in enumerate(points)
        if not any(
            v >= value and c <= cost and (v > value or c < cost)
            for j, (v, c) in enumerate(points)
            if j != i
        )
    }


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_nothing_dominates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = [(float(v), float(c)) for v, c in rng.integers(0, 8, size=(30, 2))]
    tasks = [task(i, value, cost) for i, (value, cost) in enumerate(points)]
    front = front_of(tasks, "model_mb")
    assert {t.position for t in front} == on_front(points)
    costs = [points[t.position][1] for t in front]
    assert costs == sorted(costs)
    assert front_of(tasks, "latency_ms") == front


def test_only_what_was_trained_to_its_end_is_on_it() -> None:
    tasks = [
        task(0, 80.0, 1.0),
        task(1, 0.0, 0.1, pruned="diverged: …"),
        task(2, 90.0, None),
        task(3, math.nan, 0.1),
        Task(4, 0, None, None, (), TaskState.OPEN),
        task(5, 70.0, 2.0),
    ]
    assert [t.position for t in front_of(tasks, "model_mb")] == [0]
    assert front_of([], "model_mb") == []


def two_objectives(**changes: object) -> Space:
    space = sampled_space(PARAMS, trials=3)
    return load_space({**space.model_dump(mode="json"), "against": "model_mb", **changes})


def test_a_study_has_a_table_of_its_front_where_the_best_score_wins() -> None:
    strategy = make_strategy(two_objectives(), BOTH)
    tasks = [task(0, 80.0, 3.0), task(1, 80.0, 2.0), task(2, 70.0, 1.0), task(3, 60.0, 4.0)]
    best = strategy.best(tasks)
    assert best is not None and best.position == 1  # the cheaper one of equal scores
    _, table = strategy.tables(tasks, cited=False)
    assert (table.name, table.key) == ("front of micro_f1 against model_mb", FRONT)
    assert [(row.trial, row.model_mb, row.winner) for row in table.rows] == [
        (2, 1.0, False),
        (1, 2.0, True),
    ]
    assert len(strategy.tables(tasks[:0], cited=False)) == 1
    assert len(make_strategy(sampled_space(PARAMS), BOTH).tables(tasks, cited=False)) == 1


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            {"kind": "promote", "params": PARAMS},
            "against is model_mb, but search kind promote decides by the score alone; use kind "
            "optuna, or leave it out",
        ),
        (
            {"kind": "greedy", "stages": [{"name": "a", "params": {"lr": [0.1]}}]},
            "against is model_mb, but search kind greedy decides by the score alone; use kind "
            "optuna, or leave it out",
        ),
        (
            {"kind": "optuna", "params": PARAMS, "pruner": {"name": "MedianPruner"}},
            "against is model_mb, but MedianPruner stops trials by the score alone; leave the "
            "pruner out",
        ),
    ],
)
def test_searches_that_decide_by_the_score_have_one_objective(
    search: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        two_objectives(search=search)
    assert caught.value.problems == [f"The search space: {message}"]


def test_a_cost_that_there_is_not_is_named() -> None:
    with pytest.raises(InputError, match="against is 'size', but must be one of: model_mb, laten"):
        two_objectives(against="size")
