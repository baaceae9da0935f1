"""Models that are trained at the same time."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from results_samples import greedy, study_of

from hpo.results import refit_best
from hpo.results._side_by_side import Steps, side_by_side
from hpo.training import open_device

CPU = open_device("cpu")


def test_they_are_what_they_are_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space: dict[str, Any] = {**greedy(fusion=["mixed_joint"]), "seeds": 1, "refit": {"seeds": 3}}

    def refitted(cores: int) -> dict[str, torch.Tensor]:
        monkeypatch.setattr("hpo.results._side_by_side.usable_cores", lambda: cores)
        study = study_of(tmp_path / str(cores), space)
        told: list[tuple[int, int]] = []
        model, epochs = refit_best(
            study.stored, study.best_task, "cpu", on_step=lambda *step: told.append(step)
        )
        assert told == [(step, 36) for step in range(1, 37)]
        assert epochs == 36
        return model.module.state_dict()

    alone, together = refitted(1), refitted(3)
    assert alone.keys() == together.keys()
    assert all(torch.equal(alone[name], together[name]) for name in alone)


def test_when_one_fails_the_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.results._side_by_side.usable_cores", lambda: 2)
    steps = Steps(10, lambda done, in_all: None)
    begun, ended = threading.Event(), threading.Event()

    def fails() -> None:
        begun.wait(10)
        raise RuntimeError("The refit diverged.")

    def goes_on() -> None:
        try:
            while True:
                steps.count(0, 0)
                begun.set()
        finally:
            ended.set()

    with pytest.raises(RuntimeError, match="diverged"):
        side_by_side([fails, goes_on], CPU, steps.end)
    assert ended.is_set()
