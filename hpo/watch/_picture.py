"""What the events say together: the state that a live view shows."""

import dataclasses
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from hpo.events import (
    Best,
    Decision,
    Encoding,
    Event,
    Finishing,
    Planned,
    Result,
    StageBegun,
    Stopped,
    StudyBegun,
    Totals,
    TrialBegun,
    TrialEnded,
    TrialPaused,
    TrialProgress,
    Waiting,
)

__all__ = ["Picture", "Running", "clock"]

_DECISIONS = 5


@dataclasses.dataclass
class Running:
    """A trial in progress."""

    trial: int
    stage: str
    params: Mapping[str, Any]
    step: int = 0
    steps: int | None = None
    value: float | None = None
    per_second: float | None = None


class Picture:
    """Takes in events, and is at any time what is to be shown.

    Attributes:
        study: The study, once it has begun.
        encoding: What is being encoded.
        stage: The stage whose trials are being trained.
        in_stage: How many configurations of it have ended.
        running: Trials in progress, by number.
        best: The best so far.
        totals: How far the study is.
        decisions: The last ones, with the time of day, the latest last.
        waiting: Why the store is waited for.
        finishing: What is trained for the results.
        stopped: How the search ended.
        result: What was written.
    """

    def __init__(self) -> None:
        self.study: StudyBegun | None = None
        self.in_stages = False
        self.encoding: Encoding | None = None
        self.stage: StageBegun | None = None
        self.in_stage = 0
        self.running: dict[int, Running] = {}
        self.best: Best | None = None
        self.totals: Totals | None = None
        self.decisions: deque[tuple[str, Decision]] = deque(maxlen=_DECISIONS)
        self.waiting: str | None = None
        self.finishing: Finishing | None = None
        self.stopped: Stopped | None = None
        self.result: Result | None = None
        self._began = time.monotonic()
        self._ended: dict[str, int] = {}

    @property
    def seconds(self) -> float:
        """Since the study began."""
        return time.monotonic() - self._began

    def told(self, trial: Running) -> dict[str, Any]:
        """Return the parameters of a trial that tell it from others of its stage."""
        names = () if self.stage is None else self.stage.parameters
        return {name: trial.params[name] for name in names if name in trial.params}

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case Encoding():
                self.encoding = event
            case StudyBegun():
                self.study, self.encoding = event, None
                self._began = time.monotonic()
            case Planned():
                self.in_stages = event.plan.in_stages
            case StageBegun():
                self.stage = event
                self.in_stage = self._ended.get(event.stage, 0)
            case TrialBegun():
                self.running[event.trial] = Running(event.trial, event.stage, event.params)
            case TrialProgress():
                if (one := self.running.get(event.trial)) is not None:
                    one.step, one.steps = event.step, event.steps
                    one.per_second = event.per_second
                    one.value = one.value if event.value is None else event.value
            case TrialPaused():
                self.running.pop(event.trial, None)
            case TrialEnded():
                self.running.pop(event.trial if event.trial is not None else -1, None)
                self._ended[event.stage] = self._ended.get(event.stage, 0) + 1
                if self.stage is not None and self.stage.stage == event.stage:
                    self.in_stage = self._ended[event.stage]
            case Best():
                self.best = event
            case Totals():
                self.totals = event
            case Decision():
                self.decisions.append((time.strftime("%H:%M:%S"), event))
            case Waiting():
                self.waiting = event.reason
            case Stopped():
                self.stopped = event
                self.running.clear()
            case Finishing():
                self.finishing = event
            case Result():
                self.result = event
            case _:
                pass  # nothing that stays


def clock(seconds: float) -> str:
    """Return a length of time as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
