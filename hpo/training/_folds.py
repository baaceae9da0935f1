"""Out-of-fold predictions: each row's by a model that was trained without it."""

import hashlib
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo.errors import DivergedError, InputError
from hpo.models import Config
from hpo.training._refit import refit_config
from hpo.training._trainer import Trainer

__all__ = ["out_of_fold"]


def out_of_fold(
    trainer: Trainer,
    config: Config,
    *,
    folds: int,
    seed: int,
    epochs: Literal["keep", "steps"] = "keep",
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> NDArray[np.float32]:
    """Return logits of the training and validation rows by models that have not seen them.

    The rows are divided into ``folds`` parts with each class in the same proportion; all rows of a
    picture are in one of them. For each part a model is trained on the others; it is a run like any
    other, so that the run store keeps it and what was trained before is not trained again. The test
    part has no part in any of this.

    Args:
        trainer: Holds data and run store.
        config: As it was tried; ``refit_config`` says how it is trained here.
        folds: How many parts, at least 2.
        seed: Of the division and of the runs.
        epochs: ``keep`` or ``steps``; see ``refit_config``.
        on_step: Called with steps done and steps in all.

    Returns:
        float32 [rows, K], the rows in ascending order.

    Raises:
        InputError: There are fewer rows, or pictures, than folds.
        DivergedError: A training run diverged.
    """
    data = trainer.data_of(config)
    index = data.index("all")
    groups = data.bundle.groups
    part_of = _divided(
        data.bundle.labels[index], folds, seed, None if groups is None else groups[index]
    )
    logits = np.empty((len(index), data.classes), np.float32)
    for fold in range(folds):
        held = part_of == fold
        name = f"fold {fold + 1} of {folds}"
        rows, apart = _named(name, index[~held]), _named(f"rows of {name}", index[held])
        data.define(rows, index[~held], trained_on=True)
        data.define(apart, index[held], trained_on=False)
        fitted = refit_config(config, data.rows("train"), data.rows(rows), epochs)
        _train(trainer, fitted, seed, rows, _counted(on_step, fold, folds))
        found = trainer.stored_logits(fitted, seed, fitted.epochs, apart, trained_on=rows)
        assert found is not None  # the weights were just made sure of
        logits[held] = found.cpu().numpy()
    return logits


def _train(
    trainer: Trainer, config: Config, seed: int, rows: str, on_step: Callable[[int, int], None]
) -> None:
    """Train a model on some rows to its end, so that the run store has its weights."""
    run = trainer.model(config, seed, rows=rows)
    try:
        while not run.done:
            run.advance()
            on_step(run.step, run.steps)
    except BaseException:
        run.checkpoint()
        raise
    if run.ended is not None:
        raise DivergedError(f"The training on {rows} diverged: {run.ended}.")
    run.finish()
    for spec in run.specs:
        trainer.weights(spec, config.epochs)  # trained again if the store has dropped them


def _counted(
    on_step: Callable[[int, int], None], fold: int, folds: int
) -> Callable[[int, int], None]:
    """Return what counts the steps of one fold among those of all."""
    return lambda step, steps: on_step(fold * steps + step, folds * steps)


def _divided(
    labels: NDArray[np.uint8], folds: int, seed: int, groups: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Return the fold of each row (Sechidis et al. 2011, by iterstrat).

    Args:
        labels: [rows, K].
        folds: How many there are.
        seed: Of the division.
        groups: The number of each row's picture, whose rows have the same labels; None if each has
            one row.
    """
    if groups is not None:
        _, first, place = np.unique(groups, return_index=True, return_inverse=True)
        of_pictures: NDArray[np.int64] = _divided(labels[first], folds, seed, None)[place]
        return of_pictures
    if len(labels) < folds:
        raise InputError(
            f"folds is {folds}, but must be at most {len(labels)}, the rows (or, where captions "
            "have rows of their own, the pictures) to train and validate on"
        )
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold  # brings in scikit-learn

    # see hpo/data/_split.py: a column of zeros asks for nothing
    padded = np.pad(labels, ((0, 0), (0, 1)))
    splitter = MultilabelStratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    part = np.empty(len(labels), np.int64)
    for fold, (_, held) in enumerate(splitter.split(padded, padded)):
        part[held] = fold
    return part


def _named(name: str, index: NDArray[np.int64]) -> str:
    """Return a name that tells sets of rows apart, since it is a part of a run's address."""
    return f"{name} {hashlib.sha256(index.astype('<i8').tobytes()).hexdigest()[:12]}"
