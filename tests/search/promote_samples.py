"""A promoting study on paper: its queue in memory, and workers that take turns step by step."""

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from search_samples import BOTH, outcome, task_of

from hpo.models import Config
from hpo.search import (
    Decision,
    FixedBoard,
    NewTask,
    Opening,
    Progress,
    Space,
    Strategy,
    Task,
    TaskState,
    load_space,
    make_strategy,
)

EPOCHS = 20


def promote_space(fixed: Any = None, seeds: int = 1, **search: Any) -> Space:
    """Rungs at 2, 6 and 18 of 20 epochs; ``search`` are other keys of the search."""
    whole = {
        **{"kind": "promote", "trials": 9, "first_rung": 2, "finalists": 2},
        **{"params": {"lr": {"low": 0.001, "high": 0.1}}, **search},
    }
    fixed = {"epochs": EPOCHS, **(fixed or {})}
    return load_space({"name": "p", "seeds": seeds, "fixed": fixed, "search": whole})


def strategy_of(space: Space, modalities: Sequence[str] = BOTH) -> Strategy:
    return make_strategy(space, modalities)


def never() -> bool:
    raise AssertionError("a study that promotes asks no pruner")


class Queue:
    """The tasks of a study, as a ledger would have them.

    Args:
        strategy: Decides.
        value: Gives the score of a trial at a step, from its position.
        limit: So many tasks at most are begun.
        failing: Positions of trials that fail for good as soon as they are trained.
    """

    def __init__(
        self,
        strategy: Strategy,
        value: Callable[[int, int], float] = lambda position, step: float(position),
        limit: int | None = None,
        failing: Sequence[int] = (),
        epochs: int | None = None,
    ) -> None:
        self.strategy, self.value, self.limit, self.failing = strategy, value, limit, failing
        self.epochs = epochs
        self.allotted = None if epochs is None else 0
        self.steps = EPOCHS + (strategy.space.seeds > 1)
        self.tasks: dict[int, Task] = {}
        self.pauses: dict[int, tuple[Progress, ...]] = {}
        #: Epochs that were trained, each counted once.
        self.trained: dict[int, int] = {}

    @property
    def board(self) -> FixedBoard:
        tasks = sorted(self.tasks.values(), key=lambda task: task.position)
        return FixedBoard(tasks, self.limit, self.pauses, self.epochs)

    def states(self) -> str:
        """One letter a task: Open, Claimed, Paused, Done, Failed."""
        return "".join(task.state.name[0] for task in self.tasks.values())

    def open_next(self) -> Opening:
        """Do what the strategy wants, as any process does."""
        opening = self.strategy.next(self.board)
        for new in opening.tasks:
            self.tasks[new.position] = task_of(new)
        for position in opening.resumed:
            assert self.tasks[position].state is TaskState.PAUSED
            self.change(position, state=TaskState.OPEN)
        for position, reason in opening.ended:
            assert self.tasks[position].state is TaskState.PAUSED
            self.change(position, state=TaskState.OPEN, ending=reason)
        if opening.allotted is not None:
            self.allotted = opening.allotted
        return opening

    def add(self, position: int) -> None:
        """Queue a candidate by hand."""
        self.tasks[position] = task_of(NewTask(position, 0, Config(epochs=EPOCHS)))

    def claim(self) -> Task | None:
        begun = sum(task.token > 0 and task.position >= 0 for task in self.tasks.values())
        limits = [limit for limit in (self.limit, self.allotted) if limit is not None]
        full = bool(limits) and begun >= min(limits)
        for task in self.board.read:
            beyond = full and task.token == 0 and task.position >= 0
            if task.state is TaskState.OPEN and not beyond:
                return self.change(task.position, state=TaskState.CLAIMED, token=task.token + 1)
        return None

    def train(self, task: Task) -> Iterator[None]:
        """Train a claimed task; yields before each step."""
        for step in range(1, self.steps + 1):
            yield
            if task.position in self.failing:
                self.change(task.position, state=TaskState.FAILED)
                return
            progress = Progress(step, self.steps, self.value(task.position, step))
            self.trained[task.position] = max(self.trained.get(task.position, 0), step)
            verdict = self.strategy.decide(task, progress, self.board, never)
            if verdict.decision is Decision.PAUSE:
                self.change(task.position, state=TaskState.PAUSED)
                self.pauses[task.position] = (*self.pauses.get(task.position, ()), progress)
                return
            if verdict.decision is Decision.PRUNE or step == self.steps:
                result = dataclasses.replace(
                    outcome(progress.value, verdict.reason or None), steps=step
                )
                self.change(task.position, state=TaskState.DONE, outcome=result)
                return

    def work(self) -> Iterator[None]:
        """Do what a worker does until the study is complete; yields at each turn."""
        while not self.strategy.is_exhausted(self.board) and not self.open_next().complete:
            task = self.claim()
            if task is not None:
                yield from self.train(task)
            yield

    def run(self, workers: int = 1, rng: random.Random | None = None) -> "Queue":
        """Let workers take turns until all have left; a study that stands still fails."""
        rng = rng or random.Random(0)
        crew = [self.work() for _ in range(workers)]
        for _ in range(200 * (len(self.tasks) + 20) * workers):
            if not crew:
                return self
            turn = rng.choice(crew)
            try:
                next(turn)
            except StopIteration:
                crew.remove(turn)
        raise AssertionError(f"the study does not end: {self.states()}")

    def change(self, position: int, **changes: Any) -> Task:
        self.tasks[position] = dataclasses.replace(self.tasks[position], **changes)
        return self.tasks[position]

    def reached(self) -> dict[int, int]:
        """The steps of each trial's result, by position."""
        return {p: t.outcome.steps for p, t in self.tasks.items() if t.outcome is not None}

    def pruned(self) -> dict[int, str]:
        """Why trials ended early, by position."""
        ended = {p: t.outcome.pruned for p, t in self.tasks.items() if t.outcome is not None}
        return {position: reason for position, reason in ended.items() if reason}
