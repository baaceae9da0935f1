"""What is said of a winner: its scores, its equals, and rows that no decision has seen."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from results_samples import PROMOTE, SPLIT, TEST, arrays, finish, greedy, study_of
from sklearn.metrics import f1_score

from hpo.features import load_bundle
from hpo.library import Study
from hpo.results import Judgement, decide, judge, refit_best, scores_on_test
from hpo.training import RunStore, open_device, trim_store

ROWS = slice(180, 240)  # the untouched ones


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return study_of(tmp_path_factory.mktemp("promoted"), PROMOTE)


def judged(study: Study) -> Judgement:
    decision = decide(study.stored, study.best_task, "cpu")
    assert decision is not None
    tasks = study.stored.tasks()
    found = judge(study.stored, study.best_task, tasks, "cpu", decision.thresholds)
    assert found is not None
    return found


@pytest.mark.parametrize("fusion", ["concat", "mixed", "gated"])
def test_the_scores_are_those_of_the_trial(tmp_path: Path, fusion: str) -> None:
    study = study_of(tmp_path, {**greedy(dropout=[0.2, 0.4]), "fixed": _fixed(fusion=fusion)})
    outcome, found = study.best_task.outcome, judged(study)
    assert outcome is not None
    for name in ("micro_f1", "macro_f1", "samples_f1"):
        interval = found.validation[name]
        assert interval.value == pytest.approx(outcome.metrics[name], abs=1e-6)
        assert interval.low < interval.value < interval.high
    assert found.validation["micro_f1"].value == pytest.approx(study.best_value, abs=1e-6)
    assert len(found.compared) == 1


def _fixed(**changes: object) -> dict[str, object]:
    return {**PROMOTE["fixed"], **changes}


def test_equals_are_tied_and_others_are_not(tmp_path: Path) -> None:
    """At this rate of 1e-9 nothing is learned; weight decay of 1e-9 changes next to nothing."""
    study = study_of(
        tmp_path,
        {**greedy(weight_decay=[0.0, 1e-9], lr=[0.01, 1e-9]), "fixed": _fixed(optimizer="adamw")},
    )
    found = judged(study)
    best, *others = sorted(study.stored.tasks(), key=lambda t: -t.outcome.value)
    assert best.position == study.best_task.position
    assert (len(others), len(found.compared)) == (2, 2)
    assert found.tied == (next(t.trial for t in others if t.config.lr == 0.01),)


def test_pruned_trials_are_no_rivals(promoted: Study) -> None:
    whole = [t for t in promoted.stored.tasks() if t.outcome and not t.outcome.pruned]
    assert 2 <= len(whole) < 5
    assert len(judged(promoted).compared) == len(whole) - 1


def test_thresholds_are_chosen_on_the_validation_rows(promoted: Study) -> None:
    found = judged(promoted)
    assert len(set(found.thresholds)) == 4
    raised = sum(found.tuned[n].value - found.validation[n].value for n in ("micro_f1", "macro_f1"))
    assert raised > -1  # smoothed and drawn towards 0.5, they may lose a little here
    plain = judge(promoted.stored, promoted.best_task, promoted.stored.tasks(), "cpu")
    assert plain is not None
    assert (plain.thresholds, plain.tuned) == ((0.5,) * 4, plain.validation)
    assert plain.untouched == plain.untouched_tuned != found.untouched_tuned


def test_optimism_is_validation_minus_untouched(promoted: Study) -> None:
    found = judged(promoted)
    assert found.untouched is not None
    for name in ("micro_f1", "macro_f1", "samples_f1"):
        difference = found.validation[name].value - found.untouched[name].value
        assert found.optimism(name) == difference
    assert found.optimism("map") is None
    assert found.to_json("micro_f1")["optimism"] == found.optimism("micro_f1")


def test_the_refitted_model_is_scored_on_the_untouched_rows(promoted: Study) -> None:
    model, _ = refit_best(promoted.stored, promoted.best_task, "cpu")
    assert model.origin["rows"] == 300 - TEST
    bundle = load_bundle(promoted.stored.definition.bundle)
    scores = scores_on_test(model, bundle, "cpu")
    assert scores is not None
    features, labels = arrays()
    half = {name: array[ROWS].astype(np.float16) for name, array in features.items()}
    given = model.probabilities(half, open_device("cpu")) > 0.5
    for name in ("micro", "macro", "samples"):
        expected = 100 * f1_score(labels[ROWS], given, average=name, zero_division=0)
        assert scores.at_half[f"{name}_f1"].value == pytest.approx(expected, abs=1e-4)
    assert scores.tuned == scores.at_half  # the thresholds of a model as it is refitted are 0.5


def test_nothing_before_the_end_reads_the_untouched_labels(tmp_path: Path) -> None:
    """With the labels of the untouched rows in another order, only their scores are others."""
    _, labels = arrays()
    shuffled = labels.copy()
    shuffled[ROWS] = labels[ROWS][np.random.default_rng(3).permutation(TEST)]
    assert not np.array_equal(shuffled, labels)
    studies = [study_of(tmp_path / str(n), PROMOTE, x) for n, x in enumerate((labels, shuffled))]
    assert len({s.stored.definition.bundle_key for s in studies}) == 2
    printed = [finish(s, tmp_path / str(n) / "out") for n, s in enumerate(studies)]
    first, second = (
        [(t.user_attrs["config"], str(t.intermediate_values), t.values, t.state) for t in trials]
        for trials in (s.optuna.get_trials() for s in studies)
    )
    assert first == second
    assert studies[0].best_task.position == studies[1].best_task.position
    weights = [(tmp_path / str(n) / "out/model/model.safetensors").read_bytes() for n in range(2)]
    assert weights[0] == weights[1]
    a, b = (json.loads((tmp_path / str(n) / "out/metrics.json").read_text()) for n in range(2))
    for found in (a, b):
        model = json.loads((tmp_path / "0/out/model/config.json").read_text())
        assert found["judged"]["tied"] == a["judged"]["tied"]
        assert found["judged"]["validation_tuned"] == a["judged"]["validation_tuned"]
        assert model["thresholds"] != [0.5] * 4
        assert found["epochs_trained"] == a["epochs_trained"]
    assert a["judged"]["validation"] == b["judged"]["validation"]
    assert a["test"] != b["test"]
    assert a["judged"]["winner_on_test"] != b["judged"]["winner_on_test"]
    assert "test, refitted: micro-F1 " in printed[0]
    assert "test, refitted, at 0.5: micro-F1 " in printed[0]
    assert "validation: micro-F1 " in printed[0]
    assert "validation, at 0.5: micro-F1 " in printed[0]
    assert "optimism: " in printed[0]


def test_metrics_count_all_epochs_that_were_trained(tmp_path: Path) -> None:
    study = study_of(tmp_path, PROMOTE)
    finish(study, tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    tasks = study.stored.tasks()
    assert found["epochs_trained"] == sum(t.outcome.steps for t in tasks if t.outcome) + 12
    assert found["test"].keys() == found["test_at_half"].keys()
    assert found["wall_s"] is None  # nobody said when it began


def test_without_stored_weights_the_study_ends_all_the_same(tmp_path: Path) -> None:
    study = study_of(tmp_path, PROMOTE)
    assert trim_store(RunStore(study.stored.definition.run_store), 0.0) > 0
    assert judge(study.stored, study.best_task, study.stored.tasks(), "cpu") is None
    assert decide(study.stored, study.best_task, "cpu") is None
    printed = finish(study, tmp_path / "out")
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert "judged" not in found and "calibration" not in found
    assert "validation: " not in printed
    assert "test, refitted: " in printed
    assert (tmp_path / "out/model/config.json").is_file()


def test_without_a_test_part_the_result_says_what_that_means(tmp_path: Path) -> None:
    split = {key: value for key, value in SPLIT.items() if key != "test_rows"}
    study = study_of(tmp_path, {**PROMOTE, "split": split})
    assert judged(study).untouched is None
    printed = finish(study, tmp_path / "out")
    assert (
        "no test part: the validation rows chose this configuration, so expect a little less on "
        "new rows; a study with split.test_fraction (of a tail split, test_rows) keeps some "
        "untouched"
    ) in printed
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert "test" not in found
    assert found["judged"]["optimism"] is None
    shutil.rmtree(tmp_path / "out/model")
    assert "no test part" in finish(study, tmp_path / "out")  # the refit is made again
