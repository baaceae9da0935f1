"""How sure the score of a trial is, from the weights that the run store has of it."""

from hpo.results._decide import seed_probabilities, trainer_of
from hpo.results._intervals import F1_SCORES, Interval, f1_intervals
from hpo.search import Task
from hpo.study import StoredStudy

__all__ = ["score_interval"]


def score_interval(study: StoredStudy, task: Task, device: str) -> Interval | None:
    """Return the 95% interval of a trial's score on the validation rows, as ``judge`` has it.

    Args:
        study: The study, which may go on.
        task: With an outcome.
        device: Where to compute.

    Returns:
        None if the metric is no F1 score, or the weights aren't here.
    """
    if study.space.metric not in F1_SCORES:
        return None
    trainer = trainer_of(study, task, device)
    probabilities = seed_probabilities(trainer, task, "val")
    if probabilities is None:
        return None
    truth = trainer.bundle.labels_of("val") > 0
    return f1_intervals([p > 0.5 for p in probabilities], truth)[study.space.metric]
