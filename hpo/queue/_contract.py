"""The contract of a ledger: who trains what, decided atomically for all processes of a study."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.errors import InputError
from hpo.search import NewTask, Progress, Task, TaskState, TrialOutcome

__all__ = ["MAX_ATTEMPTS", "Fenced", "Ledger", "PositionTakenError", "StudyRow"]

#: Failures of one configuration after which it is not tried again.
MAX_ATTEMPTS = 3


class Fenced(RuntimeError):  # noqa: N818 - what happened to the worker, not a mistake of its
    """The task was taken over by another worker; nothing was written."""


class PositionTakenError(InputError):
    """A place in the study's queue has another configuration than the one that was to go there."""


@dataclasses.dataclass(frozen=True)
class StudyRow:
    """What all workers of a study must agree on.

    Attributes:
        definition: Space, bundle and settings, as JSON.
        seconds_left: Until the study's deadline, negative after it; None without one.
        max_tasks: No more tasks than this are claimed; None for all.
    """

    definition: Mapping[str, Any]
    seconds_left: float | None
    max_tasks: int | None


class Ledger(abc.ABC):
    """Claims, heartbeats and outcomes of all studies in one store.

    A task is

        open     → claimed   by one worker, in one transaction; its token grows by one
        claimed  → done      by the holder of the latest token only
        claimed  → open      handed back, or taken from a worker whose heartbeat stopped
        claimed  → paused    at a rung, until the strategy opens it again
        claimed  → failed    after too many failed attempts

    A worker that was taken for dead holds an old token, so that it can neither begin a trial nor
    complete one. Two tasks whose models share a run (``runs`` overlaps) are not claimed at the
    same time: the second would train the same epochs, and finds them in the run store a moment
    later.

    Safe for any number of processes, each of which makes its own; one object may be used from
    several threads. Every method is one short transaction. Where ``writes_trials`` holds, the
    parts of a method that concern an Optuna trial are in the same transaction; elsewhere they are
    left to the caller (``hpo.trials``).
    """

    @property
    @abc.abstractmethod
    def writes_trials(self) -> bool:
        """Whether ``begin``, ``append`` and ``complete`` write the Optuna trial as well."""

    # … the methods
