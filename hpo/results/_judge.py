"""How good the winner is, and how sure that is: intervals, ties, and rows that no decision saw."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.features import Bundle, load_bundle
from hpo.results._intervals import F1_SCORES, Interval, f1_differences, f1_intervals
from hpo.results._thresholds import tune_thresholds
from hpo.search import Task
from hpo.study import StoredStudy
from hpo.training import RunStore, TrainedModel, Trainer, open_device

__all__ = ["Judgement", "judge", "scores_on_test"]

#: Configurations that are compared with the winner, the best ones.
_COMPARED = 20
Probabilities = NDArray[np.float32]
Predictions = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What is known of the winner of a study.

    Attributes:
        validation: Its scores on the validation rows, at a probability of 0.5, mean over seeds.
        untouched: The same models on the test part; None without one.
        tied: Trials that can't be told from it on the validation rows (95%, paired over rows and
            over seeds).
        compared: How many trials it was compared with.
        thresholds: One a class, as the space wants them chosen.
        tuned: Its scores on the validation rows at these thresholds, which were chosen there.
    """

    validation: dict[str, Interval]
    untouched: dict[str, Interval] | None
    tied: tuple[int, ...]
    compared: int
    thresholds: tuple[float, ...]
    tuned: dict[str, Interval]

    def optimism(self, metric: str) -> float | None:
        """Return the validation score minus the test score; None where that isn't known."""
        if self.untouched is None or metric not in self.validation:
            return None
        return self.validation[metric].value - self.untouched[metric].value

    def to_json(self, metric: str) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "validation": _listed(self.validation),
            "validation_tuned": _listed(self.tuned),
            "winner_on_test": None if self.untouched is None else _listed(self.untouched),
            "optimism": self.optimism(metric),
            "tied": {"trials": list(self.tied), "compared": self.compared},
        }


def judge(study: StoredStudy, best: Task, tasks: Sequence[Task], device: str) -> Judgement | None:
    """Judge the winner by the weights that the run store has of it; nothing is trained.

    Args:
        study: A complete study.
        best: Its winner.
        tasks: All its tasks.
        device: Where to compute.

    Returns:
        None if the run store doesn't have the winner's weights any more.
    """
    trainer = _trainer(study, device)
    bundle = trainer.bundle
    truth = bundle.labels_of("val") > 0
    mine = _probabilities(trainer, best, "val")
    if mine is None:
        return None
    predicted = [p > 0.5 for p in mine]
    thresholds = np.full(truth.shape[1], 0.5)
    if study.space.thresholds is not None:
        mean = np.mean(mine, axis=0)
        thresholds = tune_thresholds(mean, truth, study.space.thresholds.metrics)
    rivals, theirs = _rivals(trainer, best, tasks)
    tied = _ties(study, predicted, rivals, theirs, truth)
    return Judgement(
        validation=f1_intervals(predicted, truth),
        untouched=_on_test(trainer, best, bundle),
        tied=tuple(task.trial for task in tied if task.trial is not None),
        compared=len(rivals),
        thresholds=tuple(float(t) for t in thresholds),
        tuned=f1_intervals([p > thresholds for p in mine], truth),
    )


def tied_with(
    study: StoredStudy, best: Task, tasks: Sequence[Task], device: str
) -> list[Task] | None:
    """Return the tasks that can't be told from one on the validation rows; reads no other rows.

    Args:
        study: See ``judge``; likewise ``best``, ``tasks`` and ``device``.

    Returns:
        None if the run store doesn't have the weights any more.
    """
    trainer = _trainer(study, device)
    truth = trainer.bundle.labels_of("val") > 0
    mine = _probabilities(trainer, best, "val")
    if mine is None:
        return None
    rivals, theirs = _rivals(trainer, best, tasks)
    return _ties(study, [p > 0.5 for p in mine], rivals, theirs, truth)


def scores_on_test(
    model: TrainedModel, bundle: Bundle, device: str
) -> tuple[dict[str, Interval], dict[str, Interval]] | None:
    """Return a model's scores on the test part: at its thresholds, and at 0.5.

    Args:
        model: The refitted model, which was trained on all other rows.
        bundle: With the test part; None is returned without one.
        device: Where to compute.
    """
    if "test" not in bundle.split:
        return None
    features = bundle.choosing(model.config.encoder).features
    probabilities = model.probabilities(features.train, open_device(device), bundle.split["test"])
    truth = bundle.labels_of("test") > 0
    return (
        f1_intervals([probabilities > np.asarray(model.thresholds)], truth),
        f1_intervals([probabilities > 0.5], truth),
    )


def _trainer(study: StoredStudy, device: str) -> Trainer:
    definition = study.definition
    return Trainer(
        load_bundle(definition.bundle),
        open_device(device, definition.arithmetic),
        RunStore(definition.run_store),
        metrics=definition.metrics,
        scored=study.space.scored_epochs(),
        memory_gb=0.0,  # rows that each model reads once are worth no copy
    )


def _ties(
    study: StoredStudy,
    predicted: list[Predictions],
    rivals: Sequence[Task],
    theirs: Sequence[list[Predictions]],
    truth: Predictions,
) -> list[Task]:
    """Return those of the rivals whose difference may be none."""
    metric = study.space.metric if study.space.metric in F1_SCORES else "micro_f1"
    differences = f1_differences(predicted, theirs, truth)
    return [
        rival
        for rival, difference in zip(rivals, differences, strict=True)
        if difference[metric].low <= 0 <= difference[metric].high
    ]


def _rivals(
    trainer: Trainer, best: Task, tasks: Sequence[Task]
) -> tuple[list[Task], list[list[Predictions]]]:
    """Return the best of the other trials that weren't pruned, and what each seed predicts."""
    others = [
        task
        for task in tasks
        if task.outcome is not None and not task.outcome.pruned and task.position != best.position
    ]
    rivals, theirs = [], []
    for task in sorted(others, key=_value, reverse=True)[:_COMPARED]:
        probabilities = _probabilities(trainer, task, "val")
        if probabilities is not None:
            rivals.append(task)
            theirs.append([p > 0.5 for p in probabilities])
    return rivals, theirs


def _value(task: Task) -> float:
    assert task.outcome is not None
    return -math.inf if math.isnan(task.outcome.value) else task.outcome.value


def _probabilities(trainer: Trainer, task: Task, part: str) -> list[Probabilities] | None:
    """Return the probabilities of each seed's model; None if the weights are gone."""
    assert task.config is not None and task.outcome is not None
    found: list[Probabilities] = []
    # one that isn't whole is judged by its weights where it stands
    epochs = task.config.epochs if task.outcome.pruned is None else task.outcome.steps
    for seed in range(len(task.outcome.scores)):
        logits = trainer.stored_logits(task.config, seed, epochs, part)
        if logits is None:
            return None
        found.append(logits.sigmoid().cpu().numpy())
    return found


def _on_test(trainer: Trainer, best: Task, bundle: Bundle) -> dict[str, Interval] | None:
    if "test" not in bundle.split:
        return None
    found = _probabilities(trainer, best, "test")
    assert found is not None  # the weights were there for the validation rows
    return f1_intervals([p > 0.5 for p in found], bundle.labels_of("test") > 0)


def _listed(scores: dict[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: dataclasses.asdict(interval) for name, interval in scores.items()}
