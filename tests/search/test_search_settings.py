"""Settings from outside: where they go, what they replace, and those that come to nothing."""

from pathlib import Path
from typing import Any

import pytest
from search_samples import GREEDY, SAMPLED, write

from hpo.errors import InputError
from hpo.search import (
    Component,
    Space,
    load_space,
    make_sampler,
    parse_candidate,
    parse_setting,
    unused_settings,
)

PROMOTE = SAMPLED.replace("optuna", "promote").replace(
    "  pruner: {name: SuccessiveHalvingPruner, min_resource: 20}\n", "  first_rung: 3\n"
)


def load(folder: Path, text: str, *settings: str) -> Space:
    return load_space(write(folder, text), [(*parse_setting(one), "--set") for one in settings])


def refused(folder: Path, text: str, *settings: str) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, text, *settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "setting", "search"),
    [
        (SAMPLED, "search.kind=promote", {"kind": "promote", "trials": 5, "first_rung": 5}),
        (PROMOTE, "search.kind=optuna", {"kind": "optuna", "trials": 5}),
        (SAMPLED, "search.sampler.name=RandomSampler", {"sampler": {"name": "RandomSampler"}}),
        (SAMPLED, "search.pruner.name=MedianPruner", {"pruner": {"name": "MedianPruner"}}),
        (SAMPLED, "search.pruner=MedianPruner", {"pruner": {"name": "MedianPruner"}}),
        (
            SAMPLED,
            "search.pruner.name=HyperbandPruner",  # which has the argument, too
            {"pruner": {"name": "HyperbandPruner", "min_resource": 20}},
        ),
        (
            PROMOTE,
            "search.sampler.n_startup_trials=1e1",
            {"sampler": {"name": "TPESampler", "multivariate": True, "n_startup_trials": 10}},
        ),
        (
            GREEDY.replace("pruner", ""),
            "search.pruner.name=MedianPruner",
            {"pruner": {"name": "MedianPruner"}},
        ),
    ],
)
def test_what_is_of_another_kind_is_left_out(
    tmp_path: Path, text: str, setting: str, search: dict[str, Any]
) -> None:
    read = load(tmp_path, text, setting).search.model_dump(mode="json")
    assert read | search == read


def test_an_argument_of_a_default_sampler_can_be_set(tmp_path: Path) -> None:
    text = SAMPLED.replace("  sampler: {name: TPESampler, multivariate: true}\n", "")
    search = load(tmp_path, text, "search.sampler.n_startup_trials=7").search
    assert search.model_dump()["sampler"] == {"name": "TPESampler", "n_startup_trials": 7}


def test_a_range_becomes_choices_and_choices_a_range(tmp_path: Path) -> None:
    search = load(tmp_path, SAMPLED, "search.params.lr.choices=[1e-2, 1e-3]").search
    assert search.values_of("lr") == (0.01, 0.001)
    text = SAMPLED.replace("loss: {choices: [bce, focal]}", "dropout: {choices: [0.1, 0.2]}")
    both = "search.params.dropout.low=0.1", "search.params.dropout.high=5e-1"
    domain = load(tmp_path, text, *both).search.model_dump()["params"]["dropout"]
    assert (domain["low"], domain["high"]) == (0.1, 0.5) and "choices" not in domain
    # what the settings say themselves stays
    assert "unknown key 'log'; allowed: when, choices" in refused(
        tmp_path, SAMPLED, "search.params.lr.choices=[1e-2]", "search.params.lr.log=true"
    )


def test_arguments_that_optuna_will_drop_are_taken_without_its_warnings(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    setting = "search.sampler={name: TPESampler, prior_weight: 2, consider_endpoints: true}"
    search = load(tmp_path, SAMPLED, setting).search
    make_sampler(Component.model_validate(search.model_dump()["sampler"]), 0, 0, 0)
    assert not list(recwarn)


def test_a_place_in_a_list_is_a_number(tmp_path: Path) -> None:
    search = load(tmp_path, GREEDY, "search.stages.1.params.loss=[bce, focal, asl]").search
    assert search.values_of("loss") == ("bce", "focal", "asl")
    assert search.values_of("fusion") == ("image", "text")
    for place in ("loss", "2", "[1]"):
        assert refused(tmp_path, GREEDY, f"search.stages.{place}.params.lr=[1]") == (
            f"--set search.stages.{place}.params.lr=[1]: {place} is a place in a list, but must be "
            "the number of one of 2, from 0 on"
        )
    assert refused(tmp_path, GREEDY, "search.stages.1.params.loss=bce") == (
        "--set search.stages.1.params.loss=bce: loss is 'bce', but must be a list of values"
    )


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("trials", "search.trials"),
        ("Trials", "search.trials"),
        ("params.lr.low", "search.params"),
        ("val_rows", "split.val_rows"),
        ("time_limit", "budget.time_limit"),
        ("Dropout", "dropout"),
        ("drop_out", "dropout"),
        ("metrc", "metric"),
    ],
)
def test_a_key_that_stands_elsewhere_is_named(tmp_path: Path, key: str, meant: str) -> None:
    said = refused(tmp_path, SAMPLED, f"{key}=1")
    assert f"unknown key '{key.partition('.')[0]}' (did you mean '{meant}'?)" in said


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("lr=", "--set lr=null: lr is null, but must be a number"),
        ("refit=false", "--set refit=false: refit is false, but must be a mapping"),
        ("hidden=512", "--set hidden=512: hidden is 512, but must be a list"),
        ("floor=none", "--set floor=none: floor is 'none', but must be true or false"),
        ("focal.gamma=yes", "--set focal.gamma=true: focal.gamma is true, but must be a number"),
        ("knn.k=on", "--set knn.k=true: knn.k is true, but must be a number"),
        (
            "search.params.lr=[0.1, 1e-2]",
            "--set search.params.lr=[0.1, 0.01]: lr is [0.1, 0.01], but must be a mapping, "
            "{choices: […]} or {low: …, high: …}",
        ),
        (
            "search.params.activation={low: 1}",
            "--set search.params.activation={low: 1}: activation is no number, so it has choices "
            "and no low",
        ),
    ],
)
def test_a_value_that_can_t_be_is_said_as_it_was_written(
    tmp_path: Path, setting: str, said: str
) -> None:
    assert said in refused(tmp_path, SAMPLED, setting).splitlines()


def test_yes_is_no_published_score(tmp_path: Path) -> None:
    text = GREEDY.replace("[image, text]}", "[image, text]}\n      reference: [yes, 80.1]")
    assert "reference is [true, 80.1], but must be a number" in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "setting", "unused"),
    [
        (SAMPLED, "lr=0.5", True),
        (SAMPLED, "fixed.lr=0.5", True),
        (SAMPLED, "dropout=0.5", False),
        (SAMPLED.replace("log: true}", "when: {loss: focal}}"), "lr=0.05", False),
        (PROMOTE, "lr=0.05", False),  # of the first trial
        (PROMOTE, "lr=0.5", True),
        (GREEDY, "fusion=text", True),
        (GREEDY, "loss=asl", False),  # of the stage before
        (GREEDY, "asl.clip=0.1", False),
        (GREEDY, "focal.gamma=2", True),
        (GREEDY, "modality_dropout=0.3", True),
        (GREEDY.replace("[image, text]", "[image, sum]"), "modality_dropout=0.3", True),
        (GREEDY.replace("[image, text]", "[image, concat]"), "modality_dropout=0.3", False),
        (GREEDY, "seeds=3", False),
        (GREEDY, "scale.width=0.5", False),
    ],
)
def test_a_setting_without_effect_is_told(
    tmp_path: Path, text: str, setting: str, unused: bool
) -> None:
    notes = unused_settings(load(tmp_path, text, setting), [(*parse_setting(setting), "--set")])
    assert [note.partition(" has no effect")[0] for note in notes] == (
        [f"--set {setting}"] if unused else []
    )


def test_a_range_that_no_step_ends_is_told(tmp_path: Path) -> None:
    text = SAMPLED.replace("lr: {low: 1.0e-4, high: 0.1, log: true}", "lr: {low: 0.1, high: 0.75}")
    assert not load(tmp_path, text).search.notes()
    space = load(
        tmp_path, text, "search.params.lr.step=0.1", "search.params.epochs={low: 1, high: 9}"
    )
    assert space.search.notes() == ["lr is searched from 0.1 to 0.75 in steps of 0.1, so up to 0.7"]


def test_candidates_may_have_lists_and_mappings() -> None:
    assert parse_candidate("hidden=[8, 4],encoder={image: a, text: b},lr=1e-3") == {
        "hidden": [8, 4],
        "encoder": {"image": "a", "text": "b"},
        "lr": 0.001,
    }
    assert parse_candidate("hidden=[[5, 6], [7]]") == {"hidden": [[5, 6], [7]]}
