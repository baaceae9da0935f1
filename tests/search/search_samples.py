"""Small spaces, and the tasks of a study as they would be read from its queue."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hpo.search import NewTask, Space, Task, TaskState, TrialOutcome, load_space

BOTH = ("image", "text")
GREEDY = """\
name: small
seeds: 2
fixed: {hidden: [64], lr: 0.01, epochs: 10}
search:
  kind: greedy
  stages:
    - name: fusion
      params: {fusion: [image, text]}
    - name: loss
      fixed: {epochs: 20}
      params: {loss: [bce, asl]}
"""
SAMPLED = """\
name: sampled
search:
  kind: optuna
  trials: 5
  sampler: {name: TPESampler, multivariate: true}
  pruner: {name: SuccessiveHalvingPruner, min_resource: 20}
  params:
    lr: {low: 1.0e-4, high: 0.1, log: true}
    loss: {choices: [bce, focal]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def greedy_space(*stages: dict[str, Any], **changes: Any) -> Space:
    """A greedy space; ``changes`` are its other keys."""
    search = {"kind": "greedy", "stages": list(stages)}
    return load_space({"name": "s", "search": search, **changes})


def sampled_space(params: dict[str, Any], fixed: Any = None, **search: Any) -> Space:
    """A sampled space; ``search`` are the other keys of its search."""
    whole = {"kind": "optuna", "params": params, **search}
    return load_space({"name": "s", "fixed": fixed or {}, "search": whole})


def outcome(value: float, pruned: str | None = None) -> TrialOutcome:
    """A result of one seed."""
    return TrialOutcome(value, 0.5, (value,), {}, 1, 1, ((),), pruned)


def task_of(new: NewTask, value: float | None = None, **changes: Any) -> Task:
    """A task that was opened, with its result if there is a value."""
    state = TaskState.OPEN if value is None else TaskState.DONE
    made = {
        "position": new.position,
        "stage": new.stage,
        "key": new.key,
        "config": new.config,
        "runs": new.runs,
        "state": state,
        "trial": new.position if value is not None else None,
        "outcome": None if value is None else outcome(value),
    }
    return Task(**{**made, **changes})


def tasks_of(opened: Iterable[NewTask], values: Iterable[float | None]) -> list[Task]:
    """Tasks that were opened, with their results."""
    return [task_of(new, value) for new, value in zip(opened, values, strict=True)]
