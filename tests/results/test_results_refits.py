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
