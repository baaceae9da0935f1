"""What samplers learn from trials that broke a constraint, and with two objectives."""

import dataclasses
import json
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.models import Config
from hpo.search import Space, make_strategy, param_value
from hpo.trials import Draw, OptunaStudy, Searched, open_study, redraw, sample_config
from hpo.trials._learned import as_learned_from

pytestmark = pytest.mark.slow

PARAMS: dict[str, Any] = {
    "dropout": {"low": 0.0, "high": 0.9},
    "lr": {"low": 1e-4, "high": 1e-1, "log": True},
}
#: What breaks the constraint: more than half of the space.
LIMIT = 0.4


def searched_by(sampler: dict[str, Any], against: str | None = None) -> Searched:
    search = {"kind": "optuna", "params": PARAMS, "sampler": sampler}
    space = Space.model_validate({"name": "s", "search": search, "against": against})
    strategy = make_strategy(space, ("image", "text"))
    return Searched(
        domains=strategy.domains,
        shown=lambda config: {
            name: param_value(value) for name, value in strategy.params(config).items()
        },
        to_config=strategy.draw,
        sampler=strategy.sampler,
        limits={"model_mb": LIMIT},
        against=against,
    )


def add(source: OptunaStudy, searched: Searched, config: Config, draw: Draw, **ended: Any) -> None:
    """Add a finished trial as a worker leaves it: completed, or pruned for breaking the limit."""
    excess = config.dropout - LIMIT
    params = searched.shown(config)
    objectives = [80.0 - 100 * config.lr, config.dropout][: len(source.study.directions)]
    made = {
        "state": TrialState.COMPLETE if excess <= 0 else TrialState.PRUNED,
        "values": objectives if excess <= 0 else None,
        "user_attrs": {"model_mb": config.dropout},
        **ended,
    }
    source.study.add_trial(
        create_trial(
            **made,
            params=dict(params),
            distributions=dict(searched.domains(params)),
            constraints={"model_mb": excess},
            system_attrs=dict(draw.noted),
        )
    )


def went_on(searched: Searched, trials: int) -> OptunaStudy:
    """A study of so many trials, each drawn from what was there before."""
    two = searched.against is not None
    source = open_study(InMemoryStorage(), "s", two_objectives=two)
    for position in range(trials):
        config, draw = sample_config(source, searched, position, attempt=0)
        add(source, searched, config, draw)
    return source


def broken(source: OptunaStudy, first: int) -> int:
    states = [trial.state for trial in source.study.get_trials()[first:]]
    return states.count(TrialState.PRUNED)


SAMPLERS: list[dict[str, Any]] = [
    {"name": "TPESampler", "n_startup_trials": 10},
    {"name": "GPSampler", "n_startup_trials": 10},
    {"name": "NSGAIISampler", "population_size": 8, "mutation_prob": 0.1},
]


@pytest.mark.parametrize("against", [None, "model_mb"])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: str(sampler["name"]))
def test_samplers_leave_out_what_breaks_a_constraint(
    sampler: dict[str, Any], against: str | None
) -> None:
    """At random 56% of the trials would; none of them was trained, so that none has a value."""
    # a Gaussian process with two objectives takes a second for a suggestion
    trials = 26 if sampler["name"] == "GPSampler" else 36
    source = went_on(searched_by(sampler, against), trials)
    assert broken(source, first=0) - broken(source, first=10) >= 2
    assert broken(source, first=16) <= 0.35 * (trials - 16)  # at random it would be 0.56


@pytest.mark.parametrize("against", [None, "model_mb"])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: str(sampler["name"]))
def test_a_suggestion_is_drawn_again_after_the_history_went_on(
    sampler: dict[str, Any], against: str | None
) -> None:
    searched = searched_by(sampler, against)
    source = went_on(searched, 13)
    config, draw = sample_config(source, searched, 50, attempt=0)
    assert Draw.from_json(json.loads(json.dumps(dataclasses.asdict(draw)))) == draw
    for position in range(13, 16):
        add(source, searched, *sample_config(source, searched, position, attempt=0))
    assert redraw(source, searched, draw) == config
    assert not any("NSGAII" in key for key in source.storage.get_study_system_attrs(source.id))


def test_generations_of_a_genetic_sampler_follow_each_other() -> None:
    source = went_on(searched_by(SAMPLERS[2], "model_mb"), 40)
    generations = [
        value
        for trial in source.study.get_trials()
        for key, value in trial.system_attrs.items()
        if key == "NSGAIISampler:generation"
    ]
    assert len(generations) == 40
    assert generations == sorted(generations)
    assert max(generations) >= 2


def study_of(*trials: FrozenTrial) -> list[FrozenTrial]:
    study = optuna.create_study(storage=InMemoryStorage(), directions=["maximize", "minimize"])
    for trial in trials:
        study.add_trial(trial)
    return study.get_trials()


def test_what_isn_t_known_of_a_broken_one_is_the_median() -> None:
    read = study_of(
        create_trial(values=[80.0, 1.0]),
        create_trial(values=[60.0, 3.0], constraints={"model_mb": -1.0}),
        create_trial(values=[70.0, 5.0], constraints={"model_mb": 0.0, "latency_ms": -2.0}),
        create_trial(
            state=TrialState.PRUNED, user_attrs={"model_mb": 9.0}, constraints={"model_mb": 4.0}
        ),
        create_trial(state=TrialState.PRUNED, values=[0.0, 1.0], intermediate_values={1: 0.0}),
        create_trial(state=TrialState.RUNNING, constraints={"model_mb": 4.0}),
    )
    before = [str(trial) for trial in read]
    seen = as_learned_from(read, limited=True, against="model_mb")
    assert [str(trial) for trial in read] == before
    assert [(trial.state, trial.values) for trial in seen] == [
        (TrialState.COMPLETE, [80.0, 1.0]),
        (TrialState.COMPLETE, [60.0, 3.0]),
        (TrialState.COMPLETE, [70.0, 5.0]),
        (TrialState.COMPLETE, [70.0, 9.0]),
        (TrialState.PRUNED, [0.0, 1.0]),
        (TrialState.RUNNING, None),
    ]
    assert seen[4].intermediate_values == {}
    assert [trial.constraints for trial in seen[:4]] == [
        {"model_mb": 0.0, "latency_ms": 0.0},
        {"model_mb": -1.0, "latency_ms": 0.0},
        {"model_mb": 0.0, "latency_ms": -2.0},
        {"model_mb": 4.0, "latency_ms": 0.0},
    ]
    # nothing is known of what nobody has
    (alone,) = as_learned_from(read[3:4], limited=True, against="model_mb")
    assert (alone.state, alone.values) == (TrialState.PRUNED, None)


def test_a_history_without_constraints_is_seen_as_it_is() -> None:
    read = [
        create_trial(value=1.0),
        create_trial(state=TrialState.PRUNED, value=2.0, intermediate_values={1: 2.0}),
    ]
    for limited in (False, True):
        seen = as_learned_from(read, limited=limited, against=None)
        assert all(mine is trial for mine, trial in zip(seen, read, strict=True))


def test_a_study_without_limits_doesn_t_look_at_its_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def looked_at(_: FrozenTrial) -> Any:
        raise AssertionError("thousands of trials are looked at for each suggestion")

    monkeypatch.setattr(FrozenTrial, "constraints", property(looked_at))
    read = [create_trial(value=1.0)]
    assert as_learned_from(read, limited=False, against=None) == read


def test_pruned_trials_of_two_objectives_are_learned_from() -> None:
    """Optuna's TPE itself raises where such a trial has a curve."""
    searched = searched_by({"name": "TPESampler", "n_startup_trials": 2}, "model_mb")
    source = went_on(searched, 6)
    config, draw = sample_config(source, searched, 6, attempt=0)
    add(
        *(source, searched, config, draw),
        state=TrialState.PRUNED,
        values=[0.0, 0.1],
        intermediate_values={1: 0.0},
    )
    assert sample_config(source, searched, 7, attempt=0)[0] != config
