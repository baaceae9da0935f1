"""How good the winner is, and how sure that is: intervals, ties, and what single classes get."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.models import modalities_read
from hpo.results._class_scores import ClassScore, class_scores
from hpo.results._decide import seed_probabilities, trainer_of
from hpo.results._intervals import (
    F1_SCORES,
    Interval,
    f1_compared,
    f1_differences,
    f1_intervals,
    listed,
    mean_scores,
)
from hpo.search import Task
from hpo.study import StoredStudy
from hpo.training import Trainer

__all__ = ["Judgement", "judge"]

#: Configurations that are compared with the winner, the best ones.
_COMPARED = 20
Predictions = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What is known of the winner of a study.

    Attributes:
        validation: Its scores on the validation rows, at a probability of 0.5, mean over seeds.
        untouched: The same models on the test part; None without one.
        untouched_tuned: The same at ``thresholds``.
        tied: Trials that can't be told from it on the validation rows (95%, paired over rows and
            over seeds).
        compared: The scores on the validation rows of the trials that it was compared with, at
            0.5, by their numbers.
        thresholds: One a class.
        tuned: Its scores on the validation rows at these thresholds, which were chosen there, or
            out of fold on these rows and others.
        classes: The scores of each class on the validation rows, at 0.5.
        classes_tuned: Likewise at these thresholds.
        without: For each modality that it reads, its scores on the validation rows where all of
            them lack it, at 0.5; empty if it reads one only.
    """

    validation: dict[str, Interval]
    untouched: dict[str, Interval] | None
    untouched_tuned: dict[str, Interval] | None
    tied: tuple[int, ...]
    compared: dict[int, dict[str, Interval]]
    thresholds: tuple[float, ...]
    tuned: dict[str, Interval]
    classes: dict[str, ClassScore]
    classes_tuned: dict[str, ClassScore]
    without: dict[str, dict[str, float]]

    def optimism(self, metric: str) -> float | None:
        """Return the validation score minus the test score; None where that isn't known."""
        if self.untouched is None or metric not in self.validation:
            return None
        return self.validation[metric].value - self.untouched[metric].value

    def to_json(self, metric: str) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "validation": listed(self.validation),
            "validation_tuned": listed(self.tuned),
            "winner_on_test": None if self.untouched is None else listed(self.untouched),
            "winner_on_test_tuned": (
                None if self.untouched_tuned is None else listed(self.untouched_tuned)
            ),
            "optimism": self.optimism(metric),
            "tied": {"trials": list(self.tied), "compared": len(self.compared)},
            "compared": {str(trial): listed(scores) for trial, scores in self.compared.items()},
        }


def judge(
    study: StoredStudy,
    best: Task,
    tasks: Sequence[Task],
    device: str,
    thresholds: Sequence[float] | None = None,
    *,
    trainer: Trainer | None = None,
) -> Judgement | None:
    """Judge the winner by the weights that the run store has of it; nothing is trained.

    Args:
        study: A complete study.
        best: Its winner.
        tasks: All its tasks.
        device: Where to compute.
        thresholds: One a class, which ``decide`` chose; 0.5 by default.
        trainer: That of ``decide``, which has the rows in memory already.

    Returns:
        None if the run store doesn't have the winner's weights any more.
    """
    trainer = trainer_of(study, best, device) if trainer is None else trainer
    bundle = trainer.bundle
    truth = bundle.labels_of("val") > 0
    if thresholds is None:
        thresholds = (0.5,) * len(bundle.classes)
    mine = seed_probabilities(trainer, best, "val")
    if mine is None:
        return None
    predicted = [p > 0.5 for p in mine]
    rivals, theirs = _rivals(trainer, best, tasks)
    groups = bundle.groups_of("val")
    compared = f1_compared(predicted, theirs, truth, groups)
    tied = _ties(study, rivals, [difference for _, difference in compared])
    on_test = seed_probabilities(trainer, best, "test") if "test" in bundle.split else None
    untouched = untouched_tuned = None
    if on_test is not None:
        right = bundle.labels_of("test") > 0
        of_test = bundle.groups_of("test")
        untouched = f1_intervals([p > 0.5 for p in on_test], right, of_test)
        untouched_tuned = f1_intervals(
            [p > np.asarray(thresholds) for p in on_test], right, of_test
        )
    return Judgement(
        validation=f1_intervals(predicted, truth, groups),
        untouched=untouched,
        untouched_tuned=untouched_tuned,
        tied=tuple(task.trial for task in tied if task.trial is not None),
        compared={
            task.trial: scores
            for task, (scores, _) in zip(rivals, compared, strict=True)
            if task.trial is not None
        },
        thresholds=tuple(thresholds),
        tuned=f1_intervals([p > np.asarray(thresholds) for p in mine], truth, groups),
        classes=class_scores(mine, truth, bundle.classes),
        classes_tuned=class_scores(mine, truth, bundle.classes, tuple(thresholds)),
        without=_without(trainer, best, truth),
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
    trainer = trainer_of(study, best, device)
    truth = trainer.bundle.labels_of("val") > 0
    mine = seed_probabilities(trainer, best, "val")
    if mine is None:
        return None
    rivals, theirs = _rivals(trainer, best, tasks)
    groups = trainer.bundle.groups_of("val")
    return _ties(study, rivals, f1_differences([p > 0.5 for p in mine], theirs, truth, groups))


def _ties(
    study: StoredStudy, rivals: Sequence[Task], differences: Sequence[dict[str, Interval]]
) -> list[Task]:
    """Return those of the rivals whose difference may be none."""
    metric = study.space.metric if study.space.metric in F1_SCORES else "micro_f1"
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
        probabilities = seed_probabilities(trainer, task, "val")
        if probabilities is not None:
            rivals.append(task)
            theirs.append([p > 0.5 for p in probabilities])
    return rivals, theirs


def _value(task: Task) -> float:
    assert task.outcome is not None
    return -math.inf if math.isnan(task.outcome.value) else task.outcome.value


def _without(trainer: Trainer, best: Task, truth: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Return the scores on the validation rows with each modality taken away."""
    assert best.config is not None
    read = modalities_read(best.config.fusion, trainer.bundle.modalities) or ()
    found = {}
    for name in read if len(read) > 1 else ():
        probabilities = seed_probabilities(trainer, best, "val", without=name)
        assert probabilities is not None  # the weights were there for the whole rows
        found[name] = mean_scores([p > 0.5 for p in probabilities], truth)
    return found
