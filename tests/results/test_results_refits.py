"""Refits that are trained at the same time."""

from pathlib import Path
from typing import Any

import pytest
import torch
from results_samples import greedy, study_of

from hpo.results import refit_best


def test_they_are_what_they_are_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space: dict[str, Any] = {**greedy(fusion=["mixed_joint"]), "seeds": 1, "refit": {"seeds": 3}}

    def refitted(cores: int) -> dict[str, torch.Tensor]:
        monkeypatch.setattr("hpo.training._side_by_side.usable_cores", lambda: cores)
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


def test_models_that_are_cut_short_say_so_and_are_not_taken_for_whole_ones(tmp_path: Path) -> None:
    space: dict[str, Any] = {**greedy(fusion=["mixed_joint"]), "seeds": 1, "refit": {"seeds": 2}}
    study = study_of(tmp_path, space)
    stored, best = study.stored, study.best_task
    cut, epochs = refit_best(stored, best, "cpu", enough=lambda: True)
    half = epochs // 2
    assert [member.config.epochs for member in cut.members] == [half, half]
    assert cut.origin["cut_short"] == f"{half} of 12 epochs, {half} of 12 epochs"
    cut.save(tmp_path / "model")
    whole, more = refit_best(stored, best, "cpu", kept=tmp_path / "model")
    assert "cut_short" not in whole.origin
    assert [member.config.epochs for member in whole.members] == [12, 12]
    assert more == 24 - epochs
