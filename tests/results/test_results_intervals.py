"""Intervals of F1 scores against scikit-learn, an independent bootstrap, and what they promise."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from hpo.results import Interval, f1_differences, f1_intervals, f1_scores

AVERAGES = {"micro_f1": "micro", "macro_f1": "macro", "samples_f1": "samples"}
Flags = NDArray[np.bool_]


def sample(rows: int, seed: int, classes: int = 4, noise: float = 0.25) -> tuple[Flags, Flags]:
    """Predictions and the truth that they are right about in most cells."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, classes)) < np.linspace(0.6, 0.1, classes)
    return truth ^ (rng.random(truth.shape) < noise * np.linspace(1, 0.4, classes)), truth


def sklearn_scores(predicted: Flags, truth: Flags) -> dict[str, float]:
    return {
        name: 100 * float(f1_score(truth, predicted, average=average, zero_division=0))
        for name, average in AVERAGES.items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_scikit_learns(seed: int) -> None:
    predicted, truth = sample(200, seed)
    truth[:, 3] = predicted[:, 3] = False  # a class that is nowhere
    predicted[:9] = truth[:9] = False  # rows without a label
    assert f1_scores(predicted, truth) == pytest.approx(sklearn_scores(predicted, truth), abs=1e-4)


def test_intervals_are_those_of_an_independent_bootstrap() -> None:
    predicted, truth = sample(250, 0)
    found = f1_intervals([predicted], truth)
    rng = np.random.default_rng(99)
    drawn: dict[str, list[float]] = {name: [] for name in AVERAGES}
    for _ in range(600):
        rows = rng.integers(250, size=250)
        for name, score in sklearn_scores(predicted[rows], truth[rows]).items():
            drawn[name].append(score)
    for name, value in sklearn_scores(predicted, truth).items():
        low, high = np.percentile(drawn[name], [2.5, 97.5])
        # a percentile of some hundred draws is known to about a tenth of their deviation
        close = 0.5 * float(np.std(drawn[name]))
        assert found[name].value == pytest.approx(value, abs=1e-4)
        assert found[name].low == pytest.approx(low, abs=close)
        assert found[name].high == pytest.approx(high, abs=close)


def test_they_are_the_same_each_time() -> None:
    predicted, truth = sample(100, 1)
    assert f1_intervals([predicted], truth) == f1_intervals([predicted], truth)
    assert f1_intervals([predicted], truth) != f1_intervals([predicted], truth, seed=1)
    assert str(Interval(83.456, 82.1, 84.999)) == "83.46 (82.10 to 85.00)"


@pytest.mark.parametrize("metric", ["micro_f1", "macro_f1"])
def test_nine_of_ten_intervals_and_more_hold_the_true_score(metric: str) -> None:
    """The true score is that of a population of which each sample is a small part."""
    predicted, truth = sample(60_000, 5)
    true = f1_scores(predicted, truth)[metric]
    held = 0
    for rows in np.arange(60_000).reshape(150, 400):
        interval = f1_intervals([predicted[rows]], truth[rows])[metric]
        held += interval.low <= true <= interval.high
    assert 0.90 <= held / 150 <= 0.99


def test_several_seeds_widen_the_interval_by_what_they_differ() -> None:
    predicted, truth = sample(300, 0)
    worse = predicted ^ (np.random.default_rng(1).random(predicted.shape) < 0.2)
    alike = f1_intervals([predicted, predicted, predicted], truth)
    mixed = f1_intervals([predicted, worse, worse], truth)
    alone = f1_intervals([predicted], truth)
    for name in AVERAGES:
        assert dataclasses.astuple(alike[name]) == pytest.approx(dataclasses.astuple(alone[name]))
        assert mixed[name].high - mixed[name].low > 1.3 * (alone[name].high - alone[name].low)
        scores = [f1_scores(p, truth)[name] for p in (predicted, worse, worse)]
        assert mixed[name].value == pytest.approx(sum(scores) / 3)


def test_equal_predictions_differ_by_nothing_at_all() -> None:
    predicted, truth = sample(300, 0)
    other, _ = sample(300, 1)
    for models in ([predicted], [predicted, other]):
        (found,) = f1_differences(models, [list(models)], truth)
        assert set(found.values()) == {Interval(0.0, 0.0, 0.0)}


def test_differences_are_paired_over_rows_and_seeds() -> None:
    predicted, truth = sample(400, 0)
    rng = np.random.default_rng(2)
    slips = [truth ^ (rng.random(truth.shape) < 0.3) for _ in range(2)]
    nearly = predicted.copy()
    nearly[:6] = ~truth[:6]
    first, second, third = f1_differences([predicted], [[nearly], [slips[0]], slips], truth)
    mine, theirs = (f1_intervals([p], truth) for p in (predicted, nearly))
    for name in AVERAGES:
        assert first[name].value == pytest.approx(mine[name].value - theirs[name].value)
        # rows that both get right or wrong fall out: unpaired, each alone is wider than both
        alone = mine[name].high - mine[name].low
        assert first[name].high - first[name].low < 0.7 * alone
        assert first[name].low > 0 or name == "samples_f1"
        assert second[name].value == pytest.approx(
            mine[name].value - f1_intervals([slips[0]], truth)[name].value
        )
    by_itself = f1_differences([predicted], [slips], truth)
    assert by_itself == [third]


def test_two_that_are_equally_good_are_seldom_told_apart() -> None:
    """With 95% intervals, one in twenty of such pairs may be told apart, not one in five."""
    apart = 0
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        _, truth = sample(300, seed)
        twins = [truth ^ (rng.random(truth.shape) < 0.2) for _ in range(2)]
        (found,) = f1_differences([twins[0]], [[twins[1]]], truth)
        apart += not found["micro_f1"].low <= 0 <= found["micro_f1"].high
    assert apart <= 9


def test_where_pictures_have_several_rows_pictures_are_drawn() -> None:
    predicted, truth = sample(150, 6)
    alone = f1_intervals([predicted], truth)
    assert f1_intervals([predicted], truth, np.arange(150)) == alone  # each has one row
    # copies of a row tell nothing new: two rows a picture, in any order
    order = np.random.default_rng(1).permutation(300)
    rows = np.repeat(np.arange(150), 2)[order]
    found = f1_intervals([predicted[rows]], truth[rows], rows)
    for name, interval in alone.items():
        assert dataclasses.astuple(found[name]) == pytest.approx(dataclasses.astuple(interval))
    narrow = f1_intervals([predicted[rows]], truth[rows])
    for name in AVERAGES:
        assert 1.2 < _width(alone[name]) / _width(narrow[name]) < 1.7  # the root of 2
    other = predicted ^ (np.random.default_rng(2).random(truth.shape) < 0.1)
    (plain,) = f1_differences([predicted], [[other]], truth)
    (paired,) = f1_differences([predicted[rows]], [[other[rows]]], truth[rows], rows)
    assert _width(paired["micro_f1"]) == pytest.approx(_width(plain["micro_f1"]))


def _width(interval: Interval) -> float:
    return interval.high - interval.low
