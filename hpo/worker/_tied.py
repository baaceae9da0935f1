"""Stops a study when more trials would gain less than can be told apart."""

import statistics

import torch

from hpo.search import StopQuestion
from hpo.study import StoredStudy
from hpo.training import Trainer, metric_label, standard_error
from hpo.worker._bench import Workbench

__all__ = ["StopWhenTied"]


class StopWhenTied:
    """Asks, whenever there are new scores, whether the study can stop beginning trials.

    It can when the expected gain of all trials that are still to begin is below the standard error
    of the difference between the best trials there are, paired over the validation rows. That a
    search may stop where its gain is below the error of its scores is the rule of Makarova et al.
    2022 ("Automatic Termination for Hyperparameter Optimization").

    Args:
        study: The study.
        bench: The worker's.
    """

    def __init__(self, study: StoredStudy, bench: Workbench) -> None:
        self._study = study
        self._bench = bench
        self._asked = 0

    def check(self) -> None:
        """Stop the study if it is time."""
        question = self._study.strategy.stop_question(self._study.board())
        if question is None or question.trials <= self._asked:
            return
        self._asked = question.trials
        error = self._bench.carry_out(lambda trainer: self._error(trainer, question))
        if error is None or question.gain > error:
            return
        metric = metric_label(self._study.space.metric)
        self._study.ledger.stop(
            self._study.name,
            f"more trials were expected to gain at most {question.gain:.3f} of {metric}, which is "
            f"less than the standard error of a difference, {error:.3f}",
        )

    def _error(self, trainer: Trainer, question: StopQuestion) -> float | None:
        """Return the error that is typical of differences from the best; None if it isn't known."""
        metric = trainer.metrics[self._study.space.metric]
        found: list[torch.Tensor] = []
        for config in question.configs:
            logits = trainer.stored_logits(config, 0, question.step, "val")
            if logits is not None:
                found.append(logits)
        if len(found) < 2:
            return None
        first = question.configs[0]
        part = trainer.data_of(first).part("val", first.feature_scaling, "train")
        targets = part.targets[slice(0, part.rows)]
        with trainer.device.in_use():
            best, *others = found
            return statistics.median(
                standard_error(metric, best, other, targets) for other in others
            )
