"""Thresholds by class: against brute force, and drawn towards a shared one for rare classes."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from hpo.results import tune_thresholds

GRID = np.linspace(0.05, 0.95, 91)
BOTH = ("micro_f1", "macro_f1")


def sample(
    rows: int, rates: tuple[float, ...], seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probabilities that are too low for most positives, so that 0.5 is not the best threshold."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, len(rates))) < rates
    logits = rng.normal(size=truth.shape) - 1.5 + 2.0 * truth
    return 1 / (1 + np.exp(-logits)), truth


def score(
    probabilities: NDArray[np.float64], truth: NDArray[np.bool_], thresholds: object, average: str
) -> float:
    given = probabilities > thresholds
    return 100 * float(f1_score(truth, given, average=average, zero_division=0))


def smoothed(values: list[float]) -> NDArray[np.float64]:
    """The mean over four neighbours on each side; the ends are repeated."""
    around = [values[0]] * 4 + values + [values[-1]] * 4
    return np.array([np.mean(around[i : i + 9]) for i in range(len(values))])


def test_for_macro_each_class_has_the_best_of_its_smoothed_scores() -> None:
    probabilities, truth = sample(1500, (0.5, 0.2, 0.05))
    found = tune_thresholds(probabilities, truth, ["macro_f1"], prior=0)
    for k, threshold in enumerate(found):
        scores = [100 * f1_score(truth[:, k], probabilities[:, k] > t) for t in GRID]
        assert threshold == pytest.approx(GRID[smoothed(scores).argmax()])


def test_for_micro_no_single_threshold_would_be_better() -> None:
    """Brute force over the thresholds of one class, with those of all others as they are."""
    probabilities, truth = sample(1500, (0.5, 0.2, 0.05))
    best = tune_thresholds(probabilities, truth, ["micro_f1"], prior=0)
    for k in range(3):
        scores = []
        for t in GRID:
            tried = best.copy()
            tried[k] = t
            scores.append(score(probabilities, truth, tried, "micro"))
        chosen = int(np.abs(GRID - best[k]).argmin())
        assert smoothed(scores)[chosen] == pytest.approx(smoothed(scores).max())


def test_for_samples_no_single_threshold_would_be_better() -> None:
    """Brute force over the thresholds of one class, with those of all others as they are."""
    probabilities, truth = sample(1500, (0.5, 0.2, 0.05))
    truth[:50] = False  # rows without a label
    found = tune_thresholds(probabilities, truth, ["samples_f1"], prior=0)
    for k in range(3):
        scores = []
        for t in GRID:
            tried = found.copy()
            tried[k] = t
            scores.append(score(probabilities, truth, tried, "samples"))
        chosen = int(np.abs(GRID - found[k]).argmin())
        assert found[k] == pytest.approx(GRID[chosen])
        assert smoothed(scores)[chosen] == pytest.approx(smoothed(scores).max())


@pytest.mark.parametrize("prior", [0, 50, 1000])
def test_the_prior_is_the_positives_at_which_both_weigh_the_same(prior: int) -> None:
    probabilities, truth = sample(1000, (0.3, 0.1))
    alone = tune_thresholds(probabilities, truth, ["macro_f1"], prior=0)
    drawn = tune_thresholds(probabilities, truth, ["macro_f1"], prior=prior, towards=0.4)
    positives = truth.sum(axis=0)
    expected = (positives * alone + prior * 0.4) / (positives + prior)
    assert drawn == pytest.approx(expected)


@pytest.mark.parametrize("metrics", [["micro_f1"], ["macro_f1"], ["samples_f1"], BOTH])
@pytest.mark.parametrize("seed", range(3))
def test_on_the_rows_they_were_chosen_on_they_are_better_than_one_for_all(
    metrics: tuple[str, ...], seed: int
) -> None:
    probabilities, truth = sample(3000, (0.5, 0.2, 0.1, 0.05), seed)
    found = tune_thresholds(probabilities, truth, metrics)

    def objective(thresholds: object) -> float:
        return sum(score(probabilities, truth, thresholds, m.removesuffix("_f1")) for m in metrics)

    assert objective(found) > objective(0.5) + 1.5  # rare classes are drawn to the shared one
    # a smooth optimum may lose a little to the best shared one
    assert objective(found) > max(objective(t) for t in GRID) - 0.7 * len(metrics)


def test_both_metrics_are_a_compromise() -> None:
    probabilities, truth = sample(20_000, (0.5, 0.2, 0.05))
    micro, macro, both = (
        tune_thresholds(probabilities, truth, metrics, prior=0)
        for metrics in (BOTH[:1], BOTH[1:], BOTH)
    )

    def scores(found: NDArray[np.float64]) -> tuple[float, float]:
        return tuple(score(probabilities, truth, found, a) for a in ("micro", "macro"))

    slack = 0.3  # since the scores are smoothed before the best is taken
    assert scores(micro)[0] >= scores(both)[0] - slack >= scores(macro)[0] - 2 * slack
    assert scores(macro)[1] >= scores(both)[1] - slack >= scores(micro)[1] - 2 * slack
    assert sum(scores(both)) >= sum(scores(0.5 * np.ones(3))) + 2


@pytest.mark.parametrize("metrics", [["micro_f1"], ["macro_f1"], ["samples_f1"], BOTH])
def test_a_rare_class_is_drawn_towards_the_shared_threshold(metrics: list[str]) -> None:
    probabilities, truth = sample(1000, (0.3, 0.3, 0.3))
    truth[:, 1] &= np.cumsum(truth[:, 1]) <= 10
    truth[:, 2] = False
    found = tune_thresholds(probabilities, truth, metrics)
    scores = [
        sum(score(probabilities, truth, t, m.removesuffix("_f1")) for m in metrics) for t in GRID
    ]
    shared = GRID[smoothed(scores).argmax()]
    assert found[2] == shared != 0.5  # nothing is known of it
    assert abs(found[1] - shared) <= 0.9 * 10 / 510
    assert ((found > 0.05) & (found < 0.95)).all()
    everywhere = tune_thresholds(probabilities, truth, metrics, prior=1e12)
    assert everywhere == pytest.approx(np.full(3, shared))


def test_chance_moves_the_threshold_of_a_rare_class_little() -> None:
    """On fresh rows, thresholds of rare classes cost nothing against 0.5."""
    rates = (0.01,) * 8
    loss = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        truth = rng.random((2000, 8)) < rates
        probabilities = 1 / (1 + np.exp(-(rng.normal(size=truth.shape) - 1.2 + 2.4 * truth)))
        found = tune_thresholds(probabilities[:1000], truth[:1000], ["macro_f1"])
        fresh = probabilities[1000:], truth[1000:]
        loss.append(score(*fresh, 0.5, "macro") - score(*fresh, found, "macro"))
    assert np.mean(loss) < 0


def test_classes_that_are_told_perfectly_keep_a_threshold_in_between() -> None:
    truth = np.eye(3, dtype=bool)[np.arange(600) % 3]
    found = tune_thresholds(np.where(truth, 0.8, 0.2), truth, BOTH)
    assert ((found > 0.2) & (found < 0.8)).all()
