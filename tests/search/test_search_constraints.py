"""Limits on size and latency: where they stand, what breaks them, and what a study makes of it."""

import math
from pathlib import Path
from typing import Any

import pytest
from search_samples import BOTH, GREEDY, outcome, sampled_space, task_of, tasks_of, write

from hpo.errors import InputError
from hpo.models import Config
from hpo.search import (
    Constraints,
    Dimensions,
    FixedBoard,
    NoCandidateError,
    Space,
    Strategy,
    TrialOutcome,
    broken_by,
    load_space,
    make_strategy,
)

DIMENSIONS = Dimensions({"image": 100, "text": 50}, 10)
HIDDEN: dict[str, Any] = {"hidden": {"choices": [[8], [64], [512]]}}
STAGES = [
    {"name": "layer", "params": {"hidden": [[8], [512]]}},
    {"name": "fusion", "params": {"fusion": ["image", "mixed_joint"]}},
]


def megabytes(fusion: str, hidden: int) -> float:
    """Of an mlp of one hidden layer with ``feature_scaling`` none."""
    heads = {"image": (100,), "mixed_joint": (100, 50, 150)}[fusion]
    count = sum(width * hidden + hidden + hidden * 10 + 10 for width in heads)
    return (count + (110 if fusion == "mixed_joint" else 0)) * 4 / 1e6


def greedy(max_model_mb: float, *stages: dict[str, Any]) -> Strategy:
    raw = {
        "name": "s",
        "fixed": {"feature_scaling": "none", "hidden": [8]},
        "constraints": {"max_model_mb": max_model_mb},
        "search": {"kind": "greedy", "stages": list(stages or STAGES)},
    }
    return make_strategy(load_space(raw), BOTH, DIMENSIONS)


def sampled(constraints: dict[str, Any], params: dict[str, Any] | None = None) -> Strategy:
    space = sampled_space(params or HIDDEN, {"feature_scaling": "none"}, trials=2)
    space = space.model_copy(update={"constraints": Constraints(**constraints)})
    return make_strategy(space, BOTH, DIMENSIONS)


def test_max_model_mb_is_short_for_the_one_in_constraints(tmp_path: Path) -> None:
    assert load_space(write(tmp_path, GREEDY)).constraints == Constraints()
    short = load_space(write(tmp_path, GREEDY + "max_model_mb: 5\n"))
    assert short.constraints.limits() == {"model_mb": 5.0}
    assert short == load_space(write(tmp_path, GREEDY + "constraints: {max_model_mb: 5}\n"))
    settings = [("max_model_mb", 7, "--set"), ("constraints.max_latency_ms", 0.5, "--set")]
    both = load_space(write(tmp_path, GREEDY + "max_model_mb: 5\n"), settings)
    assert both.constraints.limits() == {"model_mb": 7.0, "latency_ms": 0.5}
    assert load_space(both.model_dump(mode="json")) == both
    # as earlier versions stored it
    stored = short.model_dump(mode="json")
    del stored["constraints"], stored["against"]
    assert Space.from_stored({**stored, "max_model_mb": 5.0}) == short


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "max_model_mb: 5\nconstraints: {max_model_mb: 6}\n",
            "max_model_mb is 5 and constraints.max_model_mb is 6, but they are one limit; give one "
            "of them",
        ),
        ("max_model_mb: 0\n", "max_model_mb is 0, but must be greater than 0"),
        (
            "constraints: {max_latency_ms: -1}\n",
            "max_latency_ms is -1, but must be greater than 0",
        ),
        (
            "constraints: {max_latency: 1}\n",
            "unknown key 'max_latency' (did you mean 'max_latency_ms'?); allowed: max_model_mb, "
            "max_latency_ms",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_space(write(tmp_path, GREEDY + text))
    (problem,) = caught.value.problems
    assert problem.endswith(f": {message}")


def test_what_breaks_a_limit_is_said_with_the_limit() -> None:
    limits = {"model_mb": 5.0, "latency_ms": 0.5}
    assert broken_by({"model_mb": 5.0, "latency_ms": 0.5}, limits) is None
    assert broken_by({"model_mb": None}, limits) is None
    assert broken_by({"model_mb": 12.34, "latency_ms": 0.6}, limits) == (
        "12.3 MB, but max_model_mb is 5; 0.6 ms a row, but max_latency_ms is 0.5"
    )


def test_greedy_skips_what_is_too_large_and_says_so() -> None:
    strategy = greedy(0.1)
    assert strategy.sizes.limits == {"model_mb": 0.1}
    opening = strategy.next(FixedBoard([]))
    assert [task.config.hidden for task in opening.tasks if task.config] == [(8,)]
    tasks = tasks_of(opening.tasks, [50.0])
    layer, _ = strategy.tables(tasks, cited=False)
    note = f"skipped: {megabytes('image', 512):.3g} MB, but max_model_mb is 0.1"
    assert [(row.value, row.note, row.winner) for row in layer.rows] == [
        (50.0, "", True),
        (None, note, False),
    ]
    assert layer.rows[1].model_mb == pytest.approx(megabytes("image", 512))
    plan = strategy.plan(FixedBoard([]))
    assert [(stage.candidates, stage.skipped) for stage in plan.stages] == [(1, 1), (2, 0)]
    assert plan.asked == 3 * 200
    # the second stage still goes on from the one that was trained
    second = strategy.next(FixedBoard(tasks)).tasks
    assert [task.config for task in second] == [
        Config(feature_scaling="none", hidden=(8,), fusion="mixed_joint")
    ]


def test_a_stage_with_nothing_but_too_large_candidates_ends_the_study() -> None:
    strategy = greedy(0.1, {"name": "layer", "params": {"hidden": [[512], [1024]]}})
    message = (
        r"All candidates of the stage 'layer' failed or break a constraint \(0\.227 MB, but "
        r"max_model_mb is 0\.1\)\."
    )
    with pytest.raises(NoCandidateError, match=message):
        strategy.next(FixedBoard([]))


def test_a_limit_that_nothing_breaks_is_no_constraint() -> None:
    largest = megabytes("mixed_joint", 512)
    assert greedy(largest).sizes.limits == {}
    assert greedy(largest - 1e-6).sizes.limits == {"model_mb": largest - 1e-6}
    assert sampled({"max_model_mb": None}).sizes.limits == {}
    # a latency is only known where it is measured
    assert sampled({"max_latency_ms": 9.0}).sizes.limits == {"latency_ms": 9.0}


def test_a_space_without_a_small_enough_model_is_an_error() -> None:
    sampled({"max_model_mb": 0.01}).check()
    params = {**HIDDEN, "fusion": {"choices": ["mixed_joint", "sum_joint"]}}
    with pytest.raises(InputError) as caught:
        sampled({"max_model_mb": 0.005}, params).check()
    assert str(caught.value) == (
        "No configuration of the space keeps within max_model_mb, which is 0.005: the smallest has "
        "0.00602 MB (fusion sum_joint, head mlp, hidden 8). Raise the limit, or add smaller values "
        "to the search."
    )


def test_studies_of_earlier_versions_keep_the_limit_for_the_refit() -> None:
    strategy = make_strategy(greedy(0.001).space, BOTH)
    strategy.check()
    assert strategy.sizes.limits == {}
    assert len(strategy.next(FixedBoard([])).tasks) == 2
    assert strategy.sizes.of(Config()) is None


def test_what_broke_a_constraint_never_wins() -> None:
    strategy = sampled({"max_model_mb": 0.01})
    opened = strategy.next(FixedBoard([])).tasks
    broken = TrialOutcome.untrained("not trained: 3 MB, but max_model_mb is 0.01")
    assert (broken.is_scored, broken.is_whole, math.isnan(broken.value)) == (False, False, True)
    config = Config(feature_scaling="none", hidden=(8,))
    tasks = [
        task_of(opened[0], 0.0, outcome=broken, config=config),
        task_of(opened[1], -5.0, outcome=outcome(-5.0), config=config),
    ]
    best = strategy.best(tasks)
    assert best is not None and best.position == 1
    (table,) = strategy.tables(tasks, cited=False)
    assert table.name == "best 1 of 1 trials; 1 more broke a constraint"
    assert [row.trial for row in table.rows] == [1]
    assert strategy.next(FixedBoard(tasks)).complete
    lost = [tasks[0], task_of(opened[1], 0.0, outcome=broken, config=config)]
    assert strategy.best(lost) is None
    message = (
        r"^None of the 2 trials keeps within the constraints; the last one: not trained: 3 MB, but "
        r"max_model_mb is 0\.01\. Raise the limit"
    )
    with pytest.raises(NoCandidateError, match=message):
        strategy.next(FixedBoard(lost))
