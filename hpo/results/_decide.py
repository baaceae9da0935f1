"""From probabilities to labels: thresholds and calibration, by rows the models haven't seen."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.features import load_bundle
from hpo.results._calibration import BINS, Calibrated, calibrate, calibration_error, kept
from hpo.results._ensemble import Selection
from hpo.results._intervals import Groups, Interval
from hpo.results._thresholds import tune_thresholds
from hpo.search import Space, Task
from hpo.study import StoredStudy
from hpo.training import Calibration, RunStore, Trainer, open_device, out_of_fold

__all__ = ["Decision", "decide", "decide_on", "seed_probabilities", "trainer_of"]

Probabilities = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Decision:
    """What a study's model does with its probabilities.

    Attributes:
        rows: What it was decided on, in words.
        held_out: Probabilities of these rows by models that were not trained on them; one for each
            seed of the winner, or one for all folds. [rows, K] each.
        truth: [rows, K].
        groups: The picture of each row, where pictures may have several.
        thresholds: One a class, for probabilities as they are.
        tried: What calibrations would do; empty where the space asks for none.
        calibration: The one to use; None where none surely helps.
        epochs: Of single runs, trained for the folds.
        trainer: Has the rows; None for an ensemble.
    """

    rows: str
    held_out: tuple[Probabilities, ...]
    truth: NDArray[np.bool_]
    groups: Groups
    thresholds: tuple[float, ...]
    tried: tuple[Calibrated, ...]
    calibration: Calibration | None
    epochs: int
    trainer: Trainer | None

    def calibration_json(
        self,
        on_test: Sequence[Probabilities] | None,
        truth: NDArray[np.bool_] | None,
        groups: Groups = None,
    ) -> dict[str, Any]:
        """Return what is known of the calibration, JSON-ready.

        Args:
            on_test: Probabilities of the test part as they are, [rows, K]; None without one.
            truth: Of the test part.
            groups: Likewise, where pictures may have several rows.
        """
        used = next((t for t in self.tried if t.calibration is self.calibration), None)
        held = {"ece": _listed(calibration_error(self.held_out, self.truth, self.groups))}
        found: dict[str, Any] = {
            "bins": BINS,
            "rows": self.rows,
            "method": None if self.calibration is None else self.calibration.method,
            "validation": held,
            "tried": {
                t.calibration.method: {
                    "ece_calibrated": _listed(t.after),
                    "gain": _listed(t.gain),
                    "log_loss": t.loss,
                }
                for t in self.tried
            },
        }
        if used is not None:
            held["ece_calibrated"] = _listed(used.after)
        if on_test is not None and truth is not None:
            found["test"] = {"ece": _listed(calibration_error(on_test, truth, groups))}
            if self.calibration is not None:
                corrected = [self.calibration.apply(model) for model in on_test]
                found["test"]["ece_calibrated"] = _listed(
                    calibration_error(corrected, truth, groups)
                )
        return found


def decide(
    study: StoredStudy,
    best: Task,
    device: str,
    *,
    folds: bool = True,
    memory_gb: float | None = None,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> Decision | None:
    """Choose thresholds and calibration as the space asks for.

    Args:
        study: A complete study.
        best: Its winner.
        device: Where to compute.
        folds: Whether models may be trained for out-of-fold predictions. Without, the validation
            rows are used even if the space asks for folds.
        memory_gb: What the rows of a fold may take; see ``TrainingData``.
        on_step: Called with steps done and steps in all, while folds are trained.

    Returns:
        None if the run store doesn't have the winner's weights any more and there are no folds.

    Raises:
        InputError: There are fewer rows than folds.
        DivergedError: The training on a fold diverged.
    """
    space = study.space
    wanted = space.thresholds
    folded = folds and wanted is not None and wanted.folds is not None
    trainer = trainer_of(study, best, device, memory_gb if folded else 0.0)
    bundle = trainer.bundle
    held_out: list[Probabilities] | None
    if folds and wanted is not None and wanted.folds is not None:
        assert best.config is not None  # it has an outcome
        seed = 0 if space.refit is None else space.refit.seed
        logits = out_of_fold(
            trainer,
            best.config,
            folds=wanted.folds,
            seed=seed,
            epochs="keep" if space.refit is None else space.refit.epochs,
            on_step=on_step,
        )
        held_out = [np.exp(-np.logaddexp(0, -logits))]
        index = trainer.data_of(best.config).index("all")
        truth = bundle.labels[index] > 0
        groups = None if bundle.groups is None else bundle.groups[index]
        rows = f"training and validation rows, out of {wanted.folds} folds"
    else:
        held_out = seed_probabilities(trainer, best, "val")
        truth, groups = bundle.labels_of("val") > 0, bundle.groups_of("val")
        rows = "validation rows"
    if held_out is None:
        return None
    return dataclasses.replace(
        _on(rows, held_out, truth, groups, space), epochs=trainer.epochs_trained, trainer=trainer
    )


def decide_on(selection: Selection, space: Space) -> Decision:
    """Choose thresholds and calibration of an ensemble, by the validation rows.

    Args:
        selection: With members.
        space: Says what to choose.
    """
    assert selection.probabilities is not None  # it has members
    rows = "validation rows, by the ensemble"
    return _on(rows, [selection.probabilities], selection.truth, selection.groups, space)


def _on(
    rows: str,
    held_out: Sequence[Probabilities],
    truth: NDArray[np.bool_],
    groups: Groups,
    space: Space,
) -> Decision:
    """Return what a space wants chosen, by predictions of some rows."""
    thresholds = np.full(truth.shape[1], 0.5)
    if space.thresholds is not None:
        mean = np.mean(held_out, axis=0)
        thresholds = tune_thresholds(mean, truth, space.thresholds.metrics)
    tried = tuple(calibrate(held_out, truth, groups)) if space.calibrate else ()
    best_of_them = kept(tried)
    return Decision(
        rows=rows,
        held_out=tuple(held_out),
        truth=truth,
        groups=groups,
        thresholds=tuple(float(t) for t in thresholds),
        tried=tried,
        calibration=None if best_of_them is None else best_of_them.calibration,
        epochs=0,
        trainer=None,
    )


def trainer_of(
    study: StoredStudy, best: Task, device: str, memory_gb: float | None = 0.0
) -> Trainer:
    """Return a trainer with the study's data and run store.

    Args:
        study: The study.
        best: Its winner, whose length is kept in the run store.
        device: Where to compute.
        memory_gb: See ``TrainingData``; rows that each model reads once are worth no copy.
    """
    assert best.config is not None  # it has an outcome
    definition = study.definition
    return Trainer(
        load_bundle(definition.bundle),
        open_device(device, definition.arithmetic),
        RunStore(definition.run_store),
        metrics=definition.metrics,
        scored=study.space.scored_epochs(),
        checkpoint_every=definition.checkpoint_every,
        milestones=(best.config.epochs,),
        memory_gb=memory_gb,
    )


def seed_probabilities(
    trainer: Trainer, task: Task, part: str, *, without: str | None = None
) -> list[Probabilities] | None:
    """Return the probabilities of each seed's model; None if the weights are gone.

    Args:
        trainer: See ``trainer_of``.
        task: With an outcome.
        part: Such as ``val``.
        without: A modality that is taken away from all rows.
    """
    assert task.config is not None and task.outcome is not None
    found: list[Probabilities] = []
    # one that isn't whole is judged by its weights where it stands
    epochs = task.config.epochs if task.outcome.pruned is None else task.outcome.steps
    for seed in range(len(task.outcome.scores)):
        logits = trainer.stored_logits(task.config, seed, epochs, part, without=without)
        if logits is None:
            return None
        found.append(logits.sigmoid().cpu().numpy())
    return found


def _listed(interval: Interval) -> dict[str, float]:
    return dataclasses.asdict(interval)
