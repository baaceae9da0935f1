"""The promoting study: many configurations for a few epochs, the best of them for more.

Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel Hyperparameter
Tuning", algorithm 2) as it was meant: a trial that reaches a rung pauses there, with its state in
the run store, and goes on when it is among the best 1/η that came so far. Optuna's pruners can only
stop a trial for good, which decides on what was there when it came.

Seeds race likewise: a trial has one seed until it has all of its epochs, and only the best few are
trained with the others.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, PositiveInt, field_validator

from hpo.search._plan import Plan, PlannedStage
from hpo.search._sampled import SampledSearch, SampledStrategy
from hpo.search._strategy import Board, Decision, Opening, Verdict
from hpo.search._task import NewTask, Progress, Task, TaskState
from hpo.search._values import Component, Scale
from hpo.training import head_runs

__all__ = ["PromoteSearch", "PromoteStrategy"]

#: Rungs at most; the last one is beyond any number of epochs.
_RUNGS = 16

#: How far each task was whenever it was paused, by position.
Pauses: TypeAlias = Mapping[int, Sequence[Progress]]


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

    @field_validator("pruner")
    @classmethod
    def _check_pruner(cls, pruner: Component) -> Component:
        if pruner.name != "NopPruner":
            raise ValueError(
                f"pruner is {pruner.name}, but kind promote stops trials by itself; leave it out"
            )
        return pruner

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
        new = tuple(map(self._first, opening.tasks))
        left = _unfinished(board)
        paused = {task.position for task in left if task.state is TaskState.PAUSED}
        pauses = board.pauses()
        resumed = self._due(pauses) & paused
        if not resumed and not new and len(paused) == len(left):
            resumed = self._finalists(board.tasks(), pauses) & paused or paused
        return Opening(new, opening.complete and not left, tuple(sorted(resumed)))

    def decide(self, task: Task, progress: Progress, board: Board, should_prune: Any) -> Verdict:
        """Pause at every rung that the trial reaches for the first time, and go on from there.

        When those that were not promoted go on as well, which ``next`` lets them do at the end,
        they are ended. A step that has no score is no rung.
        """
        if progress.step >= progress.steps or not self._is_rung(progress):
            return Verdict(Decision.CONTINUE)
        pauses = board.pauses()
        reached = max((past.step for past in pauses.get(task.position, ())), default=0)
        if progress.step > reached:
            return Verdict(Decision.PAUSE)
        if progress.step < reached or not self._is_closing(board, pauses):
            return Verdict(Decision.CONTINUE)
        peers = len(_at_rung(pauses, progress.step))
        return Verdict(
            Decision.PRUNE,
            f"not among the best 1/{self._promote.reduction_factor} of {peers} at step "
            f"{progress.step}",
        )

    def best(self, tasks: Sequence[Task]) -> Task | None:
        """Return the best of those with the most seeds and all epochs; the first of equal ones."""
        whole = [task for task in tasks if _is_whole(task)]
        most = max((len(task.outcome.scores) for task in whole if task.outcome), default=0)
        final = [task for task in whole if task.outcome and len(task.outcome.scores) == most]
        return super().best(final or tasks)

    def plan(self, board: Board) -> Plan:
        """Return the plan: how far trials get if as many as may are promoted."""
        search = self._promote
        done = board.counts().get(TaskState.DONE, 0)
        trials = self._wanted(board)
        longest = max(self.space.ends())
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
        config = self.space.fixed.taken({})
        if task.position > 0 or not self.has_values(config):
            return task
        return dataclasses.replace(task, config=config, runs=head_runs(config, self.modalities))

    def _is_rung(self, progress: Progress) -> bool:
        """Tell whether a step is first_rung · η^k, or the last one before more seeds."""
        if math.isnan(progress.value):
            return False
        search = self._promote
        if self.space.seeds > 1 and progress.step == progress.steps - 1:
            return True
        rung = search.first_rung
        while rung < progress.step:
            rung *= search.reduction_factor
        return rung == progress.step

    def _is_closing(self, board: Board, pauses: Pauses) -> bool:
        """Tell whether all that goes on are trials that were not promoted, to be ended."""
        promoted = self._due(pauses) | self._finalists(board.tasks(), pauses)
        return all(
            task.state is not TaskState.PAUSED
            and task.position in pauses
            and task.position not in promoted
            for task in _unfinished(board)
        )

    def _due(self, pauses: Pauses) -> set[int]:
        """Return who is among the best 1/η of its last rung."""
        last = {position: past[-1].step for position, past in pauses.items()}
        due: set[int] = set()
        for step in set(last.values()):
            ranked = _at_rung(pauses, step)
            best = ranked[: len(ranked) // self._promote.reduction_factor]
            due |= {position for position in best if last[position] == step}
        return due

    def _finalists(self, tasks: Sequence[Task], pauses: Pauses) -> set[int]:
        """Return who still has to go all the way: the best by rung and value, if any lack."""
        lacking = max(self._promote.finalists - sum(map(_is_whole, tasks)), 0)
        able = [t.position for t in tasks if not t.state.ended and t.position in pauses]
        able.sort(key=lambda p: (-pauses[p][-1].step, -pauses[p][-1].value, p))
        return set(able[:lacking])


def _unfinished(board: Board) -> list[Task]:
    """Return the tasks that will still be worked on; beyond a limit none is begun."""
    tasks = board.tasks()
    begun = [task for task in tasks if task.token > 0 or task.state is not TaskState.OPEN]
    full = board.limit is not None and len(begun) >= board.limit
    return [task for task in (begun if full else tasks) if not task.state.ended]


def _at_rung(pauses: Pauses, step: int) -> list[int]:
    """Return who paused at a step, the best first, the earlier of equal ones first."""
    values = {
        position: progress.value
        for position, past in pauses.items()
        for progress in past
        if progress.step == step
    }
    return sorted(values, key=lambda position: (-values[position], position))


def _is_whole(task: Task) -> bool:
    """Tell whether a task has a result of all its epochs."""
    return task.outcome is not None and task.outcome.pruned is None
