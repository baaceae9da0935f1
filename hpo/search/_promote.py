"""The promoting study: many configurations for a few epochs, the best of them for more.

Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel Hyperparameter
Tuning", algorithm 2) as it was meant: a trial that reaches a rung pauses there, with its state in
the run store, and goes on when it is among the best 1/η that came so far. Optuna's pruners can only
stop a trial for good, which decides on what was there when it came.

Seeds race likewise: a trial has one seed until it has all of its epochs, and only the best few are
trained with the others.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PositiveInt

from hpo.search._plan import Plan, PlannedStage
from hpo.search._sampled import SampledSearch, SampledStrategy
from hpo.search._strategy import Board, Decision, Opening, Verdict
from hpo.search._task import NewTask, Progress, Task, TaskState
from hpo.search._values import Scale
from hpo.training import head_runs

__all__ = ["PromoteSearch", "PromoteStrategy"]

#: Rungs at most; the last one is beyond any number of epochs.
_RUNGS = 16


class PromoteSearch(SampledSearch):
    """Suggestions of an Optuna sampler, promoted from rung to rung.

    Attributes:
        trials: How many configurations are begun.
        first_rung: Epochs after which a trial pauses for the first time.
        reduction_factor: η: of those at a rung one in so many goes on, and the next rung is so
            many times as far.
        finalists: How many trials go all the way, at least; and how many of them are trained with
            all seeds.
    """

    seeds_race: ClassVar[bool] = True

    kind: Literal["promote"]
    first_rung: PositiveInt = 5
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    finalists: PositiveInt = 3

    def scored_epochs(self) -> frozenset[int] | None:
        """Return the rungs."""
        return frozenset(self.first_rung * self.reduction_factor**k for k in range(_RUNGS))

    def scaled(self, scale: Scale) -> Self:
        """Return the search at a scale."""
        changed = super().scaled(scale)
        return changed.model_copy(update={"first_rung": scale.apply("epochs", self.first_rung)})


class PromoteStrategy(SampledStrategy):
    """The strategy of a space whose search is a ``PromoteSearch``."""

    eager = True

    @property
    def _promote(self) -> PromoteSearch:
        assert isinstance(self.space.search, PromoteSearch)
        return self.space.search

    def next(self, board: Board) -> Opening:
        """Open as many tasks as trials are wanted, and promote who is due.

        When nobody is left to train and nobody is due, the best of those that pause are promoted
        until there are enough finalists. The others then go on as well, to be ended where they
        are: their scores are in the run store.
        """
        opening = super().next(board)
        opening = dataclasses.replace(opening, tasks=tuple(map(self._first, opening.tasks)))
        tasks = board.tasks()
        pauses = board.pauses()
        paused = {task.position for task in tasks if task.state is TaskState.PAUSED}
        due = self._due(pauses) & paused
        active = any(task.state in (TaskState.OPEN, TaskState.CLAIMED) for task in tasks)
        if not due and not active and not opening.tasks:
            due = self._next_finalist(tasks, pauses, paused) or paused
        complete = opening.complete and not due
        return Opening(opening.tasks, complete, tuple(sorted(due)))

    def decide(self, task: Task, progress: Progress, board: Board, should_prune: Any) -> Verdict:
        """Pause at every rung that the trial reaches for the first time.

        One that was promoted there goes on, and one that goes on although it wasn't is ended.
        """
        if progress.step >= progress.steps or not self._is_rung(progress):
            return Verdict(Decision.CONTINUE)
        pauses = board.pauses()
        reached = max((past.step for past in pauses.get(task.position, ())), default=0)
        if progress.step > reached:
            return Verdict(Decision.PAUSE)
        if progress.step < reached:
            return Verdict(Decision.CONTINUE)
        wanted = self._due(pauses) | self._finalists(board.tasks(), pauses)
        if task.position in wanted:
            return Verdict(Decision.CONTINUE)
        peers = len(self._at_rung(pauses, progress.step))
        return Verdict(
            Decision.PRUNE,
            f"not among the best 1/{self._promote.reduction_factor} of {peers} at step "
            f"{progress.step}",
        )

    def best(self, tasks: Sequence[Task]) -> Task | None:
        """Return the best of those with the most seeds and all epochs; the first of equal ones."""
        finished = [task for task in tasks if task.outcome is not None]
        whole = [task for task in finished if task.outcome and task.outcome.pruned is None]
        most = max((len(task.outcome.scores) for task in whole if task.outcome), default=0)
        final = [task for task in whole if task.outcome and len(task.outcome.scores) == most]
        return super().best(final or finished)

    def plan(self, board: Board) -> Plan:
        """Return the plan: how far trials get if as many as may are promoted."""
        search = self._promote
        done = board.counts().get(TaskState.DONE, 0)
        trials = self._wanted(board)
        longest = max(self.space.lengths())
        left, before, epochs = trials, 0, 0
        rung = search.first_rung
        while rung < longest:
            epochs += left * (rung - before)
            left = max(left // search.reduction_factor, min(search.finalists, trials))
            before, rung = rung, rung * search.reduction_factor
        epochs += left * (longest - before)
        planned = PlannedStage("trials", trials, trials, done, trials * longest, epochs)
        return Plan((planned,), self.space.seeds, assumed=False, in_stages=False)

    def _first(self, task: NewTask) -> NewTask:
        """Give the first task the fixed values as its configuration, if the space has them."""
        if task.position > 0 or not self.has_values(self.space.fixed):
            return task
        config = self.space.fixed.taken({})
        return dataclasses.replace(task, config=config, runs=head_runs(config, self.modalities))

    def _is_rung(self, progress: Progress) -> bool:
        """Tell whether a step is first_rung · η^k, or the last one before more seeds."""
        search = self._promote
        if self.space.seeds > 1 and progress.step == progress.steps - 1:
            return True
        rung = search.first_rung
        while rung < progress.step:
            rung *= search.reduction_factor
        return rung == progress.step

    def _due(self, pauses: Mapping[int, Sequence[Progress]]) -> set[int]:
        """Return who is among the best 1/η of its last rung."""
        last = {position: past[-1].step for position, past in pauses.items()}
        due: set[int] = set()
        for step in set(last.values()):
            ranked = self._at_rung(pauses, step)
            best = ranked[: len(ranked) // self._promote.reduction_factor]
            due |= {position for position in best if last[position] == step}
        return due

    @staticmethod
    def _at_rung(pauses: Mapping[int, Sequence[Progress]], step: int) -> list[int]:
        """Return who paused at a step, the best first, the earlier of equal ones first."""
        values = {
            position: progress.value
            for position, past in pauses.items()
            for progress in past
            if progress.step == step
        }
        return sorted(values, key=lambda position: (-values[position], position))

    def _finalists(
        self, tasks: Sequence[Task], pauses: Mapping[int, Sequence[Progress]]
    ) -> set[int]:
        """Return who goes all the way: the best by rung and value, as many as are wanted."""
        ended = {task.position for task in tasks if task.outcome and task.outcome.pruned is None}
        ranked = sorted(
            pauses, key=lambda p: (p not in ended, -pauses[p][-1].step, -pauses[p][-1].value, p)
        )
        failed = {task.position for task in tasks if task.state is TaskState.FAILED}
        pruned = {task.position for task in tasks if task.outcome and task.outcome.pruned}
        able = [position for position in ranked if position not in failed | pruned]
        return set(able[: self._promote.finalists])

    def _next_finalist(
        self,
        tasks: Sequence[Task],
        pauses: Mapping[int, Sequence[Progress]],
        paused: set[int],
    ) -> set[int]:
        return self._finalists(tasks, pauses) & paused
