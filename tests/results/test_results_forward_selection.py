"""Which models are averaged, against brute force, and that chance is no gain."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from hpo.results._forward_selection import compare, forward_selection, weighted_mean

Probabilities = NDArray[np.float32]
Flags = NDArray[np.bool_]


def models(
    count: int, rows: int = 400, seed: int = 0, noise: float = 1.2, shared: float = 0.0
) -> tuple[list[Probabilities], Flags]:
    """Models that are equally good, with errors of their own and errors that all share."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, 3)) < [0.5, 0.4, 0.3]
    signal = 2.0 * truth - 1 + shared * rng.normal(size=truth.shape)
    found = [signal + noise * rng.normal(size=truth.shape) for _ in range(count)]
    return [(1 / (1 + np.exp(-2 * x))).astype(np.float32) for x in found], truth


def micro(p: Probabilities, truth: Flags) -> float:
    return 100 * float(f1_score(truth, p > 0.5, average="micro"))


def select(candidates: list[Probabilities], truth: Flags, **limits: float) -> tuple[float, ...]:
    options = {"members": 4, "size_limit": 1e9} | limits
    return forward_selection(
        candidates, truth, "micro_f1", sizes=[1.0] * len(candidates), **options
    )


@pytest.mark.parametrize("seed", range(4))
def test_each_step_adds_the_model_that_makes_the_mean_best(seed: int) -> None:
    candidates, truth = models(4, seed=seed)
    chosen: list[int] = []
    path = []
    for _ in range(12):
        means = [
            np.mean([candidates[i] for i in [*chosen, new]], axis=0)
            for new in range(len(candidates))
        ]
        chosen.append(int(np.argmax([micro(mean, truth) for mean in means])))
        path.append((micro(np.mean([candidates[i] for i in chosen], axis=0), truth), len(chosen)))
    best = max(path, key=lambda item: (item[0], -item[1]))
    expected = [chosen[: best[1]].count(i) / best[1] for i in range(len(candidates))]
    weights = select(candidates, truth)
    assert weights == pytest.approx(expected)
    assert sum(weights) == pytest.approx(1)
    score = micro(weighted_mean(candidates, weights), truth)
    assert score == pytest.approx(best[0])
    assert score >= max(micro(candidate, truth) for candidate in candidates)


def test_limits_of_members_and_size() -> None:
    candidates, truth = models(6)
    for members in (2, 3):
        assert 2 <= sum(w > 0 for w in select(candidates, truth, members=members)) <= members
    sizes = [1.0, 9.0, 1.0, 1.0, 9.0, 1.0]
    for limit in (3.0, 10.0):
        weights = forward_selection(
            candidates, truth, "micro_f1", members=6, sizes=sizes, size_limit=limit
        )
        assert 0 < sum(s for s, w in zip(sizes, weights, strict=True) if w) <= limit
    # one that fits alone is the best that is left
    only = forward_selection(
        candidates, truth, "micro_f1", members=6, sizes=[9, 9, 9, 1, 9, 9], size_limit=1
    )
    assert only == (0, 0, 0, 1, 0, 0)


def test_models_with_errors_of_their_own_gain_when_averaged() -> None:
    candidates, truth = models(4)
    found = compare(candidates, truth, "micro_f1", select)
    assert found.keeps
    assert 2 < found.gain["micro_f1"].low < found.gain["micro_f1"].value


def test_the_gain_is_that_of_rows_that_chose_neither() -> None:
    """A choice that goes by the rows it is scored on looks better than it is."""
    candidates, truth = models(2, rows=200, seed=3)
    seen: list[int] = []

    def watch(half: list[Probabilities], half_truth: Flags) -> tuple[float, ...]:
        seen.append(len(half_truth))
        assert all(len(candidate) == len(half_truth) for candidate in half)
        return 0.5, 0.5

    found = compare(candidates, truth, "micro_f1", watch)
    assert seen == [100, 100]
    # by hand: the mean on all rows, and on each half the one that is better on the other
    first = np.zeros(200, bool)
    first[np.random.default_rng(0).permutation(200)[:100]] = True
    single = np.zeros_like(truth)
    for chosen in (first, ~first):
        better = max(candidates, key=lambda p: micro(p[chosen], truth[chosen]))
        single[~chosen] = better[~chosen] > 0.5
    mean = (candidates[0] + candidates[1]) / 2
    expected = micro(mean, truth) - 100 * float(f1_score(truth, single, average="micro"))
    assert found.gain["micro_f1"].value == pytest.approx(expected, abs=1e-4)


def test_models_that_are_the_same_gain_nothing() -> None:
    (candidate,), truth = models(1)
    found = compare([candidate, candidate], truth, "micro_f1", select)
    assert found.gain["micro_f1"].value == 0
    assert not found.keeps


def test_what_gains_nothing_is_seldom_kept() -> None:
    """All errors are shared but for a trifle, so that no average is better than another."""
    kept = 0
    for seed in range(40):
        candidates, truth = models(5, rows=200, seed=seed, noise=0.02, shared=1.2)
        kept += compare(candidates, truth, "micro_f1", select).keeps
    assert kept <= 4


def test_a_weight_of_nothing_takes_no_part() -> None:
    candidates, _ = models(3)
    weights = (0.0, 0.25, 0.75)
    expected = 0.25 * candidates[1] + 0.75 * candidates[2]
    np.testing.assert_allclose(weighted_mean(candidates, weights), expected, rtol=1e-6)


def test_the_halves_keep_the_rows_of_a_picture_together() -> None:
    candidates, truth = models(2, rows=90, seed=3)
    rows = np.repeat(np.arange(90), 2)
    seen: list[Flags] = []

    def watch(half: list[Probabilities], half_truth: Flags) -> tuple[float, ...]:
        seen.append(half_truth)
        return 0.5, 0.5

    alone = compare(candidates, truth, "micro_f1", watch)
    found = compare([p[rows] for p in candidates], truth[rows], "micro_f1", watch, rows)
    assert np.array_equal(seen[2], np.repeat(seen[0], 2, axis=0))
    gains = [one.gain["micro_f1"] for one in (alone, found)]
    assert gains[1].value == pytest.approx(gains[0].value)
    assert gains[1].low == pytest.approx(gains[0].low)
