"""Numbers as people write them, wherever a value can stand: one number comes of all of them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import InputError
from hpo.search import Space, load_space, parse_candidate, parse_setting
from hpo.study import Definition
from hpo.yaml_files import parse_yaml

HEAD = "name: s\n"


def greedy(params: str, fixed: str = "", head: str = "") -> str:
    stage = f"{{name: a, fixed: {{{fixed}}}, params: {{{params}}}}}"
    return f"{HEAD}{head}\nsearch: {{kind: greedy, stages: [{stage}]}}\n"


def optuna(params: str = "lr: {choices: [1]}", head: str = "", more: str = "") -> str:
    return f"{HEAD}{head}\nsearch: {{kind: optuna, trials: 2, params: {{{params}}}{more}}}\n"


PRUNER = ", pruner: {name: ThresholdPruner, lower: NUMBER}"
SAMPLER = ", sampler: {name: TPESampler, prior_weight: NUMBER}"
WHEN = "lr: {choices: [NUMBER, 0.1]}, weight_decay: {low: 0.1, high: 1, when: {lr: %s}}"
SHARE = "split: {kind: stratified, val_fraction: NUMBER}"
SPELT = ["1e-3", "1E-3", "1.0e-3", "+1e-3", ".1e-2", "0.001", "'1e-3'", '"0.001"']


def load(tmp_path: Path, text: str, settings: tuple[tuple[str, Any, str], ...] = ()) -> Space:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    space = load_space(path, settings)
    stored = json.loads(json.dumps(space.model_dump(mode="json")))
    assert Space.from_stored(stored) == space  # what is stored is what was loaded
    return space


def same(tmp_path: Path, text: str, number: str) -> None:
    """Check that a space with a number in some spelling is the space with the number itself."""
    assert load(tmp_path, text.replace("NUMBER", number)) == load(
        tmp_path, text.replace("NUMBER", "0.001")
    )


@pytest.mark.parametrize("number", SPELT)
@pytest.mark.parametrize(
    "text",
    [
        greedy("dropout: [0.1]", head="fixed: {lr: NUMBER}"),
        greedy("lr: [NUMBER, 3e-3]"),
        greedy("weight_decay: [0, NUMBER]"),
        greedy("dropout: [0.1]", fixed="lr: NUMBER"),
        optuna("lr: {choices: [NUMBER, 3e-3]}"),
        optuna("lr: {low: NUMBER, high: 1e-1, log: true}"),
        optuna("dropout: {low: 0, high: 0.5, step: NUMBER}"),
        optuna(WHEN % "NUMBER"),
        optuna(WHEN % "[NUMBER]"),
        optuna(head="scale: {width: NUMBER}"),
        optuna(head="constraints: {max_model_mb: NUMBER}"),
        optuna(head="max_model_mb: NUMBER"),
        optuna(head="divergence: {tolerance: NUMBER}"),
        optuna(more=PRUNER),
        optuna(more=SAMPLER),
    ],
)
def test_a_number_is_a_number_however_it_is_written(tmp_path: Path, text: str, number: str) -> None:
    same(tmp_path, text, number)


@pytest.mark.parametrize("number", SPELT[:6])
def test_shares_of_rows(tmp_path: Path, number: str) -> None:
    same(tmp_path, optuna(head=SHARE), number)


def test_the_values_are_floats_and_whole_numbers(tmp_path: Path) -> None:
    text = greedy("lr: [1e-3], epochs: ['20']", "epochs: 1e2", "fixed: {batch_size: 5e2}")
    search = load(tmp_path, text).search
    (stage,) = search.stages  # type: ignore[attr-defined]
    assert stage.params == {"lr": (0.001,), "epochs": (20,)} and stage.fixed == {"epochs": 100}
    assert all(type(value) is int for value in (*stage.params["epochs"], stage.fixed["epochs"]))
    params = "{lr: {low: 1e-4, high: 1e-1}}"
    promoting = f"search: {{kind: promote, first_rung: 1e1, params: {params}}}"
    promote = f"{HEAD}budget: {{epochs: 1e3}}\n{promoting}\n"
    space = load(tmp_path, promote)
    assert space.budget.epochs == 1000 and space.search.first_rung == 10  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", SPELT[:6])
def test_settings_and_candidates(number: str) -> None:
    raw = {"name": "s", "search": {"kind": "optuna", "params": {"dropout": {"choices": [0.1]}}}}
    key, value = parse_setting(f"lr={number}")
    assert load_space(raw, [(key, value, "--set")]).fixed.lr == 0.001
    assert parse_candidate(f"lr={number},dropout=5e-1") == {"lr": 0.001, "dropout": 0.5}
    key, value = parse_setting(f"search.params.lr.choices=[{number}, 3e-3]")
    search = load_space(raw, [(key, value, "--set")]).search
    assert search.values_of("lr") == (0.001, 0.003)
    assert parse_yaml(f"set: {{lr: {number}}}")[1] == {"set": {"lr": 0.001}}  # as in hpo.yaml


def test_words_that_only_look_like_numbers_stay_words() -> None:
    text = "[1e, e3, 1e-3x, 0x1e, 1.2.3e4, '1e3', ViT-L-14/openai, 2e+]"
    assert parse_yaml(text)[1][:1] == ["1e"]
    assert all(isinstance(value, str) for value in parse_yaml(text)[1] if value != 30)


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan", "'inf'", "'nan'", "1e999"])
@pytest.mark.parametrize(
    "text",
    [
        optuna(head="fixed: {lr: NUMBER}"),
        optuna(head="fixed: {focal.gamma: NUMBER}"),
        greedy("lr: [NUMBER]"),
        greedy("lr: [1]", fixed="weight_decay: NUMBER"),
        optuna("lr: {choices: [0.1, NUMBER]}"),
        optuna("lr: {low: 1e-4, high: NUMBER}"),
        optuna("dropout: {low: 0, high: 0.5, step: NUMBER}"),
        optuna(head="scale: {width: NUMBER}"),
        optuna(head="constraints: {max_model_mb: NUMBER}"),
        optuna(head="divergence: {explode: NUMBER}"),
        optuna(head=SHARE),
        optuna(more=PRUNER),
        optuna(more=SAMPLER),
    ],
)
def test_what_is_no_finite_number_is_refused_before_anything_is_stored(
    tmp_path: Path, text: str, number: str
) -> None:
    with pytest.raises(InputError, match=r"but must|must be at most"):
        load(tmp_path, text.replace("NUMBER", number))


def test_an_infinite_learning_rate_is_named(tmp_path: Path) -> None:
    text = greedy("lr: [0.1, .inf]")
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    assert str(caught.value) == f"{tmp_path / 's.yaml'}:3: lr is inf, but must be a finite number"
    with pytest.raises(InputError, match="lr is inf, but must be a finite number"):
        load_space({"name": "s", "fixed": {"lr": math.inf}, "search": {"kind": "greedy"}})


def test_what_a_study_stores_is_what_was_loaded(tmp_path: Path) -> None:
    space = load(tmp_path, optuna("lr: {choices: ['1e-3', 3e-3]}"))
    definition = Definition(space, "cache", "key", ("image",), 10, 1, 50, {})
    stored = json.loads(json.dumps(definition.to_json()))
    assert stored["space"]["search"]["params"]["lr"]["choices"] == [0.001, 0.003]
    assert Definition.from_json(stored).space == space
