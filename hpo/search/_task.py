"""A task: one configuration that a study wants trained, and what became of it."""

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

from hpo.models import Config

__all__ = ["NewTask", "Progress", "Task", "TaskState", "TrialOutcome"]


class TaskState(enum.Enum):
    """Where a task stands; the values are what the store holds.

    ``OPEN`` waits for a worker. ``CLAIMED`` is being trained. ``PAUSED`` waits for the strategy to
    open it again, with its state in the run store. ``DONE`` has an outcome. ``FAILED`` was tried
    too often.
    """

    OPEN = "open"
    CLAIMED = "claimed"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the task."""
        return self in (TaskState.DONE, TaskState.FAILED)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a trial is.

    Attributes:
        step: Steps done; the first is 1.
        steps: Steps in all.
        value: Mean over seeds of the metric at this step.
        trial: Number of the Optuna trial; None before it has one.
        trained: Epochs of single runs that were trained to get there since it was claimed.
    """

    step: int
    steps: int
    value: float
    trial: int | None = None
    trained: int = 0


@dataclasses.dataclass(frozen=True)
class TrialOutcome:
    """The result of a trial.

    Attributes:
        value: Mean over seeds of the metric at the last epoch; F1 scores and mAP in percent.
        std: Standard deviation over seeds (n − 1), 0 for one seed.
        scores: The metric of each seed.
        metrics: Mean over seeds of every column of the curve at the last epoch.
        steps: Steps done.
        epochs_trained: Epochs of single runs trained for it, not taken from the run store.
        runs: Addresses of the runs of each seed.
        pruned: Why it ended before its last step; None if it didn't.
        model_mb: Size of the model in 10⁶ bytes; None if it isn't known.
        latency_ms: Median time of predicting one row where it was trained; None if it isn't known.
        trained_by: The versions that its numbers depend on, see ``hpo.training.trained_by``; None
            if they weren't noted.
    """

    value: float
    std: float
    scores: tuple[float, ...]
    metrics: Mapping[str, float]
    steps: int
    epochs_trained: int
    runs: tuple[tuple[str, ...], ...]
    pruned: str | None
    model_mb: float | None = None
    latency_ms: float | None = None
    trained_by: str | None = None

    @staticmethod
    def untrained(reason: str) -> "TrialOutcome":
        """Return the outcome of a trial that broke a constraint, so that nothing was trained.

        It has no score: its value is not a number.
        """
        return TrialOutcome(math.nan, 0.0, (), {}, 0, 0, (), reason)

    @property
    def is_scored(self) -> bool:
        """Whether anything was trained, so that there is a score."""
        return len(self.scores) > 0

    @property
    def is_whole(self) -> bool:
        """Whether it was trained to its end."""
        return self.pruned is None

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values; costs and versions that aren't known are left out."""
        record = dataclasses.asdict(self)
        optional = ("model_mb", "latency_ms", "trained_by")
        unknown = [name for name in optional if record[name] is None]
        return {key: value for key, value in record.items() if key not in unknown}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> "TrialOutcome":
        """Return the outcome that ``to_json`` gave."""
        return TrialOutcome(
            **{
                **raw,
                "scores": tuple(raw["scores"]),
                "runs": tuple(tuple(runs) for runs in raw["runs"]),
            }
        )


@dataclasses.dataclass(frozen=True)
class NewTask:
    """A task that a strategy wants opened.

    Attributes:
        position: Place in the study; tasks are claimed in this order.
        stage: Stage of a greedy study; 0 elsewhere.
        config: What to train; None where it is drawn when the task is claimed.
        runs: Keys of the runs of its heads; tasks that share one are not worked on together.
    """

    position: int
    stage: int
    config: Config | None = None
    runs: tuple[str, ...] = ()

    @property
    def key(self) -> str | None:
        """The key of the configuration, which no other task of the study has."""
        return None if self.config is None else self.config.key


@dataclasses.dataclass(frozen=True)
class Task:
    """A task as it was read from the queue.

    Attributes:
        position: Place in the study.
        stage: Stage of a greedy study; 0 elsewhere.
        key: Key of the configuration, unique within the study; None until it was drawn, and for
            a repeat of another task's.
        config: What to train; None until it was drawn.
        runs: Keys of the runs of its heads.
        state: Where it stands.
        owner: Who claimed it last.
        token: Of the latest claim; 0 if it was never claimed.
        age: Seconds since the last heartbeat, by the store's clock; None if never claimed.
        attempts: Failures so far.
        trial: Number of the latest Optuna trial.
        progress: What its owner last said of it.
        outcome: The result, once it is done.
        reason: Of the last failure.
        ending: Why it was resumed only to be ended where it paused; None if it may go on.
    """

    position: int
    stage: int
    key: str | None
    config: Config | None
    runs: tuple[str, ...]
    state: TaskState
    owner: str | None = None
    token: int = 0
    age: float | None = None
    attempts: int = 0
    trial: int | None = None
    progress: Progress | None = None
    outcome: TrialOutcome | None = None
    reason: str | None = None
    ending: str | None = None

    @property
    def added(self) -> bool:
        """Whether it was added by hand; such tasks come first and beyond any number of trials."""
        return self.position < 0

    @property
    def begun(self) -> bool:
        """Whether a worker ever claimed it."""
        return self.token > 0 or self.state is not TaskState.OPEN
