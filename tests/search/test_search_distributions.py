"""The parameters that trials show, as Optuna knows them."""

from typing import Any

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.search import Space, Strategy, make_strategy, param_value

PARAMS: dict[str, Any] = {
    "hidden": {"choices": [[64], [64, 32]]},
    "loss": {"choices": ["bce", "focal", "asl"]},
    "lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "dropout": {"low": 0.0, "high": 0.8, "step": 0.1},
    "epochs": {"low": 10, "high": 100, "step": 10},
    "ema_decay": {"choices": [None, 0.9]},
}


def strategy_of(search: dict[str, Any], **fixed: Any) -> Strategy:
    space = Space.model_validate({"name": "s", "fixed": fixed, "search": search})
    return make_strategy(space, ("image", "text"))


def test_distributions_of_a_sampled_space() -> None:
    assert strategy_of({"kind": "optuna", "params": PARAMS}).distributions == {
        "hidden": CategoricalDistribution(("64", "64-32")),
        "loss": CategoricalDistribution(("bce", "focal", "asl")),
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "dropout": FloatDistribution(0.0, 0.8, step=0.1),
        "epochs": IntDistribution(10, 100, step=10),
        "ema_decay": CategoricalDistribution((None, 0.9)),
    }


def test_distributions_of_a_greedy_space_have_every_value_of_any_stage() -> None:
    stages = [
        {"name": "a", "params": {"hidden": [[8], [8, 4]], "lr": [0.1, 0.2]}},
        {"name": "b", "fixed": {"lr": 0.3, "epochs": 7}, "params": {"lr": [0.2, 0.4]}},
    ]
    strategy = strategy_of({"kind": "greedy", "stages": stages}, hidden=[16], lr=0.1)
    assert strategy.distributions == {
        "hidden": CategoricalDistribution(("16", "8", "8-4")),
        "lr": CategoricalDistribution((0.1, 0.2, 0.4, 0.3)),
    }


@pytest.mark.parametrize(
    ("value", "stored"),
    [((2048, 512), "2048-512"), ((), ""), (None, None), (0.5, 0.5), ("bce", "bce"), (3, 3)],
)
def test_values_are_stored_as_optuna_can(value: Any, stored: Any) -> None:
    assert param_value(value) == stored
