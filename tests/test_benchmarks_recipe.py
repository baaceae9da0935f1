"""What a benchmark trains on a real data set is scored on the rows that it says."""

import numpy as np
import pytest

from benchmarks._arena_data import SHARED
from benchmarks._recipe import opened
from hpo.results import f1_scores


@pytest.mark.skipif(not (SHARED / "datasets").is_dir(), reason="needs ../shared")
def test_a_bench_scores_untouched_rows_with_and_without_a_modality() -> None:
    with opened("movies", seeds=2, threads=1) as bench:
        assert bench.recipe.batch_size == 250  # 3,197 rows to train
        config = bench.recipe.replace(hidden=(16,))
        assert bench.modalities == ("image", "text")
        truth = bench.truth("test")
        alike = bench.probabilities(config)
        without = bench.probabilities(config, without="text")
        held, held_truth = bench.probabilities(config, "val"), bench.truth("val")
    assert len(alike) == len(without) == len(held) == 2
    assert all(p.shape == truth.shape for p in [*alike, *without])
    assert held[0].shape == held_truth.shape
    assert not np.array_equal(alike[0], alike[1])
    assert not np.array_equal(alike[0], without[0])
    assert f1_scores(alike[0] > 0.5, truth)["micro_f1"] > 20
