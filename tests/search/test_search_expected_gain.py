"""The expected gain of more trials, against enumeration and simulation; when it is asked for."""

import itertools
import random
import statistics

import pytest
from promote_samples import EPOCHS, promote_space, strategy_of
from search_samples import task_of

from hpo.search import (
    FixedBoard,
    NewTask,
    Progress,
    StopQuestion,
    TaskState,
    expected_best,
    expected_gain,
)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_the_expected_best_is_that_of_all_subsets(count: int) -> None:
    scores = [3.0, 1.0, 4.0, 1.5, 9.0, 2.0]
    subsets = itertools.combinations(scores, count)
    expected = statistics.fmean(max(subset) for subset in subsets)
    assert expected_best(scores, count) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("more", [1, 5, 30])
def test_the_gain_is_a_bound_of_what_more_trials_add(more: int) -> None:
    """Over many studies of independent trials, on average."""
    rng = random.Random(0)
    bounds, gains = [], []
    for _ in range(800):
        scores = [rng.gauss(80, 1) for _ in range(15)]
        later = [rng.gauss(80, 1) for _ in range(more)]
        bounds.append(expected_gain(scores, more))
        gains.append(max(max(later) - max(scores), 0.0))
    assert statistics.fmean(bounds) >= statistics.fmean(gains)
    if more == 1:
        assert statistics.fmean(bounds) <= 1.6 * statistics.fmean(gains)


def test_equal_scores_gain_nothing_and_noise_gains_more() -> None:
    assert expected_gain([80.0] * 12, 20) == 0.0
    rng = random.Random(1)
    quality = [rng.gauss(80, 0.1) for _ in range(15)]
    noisy = [value + rng.gauss(0, 0.5) for value in quality]
    assert expected_gain(noisy, 10) > expected_gain(quality, 10)


def board(scores: list[float], begun: int | None = None) -> FixedBoard:
    tasks = [task_of(NewTask(p, 0), state=TaskState.PAUSED, token=1) for p in range(len(scores))]
    pauses = {p: (Progress(2, EPOCHS, value),) for p, value in enumerate(scores)}
    return FixedBoard(tasks, None, pauses)


def test_the_question_is_asked_of_enough_trials_and_only_while_more_are_to_come() -> None:
    strategy = strategy_of(promote_space({"lr": 0.5}, trials=30, stop_when="tied"))
    scores = [80.0, 81.0, 79.0, 82.0, 80.5, 80.2, 79.9, 81.5, 80.1, 80.3]
    assert strategy.stop_question(board(scores[:9])) is None
    question = strategy.stop_question(board(scores))
    assert question == StopQuestion(expected_gain(scores, 20), 10, 2, ())
    short = strategy_of(promote_space({"lr": 0.5}, trials=10, stop_when="tied"))
    assert short.stop_question(board(scores)) is None
    never = strategy_of(promote_space({"lr": 0.5}, trials=30))
    assert never.stop_question(board(scores)) is None


def test_with_many_parameters_more_trials_are_enough() -> None:
    params = {
        name: {"low": 0.1, "high": 0.5} for name in ("dropout", "input_dropout", "modality_dropout")
    }
    params |= {f"asl.{key}": {"low": 0.1, "high": 0.9} for key in ("gamma_neg", "gamma_pos")}
    params["lr"] = {"low": 0.001, "high": 0.1}
    fixed = {"loss": "asl", "fusion": "sum_joint"}
    strategy = strategy_of(promote_space(fixed, params=params, trials=30, stop_when="tied"))
    assert strategy.stop_question(board([80.0] * 11)) is None
    assert strategy.stop_question(board([80.0] * 12)) is not None
