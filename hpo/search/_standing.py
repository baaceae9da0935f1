"""Who is where in a promoting study, and what it costs to let somebody go on."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from hpo.models import Config
from hpo.search._cost import costliest, last_step, trained_epochs
from hpo.search._strategy import FixedBoard
from hpo.search._task import Progress, Task, TaskState

if TYPE_CHECKING:
    from hpo.search._promote import PromoteStrategy

__all__ = ["Costs", "Standing", "is_whole"]


class Standing:
    """The tasks of a promoting study by what can become of them.

    Args:
        strategy: The study's.
        board: As it was read.

    Attributes:
        left: Tasks that will still be worked on; beyond a limit none is begun.
        paused: Positions of those that wait.
        running: Those that are being trained, or are to be gone on with by the next worker. The
            ones that are only to be ended are not among them.
    """

    def __init__(self, strategy: "PromoteStrategy", board: FixedBoard) -> None:
        self.strategy = strategy
        self.board = board
        self.pauses = board.pauses()
        self.begun = sum(task.begun and not task.added for task in board.read)
        full = board.limit is not None and self.begun >= board.limit
        there = [t for t in board.read if t.begun or t.added] if full else board.read
        self.left = [task for task in there if not task.state.ended]
        self.paused = {task.position for task in self.left if task.state is TaskState.PAUSED}
        self.running = [
            task
            for task in self.left
            if (task.begun or task.added)
            and task.position not in self.paused
            and task.ending is None
        ]

    @cached_property
    def due(self) -> set[int]:
        """Who is among the best 1/η of its last rung."""
        factor = self.strategy.reduction_factor
        last = {position: past[-1].step for position, past in self.pauses.items()}
        due: set[int] = set()
        for step in set(last.values()):
            ranked = self._at_rung(step)
            best = ranked[: len(ranked) // factor]
            due |= {position for position in best if last[position] == step}
        return due

    def claimable(self, allotted: int | None) -> bool:
        """Tell whether a worker finds something to claim.

        Args:
            allotted: So many tasks may be begun in all; None for no limit.
        """
        return any(
            task.state is TaskState.OPEN
            and (task.begun or task.added or allotted is None or self.begun < allotted)
            for task in self.left
        )

    def sure_finalists(self, finalists: int) -> tuple[int, ...]:
        """Return the paused ones that will go all the way, whatever the running ones do.

        Each running one may come before them. Who has the most left to train is first, so that
        those that are trained at the same time end at about the same time.

        Args:
            finalists: How many are wanted.
        """
        lacking = finalists - sum(map(is_whole, self.board.read))
        waiting = [task for task in self.left if task.position in self.paused]
        waiting.sort(key=self.rank)
        sure = [t for place, t in enumerate(waiting) if place + len(self.running) < lacking]
        return tuple(task.position for task in sorted(sure, key=lambda t: -self._left_of(t)))

    def endings(self) -> tuple[tuple[int, str], ...]:
        """Return those that wait, and why they don't go on."""
        factor, found = self.strategy.reduction_factor, []
        for position in sorted(self.paused):
            step = self.pauses[position][-1].step
            peers = len(self._at_rung(step))
            found.append((position, f"not among the best 1/{factor} of {peers} at step {step}"))
        return tuple(found)

    def reached(self, task: Task) -> Progress | None:
        """Return the last pause of a task."""
        past = self.pauses.get(task.position)
        return past[-1] if past else None

    def rank(self, task: Task) -> tuple[float, float, int]:
        """Return what tasks are sorted by, the best first: by rung and value."""
        last = self.reached(task)
        return (0, 0, task.position) if last is None else (-last.step, -last.value, task.position)

    def _left_of(self, task: Task) -> int:
        last = self.reached(task)
        assert last is not None  # it is paused
        return last.steps - last.step

    def _at_rung(self, step: int) -> list[int]:
        """Return who paused at a step, the best first, the earlier of equal ones first."""
        values = {
            position: progress.value
            for position, past in self.pauses.items()
            for progress in past
            if progress.step == step
        }
        return sorted(values, key=lambda position: (-values[position], position))


class Costs:
    """What the tasks of a promoting study have cost, and what of its budget is left for whom.

    A task counts with all epochs to the rung that it is on its way to. So what is promised is
    never more than the budget, however many workers there are.

    Args:
        standing: The tasks.
        finalists: So many are to be paid for until they are whole.
        epochs: The budget, in epochs of single runs.

    Attributes:
        begun: How many of the study's own tasks were begun.
    """

    def __init__(self, standing: Standing, finalists: int, epochs: int) -> None:
        self._standing = standing
        self._strategy = standing.strategy
        self._lacking = max(finalists - sum(map(is_whole, standing.board.read)), 0)
        self._epochs = epochs
        self.begun = standing.begun
        self._steps = {t.position: self._step(t) for t in standing.board.read if _counts(t)}
        self._tasks = {t.position: t for t in standing.board.read if _counts(t)}
        cheapest = min(map(self._remaining, self._candidates()), default=self._whole)
        if self._spent() + cheapest > epochs:
            self._lacking = 0  # none can be whole, so that nothing is kept back for it

    def affordable(self, positions: Iterable[int]) -> tuple[int, ...]:
        """Return who of paused tasks can go on to the next rung, the best first served."""
        found = []
        for task in sorted((self._tasks[p] for p in positions), key=self._standing.rank):
            before = self._steps[task.position]
            self._steps[task.position] = self._next_stop(task, before)
            if self._spent() + self._reserve() <= self._epochs:
                found.append(task.position)
            else:
                self._steps[task.position] = before
        return tuple(found)

    def payable(self, positions: Sequence[int]) -> tuple[int, ...]:
        """Return those of paused tasks that can be paid for until they are whole."""
        going_on = sum(self._remaining(task) for task in self._standing.running)
        left = self._epochs - self._spent() - going_on
        return tuple(p for p in positions if self._remaining(self._tasks[p]) <= left)

    def room_for_new(self, wanted: int) -> int:
        """Return how many more trials can be begun.

        Args:
            wanted: How many there are to be in all.
        """
        room = self._epochs - self._spent() - self._reserve()
        if room < 0:
            return 0
        # the first ones are what is kept back for finalists that are not there yet
        free = max(self._lacking - len(self._candidates()), 0)
        return max(min(free + room // self._first_leg, wanted - self.begun), 0)

    def needed(self) -> int:
        """Return what is spent or promised, and what is kept back for finalists."""
        return self._spent() + self._reserve()

    def _spent(self) -> int:
        return sum(
            self._cost(self._tasks[position], step) for position, step in self._steps.items()
        )

    def _reserve(self) -> int:
        """Return what the best candidates need to become whole; fresh ones where they lack."""
        candidates = sorted(self._candidates(), key=self._standing.rank)[: self._lacking]
        fresh = self._lacking - len(candidates)
        return sum(map(self._remaining, candidates)) + fresh * self._whole

    def _candidates(self) -> list[Task]:
        tasks = self._tasks.values()
        return [task for task in tasks if not task.state.ended and task.ending is None]

    def _remaining(self, task: Task) -> int:
        config = task.config or self._costliest
        whole = self._cost(task, last_step(self._strategy.space, config))
        return whole - self._cost(task, self._steps[task.position])

    def _step(self, task: Task) -> int:
        """Return the step that a task has reached, or is on its way to."""
        if task.outcome is not None:
            return task.outcome.steps
        last = self._standing.reached(task)
        step = 0 if last is None else last.step
        rests = task.state in (TaskState.PAUSED, TaskState.FAILED) or task.ending is not None
        return step if rests else self._next_stop(task, step)

    def _next_stop(self, task: Task, step: int) -> int:
        stops = self._strategy.stops(task.config or self._costliest)
        return next((stop for stop in stops if stop > step), stops[-1])

    def _cost(self, task: Task, step: int) -> int:
        return self._cost_of(task.config or self._costliest, step)

    def _cost_of(self, config: Config, step: int) -> int:
        strategy = self._strategy
        return trained_epochs(strategy.space, config, strategy.modalities, step)

    @cached_property
    def _costliest(self) -> Config:
        return costliest(self._strategy.space, self._strategy.modalities)

    @cached_property
    def _whole(self) -> int:
        return self._cost_of(self._costliest, last_step(self._strategy.space, self._costliest))

    @cached_property
    def _first_leg(self) -> int:
        return self._cost_of(self._costliest, self._strategy.stops(self._costliest)[0])


def is_whole(task: Task) -> bool:
    """Tell whether a task has a result of all its epochs."""
    return task.outcome is not None and task.outcome.pruned is None


def _counts(task: Task) -> bool:
    return task.begun or task.added
