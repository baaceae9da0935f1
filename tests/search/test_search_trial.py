"""One trial: all seeds of a configuration, their mean, and why it may end early."""

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.features import Bundle
from hpo.models import Config
from hpo.search import Space, TrialOutcome, TrialProgress, run_trial
from hpo.training import Interrupted, RunStore, Trainer

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

from chaos import make_bundle

CONFIG = Config(hidden=(16,), lr=0.01, batch_size=120, epochs=6)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


def space_of(**changes: Any) -> Space:
    stages = [{"name": "only", "params": {"lr": [0.01]}}]
    search = {"kind": "greedy", "stages": stages}
    return Space.from_json({"name": "s", "seeds": 3, "search": search, **changes})


def trainer_on(bundle: Bundle, folder: Path, **options: Any) -> Trainer:
    return Trainer(bundle, torch.device("cpu"), RunStore(folder), **options)


def run(
    trainer: Trainer, space: Space, config: Config = CONFIG, reason_at: int | None = None
) -> tuple[TrialOutcome, list[TrialProgress]]:
    steps: list[TrialProgress] = []

    def on_step(progress: TrialProgress) -> str | None:
        steps.append(progress)
        return "enough" if progress.step == reason_at else None

    return run_trial(trainer, space, config, on_step=on_step), steps


@pytest.mark.parametrize("metric", ["micro_f1", "samples_f1"])
def test_the_value_is_the_mean_over_seeds_of_the_last_epoch(
    bundle: Bundle, tmp_path: Path, metric: str
) -> None:
    outcome, steps = run(trainer_on(bundle, tmp_path / "a"), space_of(metric=metric))
    records = []
    for seed in range(3):  # each trained for itself
        model = trainer_on(bundle, tmp_path / str(seed)).model(CONFIG, seed)
        records.append([model.advance() for _ in range(CONFIG.epochs)])
    last = [getattr(record[-1], metric) for record in records]
    assert outcome.scores == tuple(last)
    assert len(set(last)) == 3
    assert outcome.value == statistics.fmean(last)
    assert outcome.std == statistics.stdev(last)
    assert outcome.metrics["val_loss"] == statistics.fmean(r[-1].val_loss for r in records)
    assert [progress.step for progress in steps] == list(range(1, 7))
    assert {progress.steps for progress in steps} == {6}
    for progress, epoch in zip(steps, zip(*records, strict=True), strict=True):
        assert progress.value == statistics.fmean(getattr(record, metric) for record in epoch)
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
    stages = [{"name": "only", "params": {"lr": [0.01]}}]
    search = {"kind": "greedy", "stages": stages, "pruner": {"name": "WilcoxonPruner"}}
    outcome, steps = run(trainer_on(bundle, tmp_path), space_of(search=search))
    assert [(progress.step, progress.steps) for progress in steps] == [(1, 3), (2, 3), (3, 3)]
    assert tuple(progress.value for progress in steps) == outcome.scores
    short, _ = run(trainer_on(bundle, tmp_path), space_of(search=search), reason_at=2)
    assert (short.pruned, short.scores) == ("enough", outcome.scores[:2])
