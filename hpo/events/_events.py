"""What can happen to a study, as whoever watches over it is told."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hpo.results import Floor
from hpo.search import Plan, Space, StageTable

__all__ = [
    "Best",
    "Decision",
    "Encoding",
    "Event",
    "Finished",
    "Finishing",
    "FloorKnown",
    "Planned",
    "Result",
    "StageBegun",
    "StageDecided",
    "Stopped",
    "StudyBegun",
    "Totals",
    "TrialBegun",
    "TrialEnded",
    "TrialPaused",
    "TrialProgress",
    "Waiting",
]

#: Marks fields that are for listeners in this process alone.
_HERE = {"json": False}


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened. ``kind`` is its name for machines."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return its fields, JSON-ready; numbers that are none are None."""
        fields = [f for f in dataclasses.fields(self) if f.metadata.get("json", True)]
        return {field.name: _plain(getattr(self, field.name)) for field in fields}


@dataclasses.dataclass(frozen=True)
class Encoding(Event):
    """The data is being prepared.

    Attributes:
        what: Such as ``encoding images``.
        done: Items done, those of earlier commands included.
        total: Items in all.
        per_second: Items a second since it began; None before that is known.
    """

    kind = "encoding"
    what: str
    done: int
    total: int
    per_second: float | None = None


@dataclasses.dataclass(frozen=True)
class StudyBegun(Event):
    """A study is worked on, or looked at, from now on.

    Attributes:
        study: Its name.
        space: The name of its space.
        metric: By which it scores.
        seeds: Runs of each configuration.
        done: Configurations that had ended before.
        seconds: How long it may go on; None without a limit.
        parameters: What is searched.
        identity: What tells it from another study that has, or had, its name.
    """

    kind = "study_begun"
    study: str
    space: str
    metric: str
    seeds: int
    done: int
    seconds: float | None
    parameters: tuple[str, ...]
    identity: str


@dataclasses.dataclass(frozen=True)
class Planned(Event):
    """The plan is known.

    Attributes:
        plan: All of it.
        space: What is searched.
        about: Lines about data, limits and workers.
    """

    kind = "plan"
    plan: Plan = dataclasses.field(metadata=_HERE)
    space: Space = dataclasses.field(metadata=_HERE)
    about: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the stages and their sums."""
        stages = [
            {
                "stage": stage.name,
                "configurations": stage.candidates,
                "done": stage.done,
                "epochs_asked": stage.asked,
                "epochs_to_train": stage.trained,
            }
            for stage in self.plan.stages
        ]
        return {
            "configurations": self.plan.configurations,
            "seeds": self.plan.seeds,
            "stages": stages,
            **super().to_json(),
        }


@dataclasses.dataclass(frozen=True)
class FloorKnown(Event):
    """The scores that a study has to beat are known."""

    kind = "floor"
    floor: Floor = dataclasses.field(metadata=_HERE)

    def to_json(self) -> dict[str, Any]:
        """Return the scores, by baseline."""
        return {"scores": _plain(self.floor.to_json())}


@dataclasses.dataclass(frozen=True)
class StageBegun(Event):
    """The configurations of a stage wait for workers.

    Attributes:
        stage: Its name.
        index: Its place, from 1.
        stages: How many there are.
        configurations: How many it compares.
        parameters: What tells them apart.
    """

    kind = "stage_begun"
    stage: str
    index: int
    stages: int
    configurations: int
    parameters: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class StageDecided(Event):
    """A stage has its winner, or a study without stages is complete.

    Attributes:
        stage: Its name.
        winner: Parameters of the winner.
        trial: The winner's number.
        value: Its score.
        table: All configurations that were compared.
    """

    kind = "stage_decided"
    stage: str
    winner: Mapping[str, Any]
    trial: int | None
    value: float | None
    table: StageTable = dataclasses.field(metadata=_HERE)


@dataclasses.dataclass(frozen=True)
class TrialBegun(Event):
    """A worker trains a configuration, for the first time or again.

    Attributes:
        trial: Its number in Optuna.
        position: Its place in the study, which stays if it is begun again as another trial.
        stage: Its stage.
        params: The parameters that it shows.
        worker: Who trains it.
    """

    kind = "trial_begun"
    trial: int
    position: int
    stage: str
    params: Mapping[str, Any]
    worker: str | None


@dataclasses.dataclass(frozen=True)
class TrialProgress(Event):
    """A trial got further.

    Attributes:
        trial: Its number.
        step: Epochs done; where seeds run one after the other, each counts as one.
        steps: How many there will be.
        value: The metric there, mean over seeds; None where it isn't scored.
        per_second: Steps a second; None before that is known.
    """

    kind = "trial_progress"
    trial: int
    step: int
    steps: int
    value: float | None
    per_second: float | None


@dataclasses.dataclass(frozen=True)
class TrialPaused(Event):
    """A trial waits at a rung, was handed back, or was taken from a worker that went away.

    Attributes:
        trial: Its number.
        step: Where it is.
        steps: Of so many; None if that isn't known.
        value: Its score there; None without one.
    """

    kind = "trial_paused"
    trial: int
    step: int
    steps: int | None
    value: float | None


@dataclasses.dataclass(frozen=True)
class TrialEnded(Event):
    """A trial ended.

    Attributes:
        trial: Its number.
        position: Its place in the study.
        stage: Its stage.
        params: The parameters that it shows.
        state: ``done``, ``pruned`` or ``failed``.
        value: Its score; None without one.
        std: Over its seeds.
        metrics: All metrics at its last epoch, mean over seeds.
        steps: Epochs done.
        epochs_trained: Epochs of single runs that were trained for it.
        reason: Why it was pruned or failed.
        earlier: Whether it had ended before this command began.
        config: All values of its configuration.
        runs: The addresses of its runs in the run store, for each seed.
    """

    kind = "trial_ended"
    trial: int | None
    position: int
    stage: str
    params: Mapping[str, Any]
    state: str
    value: float | None
    std: float | None
    metrics: Mapping[str, float]
    steps: int
    epochs_trained: int
    reason: str | None
    earlier: bool
    config: Mapping[str, Any]
    runs: tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Best(Event):
    """There is a new best so far, or more is known of it.

    Attributes:
        trial: Its number.
        params: Its parameters.
        value: Its score.
        std: Over its seeds; None while it isn't whole.
        step: Where it is, if it isn't whole; None if it is.
        low: Lower end of the 95% interval over rows and seeds; None before that is known.
        high: Its upper end.
        epochs: Epochs of single runs that were trained by then.
    """

    kind = "best"
    trial: int | None
    params: Mapping[str, Any]
    value: float
    std: float | None
    step: int | None = None
    low: float | None = None
    high: float | None = None
    epochs: int = 0


@dataclasses.dataclass(frozen=True)
class Decision(Event):
    """The study decided something.

    Attributes:
        what: Such as ``trial 7 goes on``.
        why: The reason.
    """

    kind = "decision"
    what: str
    why: str


@dataclasses.dataclass(frozen=True)
class Totals(Event):
    """How far the study is.

    Attributes:
        ended: Configurations that have ended.
        failed: Those of them that failed.
        paused: Configurations that wait at a rung.
        total: Configurations in all, as far as that is known.
        epochs: Epochs of single runs that were trained for trials that ended, or train now.
        epochs_per_second: Of all workers together, lately; None before that is known.
        seconds: Since this command began to watch.
        seconds_left: An estimate; None before there is one.
    """

    kind = "progress"
    ended: int
    failed: int
    paused: int
    total: int
    epochs: int
    epochs_per_second: float | None
    seconds: float
    seconds_left: float | None


@dataclasses.dataclass(frozen=True)
class Waiting(Event):
    """The store is away and waited for; without a reason it is there again."""

    kind = "waiting"
    reason: str | None


@dataclasses.dataclass(frozen=True)
class Stopped(Event):
    """No more trials are trained.

    Attributes:
        complete: Whether the study has all that it asks for.
        ended_by: The limit that ended it; None if none did.
    """

    kind = "stopped"
    complete: bool
    ended_by: str | None


@dataclasses.dataclass(frozen=True)
class Finishing(Event):
    """Models are trained for the results.

    Attributes:
        what: ``refit``, or ``folds`` for thresholds and calibration.
        step: Epochs done.
        steps: Of so many.
    """

    kind = "finishing"
    what: str
    step: int
    steps: int


@dataclasses.dataclass(frozen=True)
class Result(Event):
    """The results are written.

    Attributes:
        folder: Where they are.
        trial: The best trial, or the one that was picked.
        params: Its parameters.
        value: Its score.
        std: Over its seeds.
        scores: With intervals, by part: ``validation``, and ``test`` if there is such a part.
        predicted: Rows that were predicted.
        concerns: What is to be known before any of it is used.
        lines: All of it in words.
    """

    kind = "result"
    folder: str
    trial: int | None
    params: Mapping[str, Any]
    value: float
    std: float
    scores: Mapping[str, Any]
    predicted: int
    concerns: tuple[str, ...]
    lines: tuple[str, ...] = dataclasses.field(metadata=_HERE)


@dataclasses.dataclass(frozen=True)
class Finished(Event):
    """The command ends.

    Attributes:
        status: Its exit status.
        error: What ended it before its end, in words.
    """

    kind = "finished"
    status: int
    error: str | None = None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
