"""The benchmarks measure what they say they measure."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import arena, store
from benchmarks._contestants import Outcome
from benchmarks._filled import fill
from hpo.queue import open_storage
from hpo.search import TaskState
from hpo.trials import open_study


def test_the_store_s_cost_is_that_of_trials_that_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_EPOCHS", 40)
    study = store._study(f"sqlite:///{tmp_path / 's.db'}", tmp_path)
    fill(open_study(open_storage(study.url), study.name), 3, 40)
    before = study.counts()[TaskState.DONE]
    cost, waited = store._cost(study, 1)
    assert 0 < waited <= cost
    assert study.counts()[TaskState.DONE] == before + 2 * store._BLOCK
    assert study.counts()[TaskState.FAILED] == 0


def outcome(micro: float, predicted: list[list[int]], truth: list[list[int]]) -> Outcome:
    arrays = (np.array(predicted, dtype=bool), np.array(truth, dtype=bool))
    return Outcome(micro, micro / 2, 100, 10 * micro, *arrays)


def test_the_arena_compares_with_greedy_and_with_the_script() -> None:
    right = [[1, 0], [0, 1], [1, 1]]
    greedy = outcome(50.0, [[1, 0], [1, 0], [0, 1]], right)
    best = {0: outcome(80.0, right, right), 1: outcome(90.0, right, right)}
    script = Outcome(40.0, 20.0, 1700, 4000.0)
    results = {"greedy": {0: greedy}, "best": best, "tutorial": {0: script}}
    rows = {line.split(" | ")[0].strip("| "): line for line in arena.table(results, same_rows=True)}
    assert "| 85.00 ± 7.07 | 42.50 ± 3.54 |" in rows["best"]
    assert "| +30.00/+15.00, +40.00/+20.00 |" in rows["best"]
    assert rows["best"].endswith("| 100 ± 0 | 850 ± 71 | 0.21 |")
    assert "| -10.00 | -5.00 | -10.00/-5.00 |" in rows["tutorial"]
    assert rows["greedy"].endswith("| 50.00 | 25.00 |  |  |  | 100 | 500 | 0.12 |")
    apart = arena.table(results, same_rows=False)
    assert "| +30.00/+15.00 |" in next(line for line in apart if line.startswith("| best"))


def test_an_outcome_that_is_kept_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = arena.Round("movies", tmp_path, tmp_path, 0, 1)
    runs = iter([outcome(50.0, [[1, 0]], [[1, 1]])])
    monkeypatch.setitem(arena.CONTESTANTS, "best", lambda _: next(runs))
    first = arena._outcome("best", this, tmp_path / "kept" / "best-0")
    again = arena._outcome("best", this, tmp_path / "kept" / "best-0")
    assert (again.micro, again.epochs, again.seconds) == (first.micro, 100, 500.0)
    assert again.predicted is not None and first.predicted is not None
    np.testing.assert_array_equal(again.predicted, first.predicted)
