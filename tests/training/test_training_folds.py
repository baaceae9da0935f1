"""Out-of-fold predictions: every row by a model that was trained without it, once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_samples import CONFIG, make_bundle, make_trainer

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.models import Config
from hpo.training import Interrupted, RunStore, Trainer, out_of_fold, trim_store

USED = np.arange(0, 280)


@pytest.fixture(scope="module")
def parted() -> Bundle:
    """Rows 280 to 299 are in no part."""
    return make_bundle(train=range(0, 220), val=range(220, 280))


def predicted(trainer: Trainer, config: Config = CONFIG, **options: int) -> np.ndarray:
    return out_of_fold(trainer, config, **({"folds": 4, "seed": 0} | options))


@pytest.mark.parametrize("fusion", ["concat", "sum"])
def test_each_row_is_predicted_by_a_model_that_lacks_it(
    tmp_path: Path, parted: Bundle, fusion: str
) -> None:
    """With the labels of one fold's rows changed, the predictions of these rows stay."""
    config = CONFIG.replace(fusion=fusion, batch_size=64, feature_scaling="standard")
    trainer = make_trainer(tmp_path / "a", parted)
    found = predicted(trainer, config)
    assert found.shape == (280, 5) and found.dtype == np.float32
    held = [trainer.data.index(n) for n in trainer.data._index if n.startswith("rows of fold")]
    assert len(held) == 4
    assert np.array_equal(np.sort(np.concatenate(held)), USED)
    for rows in held:  # each class in about the same proportion
        share = parted.labels[rows].mean(axis=0) - parted.labels[USED].mean(axis=0)
        assert np.abs(share).max() < 0.06
    trained = [n for n in trainer.data._index if n.startswith("fold ")]
    for name, rows in zip(trained, held, strict=True):
        assert not np.intersect1d(trainer.data.index(name), rows).size
        assert len(trainer.data.index(name)) + len(rows) == 280
        # the very model of these rows, trained by itself
        alone = make_trainer(tmp_path / "b", parted)
        alone.data.define(name, trainer.data.index(name), trained_on=True)
        run = alone.model(config, 0, rows=name)
        while not run.done:
            run.advance()
        run.finish()
        alone.data.define("held", rows, trained_on=False)
        logits = alone.stored_logits(config, 0, config.epochs, "held", trained_on=name)
        assert logits is not None
        assert np.array_equal(found[np.searchsorted(USED, rows)], logits.numpy())


def test_what_was_trained_is_not_trained_again(tmp_path: Path, parted: Bundle) -> None:
    trainer = make_trainer(tmp_path, parted)
    first = predicted(trainer)
    assert trainer.epochs_trained == 4 * CONFIG.epochs
    again = make_trainer(tmp_path, parted)
    assert np.array_equal(predicted(again), first)
    assert again.epochs_trained == 0
    other = make_trainer(tmp_path, parted)
    assert not np.array_equal(predicted(other, seed=1), first)
    trim_store(RunStore(tmp_path), 0.0)  # only curves are left
    trimmed = make_trainer(tmp_path, parted)
    assert np.array_equal(predicted(trimmed), first)


def test_it_goes_on_where_it_was_stopped(tmp_path: Path, parted: Bundle) -> None:
    whole = predicted(make_trainer(tmp_path / "whole", parted))
    steps: list[tuple[int, int]] = []

    def stop(step: int, of: int) -> None:
        steps.append((step, of))
        if step == 9:  # in the second of four models of six epochs
            raise Interrupted

    stopped = make_trainer(tmp_path / "stopped", parted)
    with pytest.raises(Interrupted):
        out_of_fold(stopped, CONFIG, folds=4, seed=0, on_step=stop)
    assert steps == [(step, 24) for step in range(1, 10)]
    rest = make_trainer(tmp_path / "stopped", parted)
    assert np.array_equal(predicted(rest), whole)
    assert stopped.epochs_trained + rest.epochs_trained == 24


def test_rows_of_a_picture_are_in_one_fold(tmp_path: Path, parted: Bundle) -> None:
    groups = np.arange(300) // 3
    labels = np.repeat(np.asarray(parted.labels)[::3], 3, axis=0)
    grouped = replace(parted, groups=groups, labels=labels)
    trainer = make_trainer(tmp_path, grouped)
    assert predicted(trainer).shape == (280, 5)
    held = [trainer.data.index(n) for n in trainer.data._index if n.startswith("rows of fold")]
    assert np.array_equal(np.sort(np.concatenate(held)), USED)
    pictures = [set(groups[rows]) for rows in held]
    assert sum(map(len, pictures)) == len(set().union(*pictures)) == 94
    with pytest.raises(InputError, match=r"^folds is 95, but must be at most 94, the rows"):
        predicted(trainer, folds=95)


def test_more_folds_than_rows_are_refused(tmp_path: Path, parted: Bundle) -> None:
    with pytest.raises(InputError, match=r"^folds is 281, but must be at most 280, the rows"):
        predicted(make_trainer(tmp_path, parted), folds=281)
