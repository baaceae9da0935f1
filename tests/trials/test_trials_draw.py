"""Suggestions are drawn before their trial exists, and drawn again from the same history."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial

from hpo.models import Config, FixedValues
from hpo.search import Space, make_strategy, param_value
from hpo.trials import Draw, OptunaStudy, Searched, open_study, redraw, sample_config

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


def searched_by(sampler: dict[str, Any] | None = None, seed: int = 0) -> Searched:
    search = {"kind": "optuna", "params": PARAMS, "seed": seed}
    search |= {"sampler": sampler} if sampler else {}
    space = Space.model_validate({"name": "s", "fixed": {"optimizer": "adamw"}, "search": search})
    strategy = make_strategy(space, ("image", "text"))
    return Searched(
        domains=strategy.domains,
        shown=lambda config: {
            name: param_value(value) for name, value in strategy.params(config).items()
        },
        to_config=strategy.draw,
        sampler=strategy.sampler,
    )


def study_of(searched: Searched, trials: int) -> OptunaStudy:
    """A study with a history of finished trials."""
    source = open_study(InMemoryStorage(), "s")
    for position in range(trials):
        config, _ = sample_config(source, searched, position, attempt=0)
        source.study.add_trial(trial_of(searched, config, 50.0 + 7 * position % 11))
    return source


def trial_of(searched: Searched, config: Config, value: float | None) -> optuna.trial.FrozenTrial:
    """A trial that is finished, or is running if it has no value."""
    params = searched.shown(config)
    return create_trial(
        state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
        value=value,
        params=dict(params),
        distributions=dict(searched.domains(params)),
    )


@pytest.mark.parametrize("sampler", SAMPLERS[:-1], ids=str)
@pytest.mark.parametrize("trials", [0, 6])
def test_a_suggestion_lies_in_the_space_and_is_repeatable(
    sampler: dict[str, Any], trials: int
) -> None:
    searched = searched_by(sampler)
    source = study_of(searched, trials)
    config, draw = sample_config(source, searched, 9, attempt=0)
    assert config.optimizer == "adamw"
    assert config.hidden in ((64,), (64, 32))
    assert 1e-4 <= config.lr <= 1e-1
    assert config.epochs % 10 == 0
    assert config.ema_decay in (None, 0.9)
    assert sample_config(source, searched, 9, attempt=0) == (config, draw)
    assert sample_config(source, searched, 10, attempt=0)[0] != config
    assert sample_config(source, searched, 9, attempt=1)[0] != config
    assert sample_config(source, searched_by(sampler, seed=1), 9, attempt=0)[0] != config
    assert len(source.study.trials) == trials  # nothing was created


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_a_suggestion_is_drawn_again_after_the_history_went_on(sampler: dict[str, Any]) -> None:
    searched = searched_by(sampler)
    source = study_of(searched, 6)
    running, _ = sample_config(source, searched, 6, attempt=0)
    trial_id = source.storage.create_new_trial(source.id, trial_of(searched, running, None))
    config, draw = sample_config(source, searched, 7, attempt=2)
    assert (draw.position, draw.attempt, draw.trials, draw.unfinished) == (7, 2, 7, (6,))
    source.storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [99.0])
    source.study.add_trial(trial_of(searched, config, 98.0))
    assert redraw(source, searched, draw) == config


def test_what_was_learned_changes_the_suggestion() -> None:
    searched = searched_by({"name": "TPESampler", "n_startup_trials": 3})
    first = sample_config(study_of(searched, 2), searched, 9, attempt=0)[0]
    assert (
        first == sample_config(study_of(searched, 0), searched, 9, attempt=0)[0]
    )  # still at random
    assert first != sample_config(study_of(searched, 8), searched, 9, attempt=0)[0]


def test_a_parameter_with_a_condition_is_drawn_when_the_condition_is_known() -> None:
    loss = CategoricalDistribution(["bce", "focal"])
    gamma = FloatDistribution(0.0, 5.0)

    def domains(values: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        return {"loss": loss, **({"focal.gamma": gamma} if values.get("loss") == "focal" else {})}

    searched = Searched(
        domains=domains,
        shown=lambda config: {"loss": config.loss, **dict(config.options)},
        to_config=FixedValues().taken,
        sampler=lambda position, attempt: RandomSampler(seed=position),
    )
    source = open_study(InMemoryStorage(), "s")
    drawn = [sample_config(source, searched, position, 0)[0] for position in range(12)]
    assert {config.loss for config in drawn} == {"bce", "focal"}
    assert all(bool(config.options) == (config.loss == "focal") for config in drawn)
    assert len({config.options for config in drawn}) > 3


class Witness(RandomSampler):
    """Notes the trials that it is given."""

    def __init__(self, seen: list[optuna.trial.FrozenTrial]) -> None:
        super().__init__(seed=0)
        self._seen = seen

    def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> dict[str, Any]:
        self._seen += study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
        return {}


def waiting(source: OptunaStudy, searched: Searched, *values: float) -> int:
    """Create a trial that waits after so many steps; return its id."""
    config, _ = sample_config(source, searched, 50 + len(source.study.trials), attempt=0)
    trial_id = source.storage.create_new_trial(source.id, trial_of(searched, config, None))
    for step, value in enumerate(values, start=1):
        source.storage.set_trial_intermediate_value(trial_id, step, value)
    source.storage.set_trial_state_values(trial_id, TrialState.WAITING)
    return trial_id


def test_samplers_see_a_trial_that_waits_as_one_that_was_pruned_where_it_has_a_score() -> None:
    searched = searched_by()
    source = study_of(searched, 1)
    waiting(source, searched, math.nan, 61.0, math.nan)
    waiting(source, searched, math.nan)  # handed back before its first score
    waiting(source, searched)
    seen: list[optuna.trial.FrozenTrial] = []
    witness = dataclasses.replace(searched, sampler=lambda position, attempt: Witness(seen))
    _, draw = sample_config(source, witness, 9, attempt=0)
    assert [(t.number, t.state, t.value) for t in seen] == [
        (0, TrialState.COMPLETE, 50.0),
        (1, TrialState.PRUNED, 61.0),
    ]
    assert seen[1].params == source.study.trials[1].params
    assert max(seen[1].intermediate_values) == 2
    assert (draw.unfinished, draw.paused) == ((1, 2, 3), ((1, 2),))
    assert source.study.trials[1].state is TrialState.WAITING  # nothing was changed
    raw = json.loads(json.dumps(dataclasses.asdict(draw)))
    assert Draw.from_json(raw) == draw
    assert Draw.from_json({k: v for k, v in raw.items() if k != "paused"}).paused == ()


@pytest.mark.parametrize("sampler", SAMPLERS[:3], ids=str)
def test_what_waits_is_learned_from_and_the_suggestion_is_drawn_again(
    sampler: dict[str, Any],
) -> None:
    searched = searched_by(sampler)
    source = study_of(searched, 6)
    before, _ = sample_config(source, searched, 9, attempt=0)
    ids = [waiting(source, searched, 99.0, 98.0) for _ in range(6)]
    config, draw = sample_config(source, searched, 9, attempt=0)
    assert config != before
    storage = source.storage
    for trial_id, state in zip(
        ids, 2 * (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL), strict=True
    ):
        storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        storage.set_trial_intermediate_value(trial_id, 3, 1.0)
        storage.set_trial_state_values(trial_id, state, None if state is TrialState.FAIL else [1.0])
    assert redraw(source, searched, draw) == config


def test_a_draw_writes_nothing() -> None:
    searched = searched_by({"name": "TPESampler", "multivariate": True, "n_startup_trials": 1})
    source = study_of(searched, 4)
    before = source.study.get_trials()
    sample_config(source, searched, 9, attempt=0)
    assert source.study.get_trials() == before
    assert source.storage.get_study_system_attrs(source.id) == {}
