"""Search-space files: those of the repository load, and every mistake is named where it stands."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hpo.data import TailSplit
from hpo.errors import InputError
from hpo.search import GreedySearch, OptunaSearch, load_space, parse_setting

SPACES = sorted((Path(__file__).resolve().parents[2] / "search_spaces").glob("*.yaml"))

GREEDY = """\
name: small
seeds: 2
fixed: {hidden: [64], lr: 0.01, epochs: 10}
search:
  kind: greedy
  stages:
    - name: fusion
      params: {fusion: [image, text]}
    - name: loss
      fixed: {epochs: 20}
      params: {loss: [bce, asl]}
"""
SAMPLED = """\
name: sampled
search:
  kind: optuna
  trials: 5
  sampler: {name: TPESampler, multivariate: true}
  pruner: {name: SuccessiveHalvingPruner, min_resource: 20}
  params:
    lr: {low: 1.0e-4, high: 0.1, log: true}
    loss: {choices: [bce, focal]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path, *settings: tuple[str, Any, str]) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_space(path, settings)
    return caught.value.problems


def test_there_are_search_spaces() -> None:
    assert {path.stem for path in SPACES} >= {"greedy", "tpe"}


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_search_space_of_the_repository_loads(path: Path) -> None:
    space = load_space(path)
    assert space.name.replace(" ", "_") == path.stem
    assert type(space).from_stored(space.model_dump(mode="json")) == space
    assert space.scaled() == space


def test_the_kinds_are_told_apart(tmp_path: Path) -> None:
    greedy = load_space(write(tmp_path, GREEDY))
    assert isinstance(greedy.search, GreedySearch)
    assert greedy.fixed.hidden == (64,)
    assert greedy.search.stages[1].fixed == {"epochs": 20}
    sampled = load_space(write(tmp_path, SAMPLED))
    assert isinstance(sampled.search, OptunaSearch)
    assert sampled.search.sampler.arguments == {"multivariate": True}


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "message"),
    [
        (
            GREEDY,
            "seeds: 2",
            "seed: 2",
            2,
            "unknown key 'seed' (did you mean 'seeds'?); allowed: name, metric, seeds, split, "
            "train_rows, scale, fixed, search, divergence, refit, max_model_mb, reference",
        ),
        (GREEDY, "seeds: 2", "seeds: 0", 2, "seeds is 0, but must be greater than 0"),
        (GREEDY, "name: small\n", "", 1, "'name' is missing"),
        (
            GREEDY,
            "seeds: 2",
            "metric: micro-f1",
            2,
            "metric is 'micro-f1', but must be one of: micro_f1, samples_f1, macro_f1, map "
            "(did you mean 'micro_f1'?)",
        ),
        (
            GREEDY,
            "lr: 0.01",
            "learning_rate: 0.01",
            3,
            "unknown parameter 'learning_rate'; allowed: fusion, head, hidden, activation, "
            "dropout, feature_scaling, loss, optimizer, lr, weight_decay, batch_size, epochs, "
            "ema_decay",
        ),
        (GREEDY, "lr: 0.01", "lr: 0", 3, "lr is 0, but must be greater than 0"),
        (GREEDY, "[64]", "[64, -1]", 3, "hidden is [64, -1], but must be greater than 0"),
        (
            GREEDY,
            "kind: greedy",
            "kind: gredy",
            5,
            "kind is 'gredy', but must be one of: greedy, optuna (did you mean 'greedy'?)",
        ),
        (
            GREEDY,
            "fusion: [image, text]",
            "fusion: [image, txt]",
            8,
            "fusion is 'txt', but must be one of: image, text, concat, sum, mixed, sum_joint, "
            "mixed_joint (did you mean 'text'?)",
        ),
        (
            GREEDY,
            "params: {loss: [bce, asl]}",
            "params: {losss: [bce, asl]}",
            11,
            "unknown parameter 'losss' (did you mean 'loss'?); allowed: fusion, head, hidden, "
            "activation, dropout, feature_scaling, loss, optimizer, lr, weight_decay, batch_size, "
            "epochs, ema_decay",
        ),
        (
            GREEDY,
            "params: {loss: [bce, asl]}",
            "params: {loss: bce}",
            11,
            "loss must be a list of values",
        ),
        (
            GREEDY,
            "params: {loss: [bce, asl]}",
            "params: {loss: [bce, asl]}\n      reference: [1.0, 2.0, 3.0]",
            9,
            "reference has 3 values, but the grid has 2",
        ),
        (GREEDY, "seeds: 2", "name: again", 2, "name stands twice"),
        (
            SAMPLED,
            "TPESampler",
            "TPESampeler",
            5,
            "unknown sampler 'TPESampeler' (did you mean 'TPESampler'?); allowed: TPESampler, "
            "RandomSampler, GPSampler",
        ),
        (
            SAMPLED,
            "SuccessiveHalvingPruner",
            "SuccesiveHalving",
            6,
            "unknown pruner 'SuccesiveHalving' (did you mean 'SuccessiveHalvingPruner'?); "
            "allowed: NopPruner, MedianPruner, PercentilePruner, SuccessiveHalvingPruner, "
            "HyperbandPruner, PatientPruner, ThresholdPruner, WilcoxonPruner",
        ),
        (
            SAMPLED,
            "min_resource",
            "min_resorce",
            6,
            "unknown argument 'min_resorce' of SuccessiveHalvingPruner (did you mean "
            "'min_resource'?); allowed: min_resource, reduction_factor, "
            "min_early_stopping_rate, bootstrap_count",
        ),
        (SAMPLED, "trials: 5", "trials: 0", 4, "trials is 0, but must be greater than 0"),
        (
            SAMPLED,
            "low: 1.0e-4",
            "low: 0.5",
            8,
            "low is 0.5, but must be at most high, 0.1",
        ),
        (SAMPLED, "log: true", "log: true, step: 0.1", 8, "log needs low > 0 and no step"),
        (
            SAMPLED,
            "[bce, focal]",
            "[bce, focall]",
            9,
            "loss is 'focall', but must be one of: bce, focal, asl (did you mean 'focal'?)",
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_and_rule(
    text: str, old: str, new: str, line: int, message: str, tmp_path: Path
) -> None:
    assert old in text
    path = write(tmp_path, text.replace(old, new, 1))
    assert problems_of(path) == [f"{path}:{line}: {message}"]


def test_all_problems_are_listed_together(tmp_path: Path) -> None:
    text = GREEDY.replace("seeds: 2", "seeds: none").replace("[image, text]", "[image, imge]")
    path = write(tmp_path, text.replace("fixed: {epochs: 20}", "fixed: {epoch: 20}"))
    problems = problems_of(path)
    assert [problem.partition(": ")[0] for problem in problems] == [
        f"{path}:8",
        f"{path}:10",
        f"{path}:2",
    ]
    with pytest.raises(InputError) as caught:
        load_space(path)
    assert str(caught.value) == "\n".join(problems)


def test_a_widths_rule_over_several_places(tmp_path: Path) -> None:
    text = GREEDY.replace("[64]", "[63]").replace("fusion: [image, text]", "head: [mlp, gmlp]")
    (problem,) = problems_of(write(tmp_path, text))
    assert problem.endswith("head may be gmlp, whose widths must be even, but one is 63")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a search space must be a mapping with name and search."),
        ("- a\n- b\n", "a search space must be a mapping with name and search."),
        ("a: [1", "not YAML: "),
        ("a: !!python/object/apply:os.getcwd []", "not YAML: "),
    ],
)
def test_other_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    (problem,) = problems_of(path)
    assert problem.startswith(f"{path}: {message}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "no.yaml"
    assert problems_of(path) == [
        f"The search space {path} can't be read: No such file or directory."
    ]


def test_settings_override_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, GREEDY + "split: {kind: tail, val_rows: 10}\n")
    space = load_space(
        path,
        [("dropout", 0.6, "--set"), ("split.val_rows", 50, "--set"), ("seeds", 4, "--seeds")],
    )
    assert (space.fixed.dropout, space.seeds) == (0.6, 4)
    assert space.split == TailSplit(kind="tail", val_rows=50)


@pytest.mark.parametrize(
    ("key", "value", "origin", "message"),
    [
        ("dropout", 1.5, "--set", "--set dropout=1.5: dropout is 1.5, but must be less than 1"),
        (
            "droput",
            0.5,
            "--set",
            "--set droput=0.5: unknown key 'droput'; allowed: name, metric, seeds, split, "
            "train_rows, scale, fixed, search, divergence, refit, max_model_mb, reference",
        ),
        (
            "scale.widht",
            0.5,
            "hpo.yaml",
            "hpo.yaml scale.widht=0.5: unknown key 'widht' (did you mean 'width'?); "
            "allowed: width, epochs, batch",
        ),
        (
            "refit.sed",
            1,
            "--set",
            "--set refit.sed=1: unknown key 'sed' (did you mean 'seed'?); allowed: rows, seed",
        ),
        ("seeds", -1, "--seeds", "--seeds seeds=-1: seeds is -1, but must be greater than 0"),
    ],
)
def test_a_bad_setting_is_named_by_where_it_comes_from(
    key: str, value: Any, origin: str, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, GREEDY + "split: {kind: tail, val_rows: 10}\n")
    assert problems_of(path, (key, value, origin)) == [message]


def test_settings_are_parsed_as_yaml() -> None:
    assert parse_setting("hidden=[2048, 512]") == ("hidden", [2048, 512])
    assert parse_setting("ema_decay=null") == ("ema_decay", None)
    assert parse_setting("lr=1.0e-3") == ("lr", 0.001)


@pytest.mark.parametrize("text", ["dropout", "=0.5", ""])
def test_a_setting_needs_a_key_and_a_value(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_setting(text)
    assert str(caught.value) == f"--set {text}: must be key=value, such as dropout=0.6."


def test_scale_reaches_every_place(tmp_path: Path) -> None:
    raw = yaml.safe_load(GREEDY)
    raw["scale"] = {"width": 0.1, "epochs": 0.25, "batch": 0.01}
    raw["fixed"] = {"hidden": [2048, 64, 8], "epochs": 200, "batch_size": 25000}
    raw["search"]["stages"] = [
        {
            "name": "a",
            "fixed": {"epochs": 300},
            "params": {"hidden": [[2048], [50]], "batch_size": [10000, 30], "epochs": [100, 2]},
        }
    ]
    raw["search"]["pruner"] = {
        "name": "PatientPruner",
        "patience": 40,
        "min_delta": 0.5,
        "wrapped": {"name": "MedianPruner", "n_warmup_steps": 20, "interval_steps": 8},
    }
    raw["divergence"] = {"patience": 100}
    space = load_space(write(tmp_path, yaml.safe_dump(raw))).scaled()
    assert isinstance(space.search, GreedySearch)
    assert (space.fixed.hidden, space.fixed.epochs) == ((204, 6, 2), 50)
    assert space.fixed.batch_size == 250
    (stage,) = space.search.stages
    assert stage.fixed == {"epochs": 75}
    assert stage.params == {
        "hidden": ((204,), (4,)),
        "batch_size": (100, 1),
        "epochs": (25, 1),
    }
    assert space.search.pruner.arguments == {
        "patience": 10,
        "min_delta": 0.5,
        "wrapped": {"name": "MedianPruner", "n_warmup_steps": 5, "interval_steps": 2},
    }
    assert space.divergence.patience == 25
    assert space.scaled() == space  # once and for all


def test_scale_reaches_a_sampled_space(tmp_path: Path) -> None:
    raw = yaml.safe_load(SAMPLED)
    raw["scale"] = {"width": 0.5, "epochs": 0.1, "batch": 0.5}
    raw["search"]["params"] = {
        "hidden": {"choices": [[10], [6, 3]]},
        "epochs": {"low": 10, "high": 300},
        "batch_size": {"choices": [25000, 100]},
        "lr": {"low": 0.1, "high": 1.0},
    }
    search = load_space(write(tmp_path, yaml.safe_dump(raw))).scaled().search
    assert isinstance(search, OptunaSearch)
    domains = {field: domain.model_dump() for field, domain in search.params.items()}
    assert domains["hidden"] == {"choices": ((4,), (4, 2))}
    assert (domains["epochs"]["low"], domains["epochs"]["high"]) == (1, 30)
    assert domains["batch_size"] == {"choices": (12500, 50)}
    assert (domains["lr"]["low"], domains["lr"]["high"]) == (0.1, 1.0)
    assert search.pruner.arguments == {"min_resource": 2}


def test_capped_batches_are_the_full_batch(tmp_path: Path) -> None:
    raw = yaml.safe_load(GREEDY)
    raw["search"]["stages"][0]["params"] = {"batch_size": [25000, 100]}
    space = load_space(write(tmp_path, yaml.safe_dump(raw))).capped(240)
    assert isinstance(space.search, GreedySearch)
    assert space.fixed.batch_size == 240
    assert space.search.stages[0].params == {"batch_size": (240, 100)}
    raw = yaml.safe_load(SAMPLED)
    raw["search"]["params"] = {"batch_size": {"low": 16, "high": 1024, "log": True}}
    search = load_space(write(tmp_path, yaml.safe_dump(raw))).capped(240).search
    assert isinstance(search, OptunaSearch)
    domain = search.params["batch_size"].model_dump()
    assert (domain["low"], domain["high"], domain["log"]) == (16, 240, True)


def test_a_setting_changes_a_part_of_what_the_file_leaves_out(tmp_path: Path) -> None:
    space = load_space(write(tmp_path, GREEDY), [("split.val_rows", 50, "--set")])
    assert space.split == TailSplit(kind="tail", val_rows=50)


def test_a_kind_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, GREEDY.replace("  kind: greedy\n", ""))
    assert problems_of(path) == [f"{path}:4: 'kind' is missing in search"]
