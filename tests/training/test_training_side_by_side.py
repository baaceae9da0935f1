"""What is computed at the same time."""

import threading

import numpy as np
import pytest
import torch

from hpo.models import AssembledModel, Config
from hpo.training import TrainedModel, open_device
from hpo.training._side_by_side import Steps, side_by_side

CPU = open_device("cpu")


def test_when_one_fails_the_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.training._side_by_side.usable_cores", lambda: 2)
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


def test_predictions_are_the_same_bits_on_any_number_of_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = Config(fusion="sum_joint", hidden=(16,), feature_scaling="none")
    widths = {"image": 12, "text": 8}
    module = AssembledModel(config, widths, 3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))
    model = TrainedModel(module, config, widths, ("a", "b", "c"), (0.5,) * 3, {}, {})
    rng = np.random.default_rng(0)
    inputs = {
        name: rng.normal(size=(9000, width)).astype(np.float32) for name, width in widths.items()
    }
    rows = rng.permutation(9000)[:8500]

    def answers(cores: int) -> list[np.ndarray]:
        monkeypatch.setattr("hpo.training._side_by_side.usable_cores", lambda: cores)
        none = {name: array[:0] for name, array in inputs.items()}
        return [
            model.probabilities(inputs, CPU),
            model.probabilities(inputs, CPU, rows),
            model.probabilities(none, CPU),
        ]

    alone, together = answers(1), answers(4)
    assert [values.shape for values in together] == [(9000, 3), (8500, 3), (0, 3)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert np.array_equal(together[0][rows[:10]], together[1][:10])
