"""One trial: all seeds of a configuration, their mean, and why it may end early."""

import statistics
from pathlib import Path
from typing import Any

import pytest
from search_samples import greedy_space
from training_samples import make_bundle, make_trainer

from hpo.features import Bundle
from hpo.models import Config
from hpo.search import Decision, Progress, Space, TrialOutcome, Verdict, run_trial
from hpo.training import METRICS, Interrupted, Trainer

CONFIG = Config(hidden=(16,), lr=0.01, batch_size=120, epochs=6)


ONLY = {"name": "only", "params": {"lr": [0.01]}}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle()


def space_of(**changes: Any) -> Space:
    return greedy_space(ONLY, **{"seeds": 3, **changes})


def trainer_on(bundle: Bundle, folder: Path, **options: Any) -> Trainer:
    return make_trainer(folder, bundle, **options)


def run(
    trainer: Trainer, space: Space, config: Config = CONFIG, reason_at: int | None = None
) -> tuple[TrialOutcome, list[Progress]]:
    steps: list[Progress] = []

    def on_step(progress: Progress) -> Verdict:
        steps.append(progress)
        prune = progress.step == reason_at
        return Verdict(Decision.PRUNE, "enough") if prune else Verdict(Decision.CONTINUE)

    outcome = run_trial(trainer, space, config, on_step=on_step)
    assert outcome is not None
    return outcome, steps


@pytest.mark.parametrize("metric", ["micro_f1", "samples_f1"])
def test_the_value_is_the_mean_over_seeds_of_the_last_epoch(
    bundle: Bundle, tmp_path: Path, metric: str
) -> None:
    outcome, steps = run(trainer_on(bundle, tmp_path / "a"), space_of(metric=metric))
    records = []
    for seed in range(3):  # each trained for itself
        model = trainer_on(bundle, tmp_path / str(seed)).model(CONFIG, seed)
        records.append([model.advance() for _ in range(CONFIG.epochs)])
    last = [record[-1][metric] for record in records]
    assert outcome.scores == tuple(last)
    assert len(set(last)) == 3
    assert outcome.value == statistics.fmean(last)
    assert outcome.std == statistics.stdev(last)
    assert outcome.metrics["val_loss"] == statistics.fmean(r[-1]["val_loss"] for r in records)
    assert [progress.step for progress in steps] == list(range(1, 7))
    assert {progress.steps for progress in steps} == {6}
    for progress, epoch in zip(steps, zip(*records, strict=True), strict=True):
        assert progress.value == statistics.fmean(record[metric] for record in epoch)
    assert (outcome.steps, outcome.epochs_trained, outcome.pruned) == (6, 18, None)
    assert len(outcome.runs) == 3


def test_one_seed_has_no_deviation(bundle: Bundle, tmp_path: Path) -> None:
    outcome, _ = run(trainer_on(bundle, tmp_path), space_of(seeds=1))
    assert (outcome.std, outcome.value) == (0.0, outcome.scores[0])


def test_what_is_stored_is_not_trained_again(bundle: Bundle, tmp_path: Path) -> None:
    first, steps = run(trainer_on(bundle, tmp_path), space_of())
    again, same = run(trainer_on(bundle, tmp_path), space_of())
    assert (again.epochs_trained, same) == (0, steps)
    assert (again.value, again.scores, again.runs) == (first.value, first.scores, first.runs)
    longer = CONFIG.model_copy(update={"epochs": 8})
    assert run(trainer_on(bundle, tmp_path), space_of(), longer)[0].epochs_trained == 6


def test_a_two_step_fusion_has_twice_the_steps(bundle: Bundle, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"fusion": "sum"})
    outcome, steps = run(trainer_on(bundle, tmp_path), space_of(seeds=1), config)
    assert [(progress.step, progress.steps) for progress in steps] == [
        (step, 12) for step in range(1, 13)
    ]
    assert [len(runs) for runs in outcome.runs] == [3]


def test_a_reason_ends_the_trial_where_it_stands(bundle: Bundle, tmp_path: Path) -> None:
    outcome, steps = run(trainer_on(bundle, tmp_path), space_of(), reason_at=4)
    assert (outcome.steps, outcome.pruned, len(steps)) == (4, "enough", 4)
    assert outcome.value == steps[-1].value


def test_a_loss_that_is_not_finite_scores_nothing(bundle: Bundle, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"lr": 1e30, "loss": "focal"})
    outcome, _ = run(trainer_on(bundle, tmp_path), space_of(), config)
    assert outcome.scores == (0.0, 0.0, 0.0)
    assert (outcome.value, outcome.std) == (0.0, 0.0)
    assert outcome.pruned is not None
    assert outcome.pruned.startswith("diverged: the loss was not finite in epoch ")
    assert outcome.steps < 6


def test_a_run_that_is_stuck_is_pruned_with_its_reason(bundle: Bundle, tmp_path: Path) -> None:
    # With this tolerance every score is that of a constant prediction.
    space = space_of(divergence={"patience": 3, "tolerance": 100.0})
    outcome, _ = run(trainer_on(bundle, tmp_path), space)
    assert outcome.pruned is not None
    assert outcome.pruned.startswith("diverged: the micro-F1 was that of a constant prediction, ")
    assert outcome.pruned.endswith(", for 3 epochs (seed 0, epoch 3)")
    assert (outcome.steps, outcome.epochs_trained) == (3, 9)
    assert outcome.value > 0  # unlike a loss that is not finite


def test_an_interrupted_trial_goes_on_where_it_stopped(bundle: Bundle, tmp_path: Path) -> None:
    polls = []

    def poll() -> None:
        polls.append(None)
        if len(polls) > 12:
            raise Interrupted

    config = CONFIG.model_copy(update={"epochs": 10})
    whole, _ = run(trainer_on(bundle, tmp_path / "whole"), space_of(), config)
    with pytest.raises(Interrupted):
        run(trainer_on(bundle, tmp_path / "cut", poll=poll), space_of(), config)
    rest, steps = run(trainer_on(bundle, tmp_path / "cut"), space_of(), config)
    assert 0 < rest.epochs_trained < whole.epochs_trained
    assert (rest.value, rest.scores) == (whole.value, whole.scores)
    assert [progress.step for progress in steps] == list(range(1, 11))


def test_wilcoxon_compares_seed_by_seed(bundle: Bundle, tmp_path: Path) -> None:
    search = {"kind": "greedy", "stages": [ONLY], "pruner": {"name": "WilcoxonPruner"}}
    outcome, steps = run(trainer_on(bundle, tmp_path), space_of(search=search))
    assert [(progress.step, progress.steps) for progress in steps] == [(1, 3), (2, 3), (3, 3)]
    assert tuple(progress.value for progress in steps) == outcome.scores
    short, _ = run(trainer_on(bundle, tmp_path), space_of(search=search), reason_at=2)
    assert (short.pruned, short.scores) == ("enough", outcome.scores[:2])


class Steps:
    """Notes the progress of a trial, and decides at one step."""

    def __init__(self, decision: Decision = Decision.CONTINUE, at: int = 0) -> None:
        self.decision, self.at = decision, at
        self.seen: list[Progress] = []

    def __call__(self, progress: Progress) -> Verdict:
        self.seen.append(progress)
        decided = progress.step == self.at
        return Verdict(self.decision, "enough") if decided else Verdict(Decision.CONTINUE)


@pytest.mark.parametrize(("fusion", "at"), [("image", 1), ("image", 4), ("sum", 2), ("sum", 9)])
def test_a_paused_trial_goes_on_to_the_same_numbers(
    bundle: Bundle, tmp_path: Path, fusion: str, at: int
) -> None:
    """At a later time, on another machine: nothing but the run store is left of it."""
    config = CONFIG.replace(fusion=fusion)
    whole, steps = run(trainer_on(bundle, tmp_path / "whole"), space_of(), config)
    first, pause = trainer_on(bundle, tmp_path / "cut"), Steps(Decision.PAUSE, at)
    assert run_trial(first, space_of(), config, on_step=pause) is None
    assert pause.seen == steps[:at]
    second = trainer_on(bundle, tmp_path / "cut")
    rest, again = run(second, space_of(), config)
    assert first.epochs_trained + second.epochs_trained == whole.epochs_trained
    assert 0 < second.epochs_trained == rest.epochs_trained
    assert again == steps
    assert (rest.value, rest.scores, rest.runs) == (whole.value, whole.scores, whole.runs)
    assert rest.metrics == whole.metrics


def test_a_trial_can_be_paused_again_and_again(bundle: Bundle, tmp_path: Path) -> None:
    whole, steps = run(trainer_on(bundle, tmp_path / "whole"), space_of())
    trained = []
    for at in (2, 2, 5):
        trainer = trainer_on(bundle, tmp_path / "cut")
        assert run_trial(trainer, space_of(), CONFIG, on_step=Steps(Decision.PAUSE, at)) is None
        trained.append(trainer.epochs_trained)
    rest, again = run(trainer_on(bundle, tmp_path / "cut"), space_of())
    assert [*trained, rest.epochs_trained] == [6, 0, 9, 3]
    assert (again, rest.value) == (steps, whole.value)


def test_a_trial_that_is_paused_between_seeds(bundle: Bundle, tmp_path: Path) -> None:
    search = {"kind": "greedy", "stages": [ONLY], "pruner": {"name": "WilcoxonPruner"}}
    whole, steps = run(trainer_on(bundle, tmp_path / "whole"), space_of(search=search))
    pause = Steps(Decision.PAUSE, at=2)
    first = trainer_on(bundle, tmp_path / "cut")
    assert run_trial(first, space_of(search=search), CONFIG, on_step=pause) is None
    assert (pause.seen, first.epochs_trained) == (steps[:2], 12)
    rest, again = run(trainer_on(bundle, tmp_path / "cut"), space_of(search=search))
    assert (again, rest.scores, rest.epochs_trained) == (steps, whole.scores, 6)


def test_a_run_that_diverged_is_not_paused(bundle: Bundle, tmp_path: Path) -> None:
    space = space_of(divergence={"patience": 3, "tolerance": 100.0})
    pause = Steps(Decision.PAUSE, at=3)
    outcome = run_trial(trainer_on(bundle, tmp_path), space, CONFIG, on_step=pause)
    assert outcome is not None and outcome.pruned is not None
    assert outcome.pruned.startswith("diverged: ")


def test_a_user_s_metric_is_the_value_and_decides(bundle: Bundle, tmp_path: Path) -> None:
    def precision(logits: Any, targets: Any, *, least: float = 1.0) -> Any:
        hits = ((logits > 0) & (targets > 0)).sum()
        return 100 * hits / (logits > 0).sum().clamp_min(least)

    METRICS.register("precision", precision)
    outcome, steps = run(trainer_on(bundle, tmp_path), space_of(metric="precision"))
    model = trainer_on(bundle, tmp_path).model(CONFIG, 0)
    records = [model.advance() for _ in range(CONFIG.epochs)]
    assert {len(record) for record in records} == {7}
    assert outcome.scores[0] == records[-1]["precision"] != records[-1]["micro_f1"]
    assert outcome.value == outcome.metrics["precision"] == steps[-1].value
    assert outcome.metrics.keys() == records[0].keys()
    # Another definition of it has other runs, since their curves hold other numbers.
    before = outcome.runs
    METRICS.register("precision", precision)
    object.__setattr__(METRICS["precision"].origin, "sha256", "another version")
    other, _ = run(trainer_on(bundle, tmp_path), space_of(metric="precision"))
    assert not {*other.runs} & {*before}
    assert other.epochs_trained == 18
