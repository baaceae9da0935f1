"""Runs that are scored after some epochs only: the same training, and gaps in the curve."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from training_samples import CONFIG, make_trainer, open_session, same_bits, train

from hpo.features import Bundle
from hpo.training import EpochRecord, Interrupted

SCORED = (2, 5)


def without_gaps(record: EpochRecord) -> Mapping[str, float]:
    return {name: value for name, value in record.items() if not math.isnan(value)}


@pytest.mark.parametrize(
    "changes", [{}, {"fusion": "mixed_joint", "batch_size": 60, "ema_decay": 0.9}]
)
def test_only_scored_epochs_have_scores_and_the_training_is_the_same(
    bundle: Bundle, tmp_path: Path, changes: dict[str, object]
) -> None:
    config = CONFIG.replace(**changes)
    every = open_session(make_trainer(tmp_path / "every", bundle), config)
    some = open_session(make_trainer(tmp_path / "some", bundle, scored=SCORED), config)
    whole, gaps = train(every, 6), train(some, 6)
    for epoch, (record, known) in enumerate(zip(gaps, whole, strict=True), start=1):
        if epoch in SCORED:
            assert record == known
        else:
            assert without_gaps(record) == {"train_loss": known["train_loss"]}
    assert same_bits(some.weights(), every.weights())


def test_the_address_says_which_epochs_are_scored(bundle: Bundle, tmp_path: Path) -> None:
    def addresses(fusion: str, **options: object) -> list[str]:
        trainer = make_trainer(tmp_path, bundle, **options)
        return [spec.address for spec in trainer.model(CONFIG.replace(fusion=fusion), 0).specs]

    for fusion in ("image", "sum"):
        every = addresses(fusion)
        assert addresses(fusion, scored=None) == every
        assert not {*addresses(fusion, scored=SCORED)} & {*every}
        assert addresses(fusion, scored=(5, 2, 2)) == addresses(fusion, scored=SCORED)
        assert not {*addresses(fusion, scored=(2, 6))} & {*addresses(fusion, scored=SCORED)}


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_it_goes_on_elsewhere_to_the_same_numbers(
    bundle: Bundle, tmp_path: Path, stop: int
) -> None:
    whole = open_session(make_trainer(tmp_path / "whole", bundle, scored=SCORED))
    expected = [without_gaps(record) for record in train(whole, 6)]
    first = open_session(make_trainer(tmp_path / "cut", bundle, scored=SCORED))
    train(first, stop)
    first.checkpoint()
    second = open_session(make_trainer(tmp_path / "cut", bundle, scored=SCORED))
    assert second.known == stop
    assert [without_gaps(record) for record in train(second, 6)] == expected
    assert (first.trained, second.trained) == (stop, 6 - stop)
    assert same_bits(second.weights(), whole.weights())


def test_a_two_step_fusion_is_scored_in_both_steps(bundle: Bundle, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, bundle, scored=(2, 6))
    model = trainer.model(CONFIG.replace(fusion="sum"), 0)
    scored = [step for step in range(1, 13) if not math.isnan(model.advance()["micro_f1"])]
    assert scored == [2, 6, 8, 12]


def test_a_loss_that_is_not_finite_ends_the_run_in_any_epoch(
    bundle: Bundle, tmp_path: Path
) -> None:
    config = CONFIG.replace(lr=1e30, loss="focal")
    every = open_session(make_trainer(tmp_path / "every", bundle), config)
    while every.ended is None:
        every.advance()
    some = open_session(make_trainer(tmp_path / "some", bundle, scored=(6,)), config)
    while some.ended is None:
        record = some.advance()
    assert some.epoch < 6
    assert some.ended == f"the loss was not finite in epoch {some.epoch}"
    assert (record["micro_f1"], record["macro_f1"]) == (0.0, 0.0)
    # one that is finite in training is found where the validation loss is looked at
    assert some.epoch >= every.epoch


def test_an_interrupted_epoch_leaves_no_score(bundle: Bundle, tmp_path: Path) -> None:
    polls: list[None] = []

    def poll() -> None:
        polls.append(None)
        if len(polls) == 8:
            raise Interrupted

    trainer = make_trainer(tmp_path, bundle, scored=SCORED, poll=poll)
    session = open_session(trainer)
    with pytest.raises(Interrupted):
        train(session, 6)
    session.checkpoint()
    reopened = open_session(make_trainer(tmp_path, bundle, scored=SCORED), session.spec.config)
    assert reopened.known == session.epoch == 1
