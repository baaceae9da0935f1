"""Runs whose loss is not finite: they end, score 0, and end again when replayed."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
from training_samples import CONFIG, make_trainer, open_session, scores_of, train

from hpo.features import Bundle

WILD = CONFIG.model_copy(update={"lr": 1e30})
REASON = r"the loss was not finite in epoch 1"


def with_infinity(bundle: Bundle) -> Bundle:
    image = np.array(bundle.features.train["image"])
    image[7, 3] = np.inf
    features, other = copy.copy(bundle.features), copy.copy(bundle)
    object.__setattr__(features, "train", {**bundle.features.train, "image": image})
    object.__setattr__(other, "features", features)
    return other


@pytest.mark.parametrize("loss", ["bce", "focal", "asl"])
@pytest.mark.parametrize("cause", ["learning rate", "features"])
def test_run_ends_with_score_zero(tmp_path: Path, bundle: Bundle, cause: str, loss: str) -> None:
    if cause == "features":
        bundle, config = with_infinity(bundle), CONFIG
    else:
        config = WILD
    config = config.model_copy(update={"loss": loss})
    trainer = make_trainer(tmp_path, bundle)
    session = open_session(trainer, config)
    assert session.ended is None
    record = session.advance()
    assert session.ended == REASON
    assert scores_of(record) == (0.0, 0.0, 0.0, 0.0)
    assert not (math.isfinite(record["train_loss"]) and math.isfinite(record["val_loss"]))
    with pytest.raises(
        RuntimeError, match=rf"^The run {session.spec.address} has ended: {REASON}$"
    ):
        session.advance()
    with pytest.raises(RuntimeError, match=REASON):
        session.weights()
    session.finish()
    names = {path.name for path in (tmp_path / session.spec.address).iterdir()}
    assert names == {"run.json", "000001.ended.safetensors"}


def test_replay_ends_without_training(tmp_path: Path, bundle: Bundle) -> None:
    first = open_session(make_trainer(tmp_path, bundle), WILD)
    record = first.advance()
    again = open_session(make_trainer(tmp_path, bundle), WILD)
    assert again.ended is None  # not before its last epoch
    replayed = again.advance()
    assert again.ended == REASON
    assert again.trained == 0
    # NaN is equal to nothing, so compare the text.
    assert repr(replayed) == repr(record)


@pytest.mark.parametrize("batch_size", [1000, 60])
def test_run_that_ends_later_keeps_what_was_before(
    tmp_path: Path, bundle: Bundle, batch_size: int
) -> None:
    # Adam's steps are of about lr in each weight, and the second layer multiplies by the first.
    config = CONFIG.model_copy(
        update={"lr": 1e12, "hidden": (16, 16, 16), "batch_size": batch_size}
    )
    trainer = make_trainer(tmp_path, bundle, checkpoint_every=1)
    session = open_session(trainer, config)
    records = []
    while session.ended is None and len(records) < 20:
        records.append(session.advance())
    assert session.ended == f"the loss was not finite in epoch {len(records)}"
    assert records[-1]["micro_f1"] == 0.0
    history = trainer.store.history(session.spec.address)
    assert history.ended == session.ended
    assert repr(list(history.records)) == repr(records)


def test_two_step_fusion_ends_with_its_head(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, with_infinity(bundle))
    model = trainer.model(CONFIG.model_copy(update={"fusion": "sum"}), 0)
    record = model.advance()
    assert model.done
    assert model.step == 1
    assert model.ended == REASON
    assert model.record == record
    assert record["micro_f1"] == 0.0  # although the text head is well
    model.finish()
    before = trainer.epochs_trained
    again = trainer.model(CONFIG.model_copy(update={"fusion": "sum"}), 0)
    again.advance()
    assert again.ended == REASON
    assert trainer.epochs_trained == before


def test_refit_that_diverges_ends(tmp_path: Path, bundle: Bundle) -> None:
    model = make_trainer(tmp_path, with_infinity(bundle)).model(CONFIG, 0, rows="all")
    assert model.advance()["micro_f1"] == 0.0
    assert model.ended == REASON


def test_wild_but_finite_run_goes_on(tmp_path: Path, bundle: Bundle) -> None:
    session = open_session(make_trainer(tmp_path, bundle), CONFIG.model_copy(update={"lr": 10.0}))
    train(session, 5)
    assert session.ended is None
