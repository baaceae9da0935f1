"""Every mistake in a search space is named where it stands, with its rule and the nearest word."""

from pathlib import Path
from typing import Any

import pytest
from search_samples import GREEDY, SAMPLED, write

from hpo.errors import InputError
from hpo.search import load_space


def problems_of(path: Path, *settings: tuple[str, Any, str]) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_space(path, settings)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "message"),
    [
        (
            GREEDY,
            "seeds: 2",
            "seed: 2",
            2,
            "unknown key 'seed' (did you mean 'seeds'?); allowed: name, metric, seeds, split, "
            "train_rows, scale, min_steps, fixed, search, divergence, budget, refit, "
            "evaluate_every, thresholds, calibrate, floor, ensemble, precision, constraints, "
            "against, reference, max_model_mb",
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
            "ema_decay, input_dropout, modality_dropout, encoder, class_weight, oversample",
        ),
        (GREEDY, "lr: 0.01", "lr: 0", 3, "lr is 0, but must be greater than 0"),
        (GREEDY, "[64]", "[64, -1]", 3, "hidden is [64, -1], but must be greater than 0"),
        (
            GREEDY,
            "kind: greedy",
            "kind: gredy",
            5,
            "kind is 'gredy', but must be one of: greedy, optuna, promote (did you mean 'greedy'?)",
        ),
        (
            GREEDY,
            "fusion: [image, text]",
            "fusion: [image, txt]",
            8,
            "fusion is 'txt', but must be one of: image, text, concat, sum, mixed, sum_joint, "
            "mixed_joint, gated (did you mean 'text'?)",
        ),
        (
            GREEDY,
            "params: {loss: [bce, asl]}",
            "params: {losss: [bce, asl]}",
            11,
            "unknown parameter 'losss' (did you mean 'loss'?); allowed: fusion, head, hidden, "
            "activation, dropout, feature_scaling, loss, optimizer, lr, weight_decay, batch_size, "
            "epochs, ema_decay, input_dropout, modality_dropout, encoder, class_weight, oversample",
        ),
        (
            GREEDY,
            "params: {loss: [bce, asl]}",
            "params: {loss: bce}",
            11,
            "loss is 'bce', but must be a list of values",
        ),
        (
            GREEDY,
            "params: {loss: [bce, asl]}",
            "params: {loss: [bce, asl]}\n      reference: [1.0, 2.0, 3.0]",
            9,
            "reference has 3 values, but the grid has 2",
        ),
        (
            SAMPLED,
            "TPESampler",
            "TPESampeler",
            5,
            "unknown sampler 'TPESampeler' (did you mean 'TPESampler'?); allowed: TPESampler, "
            "RandomSampler, GPSampler, NSGAIISampler",
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
            "loss is 'focall', but must be one of: bce, focal, asl, two_way (did you mean "
            "'focal'?)",
        ),
        (
            GREEDY,
            "seeds: 2",
            "evaluate_every: 2",
            1,
            "evaluate_every is 2, but must be 1 with search kind greedy, which decides by every "
            "epoch",
        ),
        (
            SAMPLED,
            "optuna",
            "promote",
            6,
            "pruner is SuccessiveHalvingPruner, but kind promote stops trials by itself; leave it "
            "out",
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
    assert problems_of(path) == [f"{path} can't be read: No such file or directory."]


@pytest.mark.parametrize(
    ("key", "value", "origin", "message"),
    [
        ("dropout", 1.5, "--set", "--set dropout=1.5: dropout is 1.5, but must be less than 1"),
        (
            "droput",
            0.5,
            "--set",
            "--set droput=0.5: unknown key 'droput' (did you mean 'dropout'?); allowed: name, "
            "metric, seeds, split, train_rows, scale, min_steps, fixed, search, divergence, "
            "budget, refit, evaluate_every, thresholds, calibrate, floor, ensemble, precision, "
            "constraints, against, reference, max_model_mb, and the values of a configuration: "
            "fusion, head, hidden, activation, dropout, feature_scaling, loss, optimizer, lr, "
            "weight_decay, batch_size, epochs, ema_decay, input_dropout, modality_dropout, "
            "encoder, class_weight, oversample",
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
            "--set refit.sed=1: unknown key 'sed' (did you mean 'seed'?); allowed: rows, seed, "
            "pick, seeds, epochs",
        ),
        ("seeds", -1, "--seeds", "--seeds seeds=-1: seeds is -1, but must be greater than 0"),
    ],
)
def test_a_bad_setting_is_named_by_where_it_comes_from(
    key: str, value: Any, origin: str, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, GREEDY + "split: {kind: tail, val_rows: 10}\n")
    assert problems_of(path, (key, value, origin)) == [message]


def test_a_kind_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, GREEDY.replace("  kind: greedy\n", ""))
    assert problems_of(path) == [f"{path}:4: 'kind' is missing in search"]


def test_a_modality_that_is_called_otherwise(tmp_path: Path) -> None:
    """Files are often called as transformers calls what its CLIP gives out."""
    path = write(tmp_path, GREEDY)
    with pytest.raises(InputError) as caught:
        load_space(path, modalities=("image_embeds", "text_embeds"))
    assert "fusion is 'image', but must be one of: image_embeds, text_embeds, concat" in str(
        caught.value
    )
    assert "gated; if 'image_embeds' is it, rename that" in str(caught.value)
