"""What the trials of a study took, and what they reached with it."""

import dataclasses
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from hpo.search import Task

__all__ = ["Spent", "best_so_far_by_epochs", "spent"]


@dataclasses.dataclass(frozen=True)
class Spent:
    """What the trials of a study took.

    Attributes:
        epochs: Of single runs, trained for trials that have ended.
        seconds: Of all workers together, in trials that have ended.
    """

    epochs: int
    seconds: float


def spent(tasks: Sequence[Task], trials: Sequence[FrozenTrial]) -> Spent:
    """Return what the trials took that have ended."""
    epochs = sum(task.outcome.epochs_trained for task in tasks if task.outcome is not None)
    times = [trial.duration for trial in trials if trial.duration is not None]
    return Spent(epochs, sum(time.total_seconds() for time in times))


def best_so_far_by_epochs(
    tasks: Sequence[Task], trials: Sequence[FrozenTrial]
) -> list[tuple[int, float, int]]:
    """Return whenever the best value rose: the epochs trained by then, the value, the trial.

    Trials count in the order in which they ended; pruned ones cost epochs, but are never the best.
    """
    ended = {trial.number: trial.datetime_complete for trial in trials if trial.datetime_complete}
    done = [task for task in tasks if task.outcome is not None and task.trial in ended]
    found: list[tuple[int, float, int]] = []
    epochs, best = 0, float("-inf")
    for task in sorted(done, key=lambda task: ended[task.trial or 0]):
        assert task.outcome is not None and task.trial is not None  # see above
        epochs += task.outcome.epochs_trained
        if task.outcome.is_scored and task.outcome.is_whole and task.outcome.value > best:
            best = task.outcome.value
            found.append((epochs, best, task.trial))
    if found and epochs > found[-1][0]:
        found.append((epochs, best, found[-1][2]))
    return found
