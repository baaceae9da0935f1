"""Parameters that are drawn under a condition only, and have their fixed value otherwise."""

from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial
from search_samples import BOTH, sampled_space

from hpo.errors import InputError
from hpo.models import Config
from hpo.search import Choices, SampledStrategy, make_strategy, param_value
from hpo.trials import Searched, open_study, sample_config

PARAMS: dict[str, Any] = {
    "ema_decay": {"low": 0.9, "high": 0.99, "when": {"loss": ["focal", "asl"]}},
    "loss": {"choices": ["bce", "focal", "asl"]},
    "focal.gamma": {"low": 1.0, "high": 4.0},
    "dropout": {"choices": [0.1, 0.3], "when": {"loss": "bce", "hidden": [[64]]}},
    "hidden": {"choices": [[64], [64, 32]]},
}


def strategy_of(params: dict[str, Any] = PARAMS, fixed: Any = None, **search: Any) -> Any:
    strategy = make_strategy(sampled_space(params, fixed, **search), BOTH)
    assert isinstance(strategy, SampledStrategy)
    return strategy


def test_a_parameter_exists_once_its_condition_is_known_to_hold() -> None:
    strategy = strategy_of()
    assert [*strategy.domains({})] == ["loss", "hidden"]
    assert [*strategy.domains({"loss": "bce"})] == ["loss", "hidden"]
    assert [*strategy.domains({"loss": "bce", "hidden": "64"})] == ["loss", "dropout", "hidden"]
    assert [*strategy.domains({"loss": "bce", "hidden": "64-32"})] == ["loss", "hidden"]
    both = strategy.domains({"loss": "focal", "hidden": "64"})
    assert [*both] == ["ema_decay", "loss", "focal.gamma", "hidden"]


@pytest.mark.parametrize(
    "sampler",
    [
        {"name": "RandomSampler"},
        {"name": "TPESampler", "n_startup_trials": 3},
        {"name": "TPESampler", "multivariate": True, "group": True, "n_startup_trials": 3},
        {"name": "GPSampler", "n_startup_trials": 3},
    ],
    ids=str,
)
def test_what_is_drawn_is_what_trials_show(
    sampler: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    strategy = strategy_of(fixed={"dropout": 0.5}, sampler=sampler)
    searched = Searched(
        domains=strategy.domains,
        shown=lambda c: {n: param_value(v) for n, v in strategy.params(c).items()},
        to_config=strategy.draw,
        sampler=strategy.sampler,
    )
    source = open_study(InMemoryStorage(), "s")
    configs = []
    for position in range(14):
        config, _ = sample_config(source, searched, position, 0)
        params = searched.shown(config)
        trial = create_trial(
            state=TrialState.COMPLETE,
            value=float(position % 5),
            params=dict(params),
            distributions={name: strategy.domains(params)[name] for name in params},
        )
        source.study.add_trial(trial)
        configs.append(config)
    for config in configs:
        bce = config.loss == "bce"
        assert (config.ema_decay is None) == bce
        assert config.dropout in ((0.1, 0.3) if bce and config.hidden == (64,) else (0.5,))
        shown = {"loss", "hidden"} | ({"ema_decay"} if not bce else set())
        shown |= {"focal.gamma"} if config.loss == "focal" else set()
        shown |= {"dropout"} if bce and config.hidden == (64,) else set()
        assert strategy.params(config).keys() == shown
        assert strategy.has_values(config)
        assert strategy.point(strategy.params(config)) == config
    assert len({config.loss for config in configs}) > 1
    assert caplog.text == ""  # drawn apart from the others is as it should be


def test_conditions_are_scaled_with_what_they_name() -> None:
    space = sampled_space(PARAMS).model_copy(update={})
    scaled = space.model_copy(
        update={"scale": space.scale.model_copy(update={"width": 0.5})}
    ).scaled()
    domain = scaled.search.params["dropout"]  # type: ignore[attr-defined]
    assert domain == Choices(choices=(0.1, 0.3), when={"loss": ("bce",), "hidden": ((32,),)})


LR = {"low": 0.001, "high": 0.1}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"lr": {**LR, "when": {"loss": "focal"}}},
            "when of lr names loss, but must name another parameter that is searched: ",
        ),
        (
            {"lr": {**LR, "when": {"dropout": 0.5}}, "dropout": {"low": 0.1, "high": 0.5}},
            "when of lr names dropout, but must name one with choices, which dropout hasn't",
        ),
        (
            {"lr": {**LR, "when": {"loss": "focall"}}, "loss": {"choices": ["bce", "focal"]}},
            "loss is 'focall', but",
        ),
        (
            {"lr": {**LR, "when": {"loss": "asl"}}, "loss": {"choices": ["bce", "focal"]}},
            "when of lr has loss asl, but loss is one of bce, focal",
        ),
        (
            {
                "lr": {**LR, "when": {"dropout": 0.1}},
                "dropout": {"choices": [0.1, 0.2], "when": {"loss": "bce"}},
                "loss": {"choices": ["bce", "focal"]},
            },
            "when of lr names dropout, but must name one without a condition, which dropout has",
        ),
        (
            {
                "loss": {"choices": ["bce", "focal"], "when": {"head": "mlp"}},
                "head": {"choices": ["mlp", "gmlp"]},
                "focal.gamma": {"low": 1, "high": 3},
            },
            "loss can't have a condition, since parameters of it are searched",
        ),
    ],
)
def test_conditions_that_can_t_be_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        sampled_space(params)
    assert message in str(caught.value)


def test_a_candidate_is_checked_like_any_configuration() -> None:
    strategy = strategy_of(fixed={"hidden": [64], "dropout": 0.1})
    assert strategy.point({}) == Config(hidden=(64,), dropout=0.1)
    focal = strategy.point({"loss": "focal", "ema_decay": 0.95, "focal.gamma": 2})
    assert focal == Config(
        loss="focal", hidden=(64,), dropout=0.1, ema_decay=0.95, **{"focal.gamma": 2.0}
    )
    with pytest.raises(InputError) as caught:
        strategy.point({"lr": 0.1, "dropuot": 0.1, "loss": "hinge", "hidden": [32]})
    assert caught.value.problems == [
        "lr isn't searched; searched: ema_decay, loss, focal.gamma, dropout, hidden",
        "dropuot is unknown (did you mean 'dropout'?); searched: ema_decay, loss, focal.gamma, "
        "dropout, hidden",
        "loss is 'hinge', but must be 'bce', 'focal', 'asl', 'two_way'",
        "hidden is 32, but must be one of 64, 64-32",
    ]
    with pytest.raises(InputError, match=r"ema_decay is 0\.95, but doesn't exist together"):
        strategy.point({"ema_decay": 0.95})
    with pytest.raises(InputError, match=r"ema_decay must be given, since its fixed value None"):
        strategy.point({"loss": "asl"})


def test_a_range_with_steps_has_its_steps_only() -> None:
    params = {"dropout": {"low": 0.1, "high": 0.8, "step": 0.1}, "epochs": {"low": 5, "high": 20}}
    strategy = strategy_of(params, fixed={"epochs": 10, "dropout": 0.3})
    assert strategy.point({"dropout": 0.7}).dropout == 0.7
    with pytest.raises(InputError, match=r"dropout is 0\.75, but must be 0\.1 to 0\.8 in steps of"):
        strategy.point({"dropout": 0.75})
    with pytest.raises(InputError, match="epochs is 40, but must be 5 to 20"):
        strategy.point({"epochs": 40})


def test_what_fits_of_another_study_s_configuration() -> None:
    strategy = strategy_of(fixed={"hidden": [64], "dropout": 0.1, "epochs": 20})
    other = Config(loss="focal", hidden=(512,), lr=0.01, dropout=0.3, epochs=20, ema_decay=0.95)
    fit, left = strategy.fitting(other)
    assert fit == {"loss": "focal", "focal.gamma": 3.0, "ema_decay": 0.95}
    assert left == {"hidden": (512,), "lr": 0.01, "dropout": 0.3}
    assert strategy.point(fit).loss == "focal"
