"""Events of a study that was never there, for what shows them."""

from hpo.events import (
    Best,
    Decision,
    Event,
    Planned,
    StageBegun,
    StudyBegun,
    Totals,
    TrialBegun,
    TrialEnded,
    TrialProgress,
)
from hpo.search import Plan, PlannedStage, Space

SPACE = Space.model_validate(
    {
        "name": "small",
        "search": {
            "kind": "greedy",
            "stages": [
                {"name": "fusion", "params": {"fusion": ["image", "concat"]}},
                {"name": "rate", "params": {"lr": [0.01, 0.1]}},
            ],
        },
    }
)
PLAN = Plan(
    (
        PlannedStage("fusion", 2, 2, 0, 40, 40),
        PlannedStage("rate", 2, 2, 0, 40, 20),
    ),
    seeds=1,
    assumed=True,
    in_stages=True,
)


def begun(study: str = "small") -> list[Event]:
    """A study that has begun, with nothing trained."""
    return [
        StudyBegun(study, "small", "micro_f1", 1, 0, None, ("fusion", "lr"), "abc"),
        Planned(PLAN, SPACE, ("study small · space small",)),
        StageBegun("fusion", 1, 2, 2, ("fusion",)),
    ]


def in_progress() -> list[Event]:
    """The same a while later: one trial has ended, two are trained."""
    return [
        *begun(),
        ended(0, 61.25),
        Best(0, {"fusion": "image", "lr": 0.01}, 61.25, 0.5),
        StageBegun("rate", 2, 2, 2, ("lr",)),
        TrialBegun(1, 1, "rate", {"fusion": "image", "lr": 0.01}, "vm:1"),
        TrialProgress(1, 7, 20, 60.5, 3.25),
        TrialBegun(2, 2, "rate", {"fusion": "image", "lr": 0.1}, "vm:2"),
        Decision("stage fusion: fusion image wins", "61.250, 1.250 ahead of fusion concat"),
        Totals(1, 0, 0, 4, 27, 13.5, 60.0, 125.0),
    ]


def ended(trial: int, value: float | None, reason: str | None = None) -> TrialEnded:
    """A trial that ended just now."""
    state = "failed" if value is None else "pruned" if reason else "done"
    return TrialEnded(
        trial=trial,
        position=trial,
        stage="fusion",
        params={"fusion": "image", "lr": 0.01},
        state=state,
        value=value,
        std=None if value is None else 0.5,
        metrics={},
        steps=20,
        epochs_trained=20,
        reason=reason,
        earlier=False,
        config={},
        runs=(),
    )
