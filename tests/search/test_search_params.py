"""Values in a space: typed where they stand, and parameters of one choice only with that choice."""

from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from search_samples import BOTH, GREEDY, SAMPLED, greedy_space, sampled_space, task_of, write

from hpo.errors import InputError
from hpo.models import HEADS, LOSSES, Config
from hpo.search import (
    GreedySearch,
    GreedyStrategy,
    NewTask,
    OptunaSearch,
    SampledStrategy,
    load_space,
    make_strategy,
    parse_setting,
)

FOCAL = {"name": "loss", "params": {"loss": ["bce", "focal"], "focal.gamma": [1.0, 3.0]}}


def of(**values: Any) -> Config:
    return Config.model_validate({key.replace("__", "."): v for key, v in values.items()})


def greedy(*stages: dict[str, Any], **fixed: Any) -> GreedyStrategy:
    fixed = {key.replace("__", "."): value for key, value in fixed.items()}
    strategy = make_strategy(greedy_space(*stages, fixed=fixed), BOTH)
    assert isinstance(strategy, GreedyStrategy)
    return strategy


def sampled(params: dict[str, Any], **fixed: Any) -> SampledStrategy:
    fixed = {key.replace("__", "."): value for key, value in fixed.items()}
    strategy = make_strategy(sampled_space(params, fixed), BOTH)
    assert isinstance(strategy, SampledStrategy)
    return strategy


def test_a_grid_has_a_choice_without_the_parameter_once() -> None:
    (stage,) = greedy(FOCAL).stages(lambda candidate: None)
    configs = [candidate.config for candidate in stage.candidates]
    assert configs == [
        of(loss="bce"),
        of(loss="focal", focal__gamma=1.0),
        of(loss="focal", focal__gamma=3.0),
    ]
    assert len({candidate.key for candidate in stage.candidates}) == 3
    assert [candidate.params for candidate in stage.candidates] == [
        {"loss": "bce"},
        {"loss": "focal", "focal.gamma": 1.0},
        {"loss": "focal", "focal.gamma": 3.0},
    ]


def test_a_winner_without_the_parameter_leaves_it_as_it_was() -> None:
    again = {"name": "again", "params": {"loss": ["bce", "focal"]}}
    stages = greedy(FOCAL, again, focal__gamma=2.0).stages(lambda c: float(c.config == of()))
    assert stages[1].candidates[1].config == of(loss="focal", focal__gamma=2.0)


def test_a_winner_s_parameters_go_on_with_it() -> None:
    dropouts = {"name": "dropout", "params": {"dropout": [0.2, 0.4]}}
    again = {"name": "again", "params": {"loss": ["bce", "focal"]}}
    strategy = greedy(FOCAL, dropouts, again)
    stages = strategy.stages(lambda c: float(c.config == of(loss="focal", focal__gamma=1.0)))
    assert [c.config for c in stages[1].candidates] == [
        of(loss="focal", focal__gamma=1.0, dropout=0.2),
        of(loss="focal", focal__gamma=1.0, dropout=0.4),
    ]
    assert stages[2].candidates[1].config == of(loss="focal", focal__gamma=1.0, dropout=0.2)


def test_a_fixed_parameter_holds_as_soon_as_its_choice_is_taken() -> None:
    losses = {"name": "loss", "params": {"loss": ["bce", "focal", "asl"]}}
    (stage,) = greedy(losses, focal__gamma=2).stages(lambda candidate: None)
    assert [candidate.config for candidate in stage.candidates] == [
        of(),
        of(loss="focal", focal__gamma=2),
        of(loss="asl"),
    ]
    (stage,) = greedy({**losses, "fixed": {"asl.clip": "1e-1"}}).stages(lambda candidate: None)
    assert stage.candidates[2].config == of(loss="asl", asl__clip=0.1)


def test_trials_of_a_greedy_study_show_what_their_configuration_has() -> None:
    gamma = {"name": "gamma", "params": {"focal.gamma": [1.0, 2.0]}}
    strategy = greedy({"name": "loss", "params": {"loss": ["bce", "focal"]}}, gamma)
    # The first stage's focal loss has the default, which a trial shows as well.
    assert strategy.distributions == {
        "loss": CategoricalDistribution(("bce", "focal")),
        "focal.gamma": CategoricalDistribution((3.0, 1.0, 2.0)),
    }
    for config in (of(), of(loss="focal"), of(loss="focal", focal__gamma=2.0)):
        shown = strategy.params(config)
        assert ("focal.gamma" in shown) == (config.loss == "focal")
        domains = strategy.domains(shown)
        assert domains.keys() == shown.keys()
        for name, value in shown.items():
            assert domains[name].to_external_repr(domains[name].to_internal_repr(value)) == value


def test_domains_of_what_a_choice_has() -> None:
    params = {"focal.gamma": {"low": 0, "high": "5"}, "asl.clip": {"choices": ["1e-1", 0]}}
    assert sampled(params).distributions == {
        "focal.gamma": FloatDistribution(0.0, 5.0),
        "asl.clip": CategoricalDistribution((0.1, 0.0)),
    }


CONDITIONAL = {
    "focal.gamma": {"low": 1.0, "high": 4.0},
    "loss": {"choices": ["bce", "focal", "asl"]},
    "asl.clip": {"choices": [0.0, 0.1]},
    "lr": {"low": 0.001, "high": 0.1, "log": True},
}


def test_a_drawn_parameter_is_only_in_trials_that_take_its_choice() -> None:
    strategy = sampled(CONDITIONAL)
    assert [*strategy.domains({})] == ["loss", "lr"]  # bce is fixed, until another one is drawn
    assert [*strategy.domains({"loss": "bce", "lr": 0.01})] == ["loss", "lr"]
    assert [*strategy.domains({"loss": "focal"})] == ["focal.gamma", "loss", "lr"]
    assert [*strategy.domains({"loss": "asl"})] == ["loss", "asl.clip", "lr"]
    for values in (
        {"loss": "bce", "lr": 0.01},
        {"loss": "focal", "lr": 0.01, "focal.gamma": 1.5},
        {"loss": "asl", "lr": 0.01, "asl.clip": 0.1},
        {"loss": "asl", "lr": 0.01, "asl.clip": 0.0},
    ):
        config = strategy.draw(values)
        assert config == Config.model_validate(values)
        assert strategy.params(config) == values
        (table,) = strategy.tables([task_of(NewTask(0, 0, config), 50.0)], cited=False)
        assert table.rows[0].params == values


def test_a_parameter_whose_choice_is_fixed_is_in_every_trial() -> None:
    params = {"focal.gamma": {"low": 1.0, "high": 4.0}}
    assert [*sampled(params, loss="focal").domains({})] == ["focal.gamma"]
    assert [*sampled(params).domains({})] == []


def near(width: int, hidden: Any, classes: int, *, neighbours: int = 5, **_: Any) -> Any:
    raise NotImplementedError


def test_a_user_s_own_parameter_is_searched_like_any_other() -> None:
    HEADS.register("near", near)
    stage = {"name": "head", "params": {"head": ["mlp", "near"], "near.neighbours": [1, 5]}}
    (found,) = greedy(stage).stages(lambda candidate: None)
    assert [candidate.config.own("head") for candidate in found.candidates] == [
        {},
        {"neighbours": 1},
        {"neighbours": 5},
    ]
    strategy = sampled({"head": {"choices": ["mlp", "near"]}, "near.neighbours": WHOLE})
    assert strategy.distributions["near.neighbours"] == IntDistribution(1, 9)
    drawn = strategy.draw({"head": "near", "near.neighbours": 7})
    assert drawn.own("head") == {"neighbours": 7}


WHOLE = {"low": 1, "high": 9}


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "message"),
    [
        (
            GREEDY,
            "loss: [bce, asl]",
            "loss: [bce, asl], asl.clip: [0.1, 1.5]",
            11,
            "asl.clip is 1.5, but must be less than 1",
        ),
        (
            GREEDY,
            "loss: [bce, asl]",
            "loss: [bce, asl], asl.gama_pos: [1]",
            11,
            "unknown parameter 'asl.gama_pos' (did you mean 'asl.gamma_pos'?); allowed: fusion, "
            "head, hidden, activation, dropout, feature_scaling, loss, optimizer, lr, "
            "weight_decay, batch_size, epochs, ema_decay, input_dropout, modality_dropout, "
            "encoder, class_weight, oversample, knn.k, focal.gamma, asl.gamma_neg, "
            "asl.gamma_pos, asl.clip, two_way.temp_pos, two_way.temp_neg",
        ),
        (
            GREEDY,
            "lr: 0.01",
            "focal.gamma: -2",
            3,
            "focal.gamma is -2, but must be greater than or equal to 0",
        ),
        (
            SAMPLED,
            "loss: {choices: [bce, focal]}",
            "focal.gamma: {low: -1, high: 2}",
            9,
            "focal.gamma is -1, but must be greater than or equal to 0",
        ),
    ],
)
def test_what_is_wrong_with_them_is_named_where_it_stands(
    text: str, old: str, new: str, line: int, message: str, tmp_path: Path
) -> None:
    assert old in text
    path = write(tmp_path, text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_space(path)
    assert caught.value.problems == [f"{path}:{line}: {message}"]


def test_a_setting_can_fix_them(tmp_path: Path) -> None:
    path = write(tmp_path, GREEDY)
    key, value = parse_setting("focal.gamma=2")
    space = load_space(path, [(key, value, "--set")])
    assert space.fixed.value_of("focal.gamma") == 2.0
    for setting, message in (
        ("focal.gamma=-2", "focal.gamma is -2, but must be greater than or equal to 0"),
        ("focal.gama=2", "unknown parameter 'focal.gama' (did you mean 'focal.gamma'?); "),
    ):
        with pytest.raises(InputError) as caught:
            load_space(path, [(*parse_setting(setting), "--set")])
        (problem,) = caught.value.problems
        assert problem.startswith(f"--set {setting}: {message}")


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path: Path) -> None:
    """YAML 1.1 wants a point in 1.0e-3; nobody else does."""
    text = GREEDY.replace("lr: 0.01", "lr: 1e-3").replace("{epochs: 20}", "{epochs: 20, lr: 1e-2}")
    text = text.replace("loss: [bce, asl]", "lr: [1e-4, 2e-4], asl.clip: [1e-1]")
    greedy = load_space(write(tmp_path, text))
    assert isinstance(greedy.search, GreedySearch)
    assert greedy.fixed.lr == 0.001
    stage = greedy.model_dump(mode="json")["search"]["stages"][1]
    assert stage["params"] == {"lr": [0.0001, 0.0002], "asl.clip": [0.1]}
    assert stage["fixed"] == {"epochs": 20, "lr": 0.01}
    text = SAMPLED.replace("1.0e-4", "1e-4").replace("loss: {choices: [bce, focal]}", CHOICES)
    sampled = load_space(write(tmp_path, text))
    assert isinstance(sampled.search, OptunaSearch)
    params = sampled.model_dump(mode="json")["search"]["params"]
    assert params["lr"]["low"] == 0.0001
    assert params["weight_decay"]["choices"] == [0.0, 0.001]
    assert load_space(write(tmp_path, GREEDY), [("lr", "1e-3", "--set")]).fixed.lr == 0.001


CHOICES = "weight_decay: {choices: [0, 1e-3]}"


def own_loss(logits: Any, targets: Any) -> Any:
    raise NotImplementedError


def test_class_weights_need_a_loss_that_takes_them(tmp_path: Path) -> None:
    LOSSES.register("own_loss", own_loss)
    text = GREEDY.replace("loss: [bce, asl]", "loss: [bce, own_loss]")
    load_space(write(tmp_path, text))
    path = write(tmp_path, text.replace("lr: 0.01", "class_weight: sqrt"))
    with pytest.raises(InputError) as caught:
        load_space(path)
    assert caught.value.problems == [
        f"{path}:1: class_weight is 'sqrt', but the loss 'own_loss' takes no weights; give it a "
        "keyword argument positive_weights, or leave class_weight at 'none'"
    ]
