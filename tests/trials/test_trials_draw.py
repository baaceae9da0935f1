"""Suggestions are drawn before their trial exists, and drawn again from the same history."""

from typing import Any

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from hpo.models import Config
from hpo.search import Space, distributions_of, param_value, redraw, sample_config

PARAMS: dict[str, Any] = {
    "hidden": {"choices": [[64], [64, 32]]},
    "loss": {"choices": ["bce", "focal", "asl"]},
    "lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "dropout": {"low": 0.0, "high": 0.8, "step": 0.1},
    "epochs": {"low": 10, "high": 100, "step": 10},
    "ema_decay": {"choices": [None, 0.9]},
}
SAMPLERS: list[dict[str, Any]] = [
    {"name": "TPESampler", "n_startup_trials": 3},
    {"name": "TPESampler", "multivariate": True, "n_startup_trials": 3},
    {"name": "TPESampler", "multivariate": True, "constant_liar": True, "n_startup_trials": 3},
    {"name": "RandomSampler"},
    {"name": "GPSampler", "n_startup_trials": 3},
]


def space_of(sampler: dict[str, Any] | None = None, seed: int = 0) -> Space:
    search = {"kind": "optuna", "params": PARAMS, "seed": seed}
    search |= {"sampler": sampler} if sampler else {}
    return Space.from_json({"name": "s", "fixed": {"optimizer": "adamw"}, "search": search})


def study_of(space: Space, trials: int) -> optuna.Study:
    """A study with a history: finished trials, and a running one."""
    study = optuna.create_study(direction="maximize")
    for position in range(trials):
        config, _ = sample_config(study, space, position, attempt=0)
        study.add_trial(finished(space, config, 50.0 + 7 * position % 11))
    return study


def finished(space: Space, config: Config, value: float | None) -> optuna.trial.FrozenTrial:
    distributions = distributions_of(space)
    return create_trial(
        state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
        value=value,
        params={name: param_value(getattr(config, name)) for name in distributions},
        distributions=distributions,
    )


def test_distributions_of_a_sampled_space() -> None:
    assert distributions_of(space_of()) == {
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
    search = {"kind": "greedy", "stages": stages}
    fixed = {"hidden": [16], "lr": 0.1}
    space = Space.from_json({"name": "s", "fixed": fixed, "search": search})
    assert distributions_of(space) == {
        "hidden": CategoricalDistribution(("16", "8", "8-4")),
        "lr": CategoricalDistribution((0.1, 0.2, 0.4, 0.3)),
    }


@pytest.mark.parametrize(
    ("value", "stored"),
    [((2048, 512), "2048-512"), ((), ""), (None, None), (0.5, 0.5), ("bce", "bce"), (3, 3)],
)
def test_values_are_stored_as_optuna_can(value: Any, stored: Any) -> None:
    assert param_value(value) == stored


@pytest.mark.parametrize("sampler", SAMPLERS[:-1], ids=str)
@pytest.mark.parametrize("trials", [0, 6])
def test_a_suggestion_lies_in_the_space_and_is_repeatable(
    sampler: dict[str, Any], trials: int
) -> None:
    space = space_of(sampler)
    study = study_of(space, trials)
    config, draw = sample_config(study, space, 9, attempt=0)
    assert config.optimizer == "adamw"
    assert config.hidden in ((64,), (64, 32))
    assert 1e-4 <= config.lr <= 1e-1
    assert config.epochs % 10 == 0
    assert config.ema_decay in (None, 0.9)
    assert sample_config(study, space, 9, attempt=0) == (config, draw)
    assert sample_config(study, space, 10, attempt=0)[0] != config
    assert sample_config(study, space, 9, attempt=1)[0] != config
    assert sample_config(study, space_of(sampler, seed=1), 9, attempt=0)[0] != config
    assert len(study.trials) == trials  # nothing was created


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_a_suggestion_is_drawn_again_after_the_history_went_on(sampler: dict[str, Any]) -> None:
    space = space_of(sampler)
    study = study_of(space, 6)
    running, _ = sample_config(study, space, 6, attempt=0)
    storage, study_id = study._storage, study._study_id
    trial_id = storage.create_new_trial(study_id, finished(space, running, None))
    config, draw = sample_config(study, space, 7, attempt=2)
    assert (draw.position, draw.attempt, draw.trials, draw.unfinished) == (7, 2, 7, (6,))
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [99.0])
    study.add_trial(finished(space, config, 98.0))
    assert redraw(study, space, draw) == config


def test_what_was_learned_changes_the_suggestion() -> None:
    space = space_of({"name": "TPESampler", "n_startup_trials": 3})
    first = sample_config(study_of(space, 2), space, 9, attempt=0)[0]
    assert first == sample_config(study_of(space, 0), space, 9, attempt=0)[0]  # still at random
    assert first != sample_config(study_of(space, 8), space, 9, attempt=0)[0]
