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
import sys
from collections.abc import Container, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, field_validator

from hpo.models import Config
from hpo.search._cost import first_seed_steps, last_step
from hpo.search._expected_gain import StopQuestion, expected_gain
from hpo.search._plan import Plan, PlannedStage
from hpo.search._sampled import SampledSearch, SampledStrategy
from hpo.search._standing import Costs, Standing, is_whole
from hpo.search._strategy import Board, Decision, FixedBoard, Opening, Verdict
from hpo.search._task import NewTask, Progress, Task, TaskState
from hpo.search._values import Component, Scale
from hpo.training import head_runs

__all__ = ["PromoteSearch", "PromoteStrategy"]

#: Rungs at most; the last one is beyond any number of epochs.
_RUNGS = 16
#: Scores at the first rung from which on more trials may turn out not to be worth it.
_ENOUGH = 10
#: The best of them, whose differences say what can be told apart.
_COMPARED = 5


class PromoteSearch(SampledSearch):
    """Suggestions of an Optuna sampler, promoted from rung to rung.

    Attributes:
        trials: How many configurations are begun.
        first_rung: Epochs after which a trial pauses for the first time.
        reduction_factor: η: of those at a rung one in so many goes on, and the next rung is so
            many times as far.
        finalists: How many trials go all the way, at least; and how many of them are trained with
            all seeds.
        stop_when: ``tied`` begins no more trials when those that are left would gain less than can
            be told apart on the validation rows; see ``expected_gain``.
    """

    seeds_race: ClassVar[bool] = True
    stops_trials: ClassVar[bool] = True

    kind: Literal["promote"]
    first_rung: PositiveInt = 5
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    finalists: PositiveInt = 3
    stop_when: Literal["tied"] | None = None

    @field_validator("pruner")
    @classmethod
    def _check_pruner(cls, pruner: Component) -> Component:
        if pruner.name != "NopPruner":
            raise ValueError(
                f"pruner is {pruner.name}, but kind promote stops trials by itself; leave it out"
            )
        return pruner

    def uses_fixed(self, field: str, value: Any) -> bool:
        """Tell whether a trial may have the fixed value: the first one has, if it is searched."""
        domain = self.params.get(field)
        return super().uses_fixed(field, value) or (domain is not None and domain.holds(value))

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
    learns_early = True

    @property
    def reduction_factor(self) -> int:
        """η: one in so many goes on from a rung."""
        return self._promote.reduction_factor

    @property
    def _promote(self) -> PromoteSearch:
        assert isinstance(self.space.search, PromoteSearch)
        return self.space.search

    def next(self, board: Board) -> Opening:
        """Open as many tasks as trials are wanted, and promote who is due.

        When nothing is left to begin and nobody is due, finalists go on, and as soon as enough are
        whole the others are ended where they are: their scores are in the run store.
        """
        board = FixedBoard(board.tasks(), board.limit, board.pauses(), board.epochs)
        opening = super().next(dataclasses.replace(board, epochs=None))
        standing = Standing(self, board)
        keys = {task.key for task in board.read}
        new = tuple(self._first(task, keys) for task in opening.tasks)
        if board.epochs is not None:
            return self._rationed_opening(standing, new, board.epochs)
        due = sorted(standing.due & standing.paused)
        if due or new or standing.claimable(None):
            return Opening(new, False, tuple(due))
        finalists = standing.sure_finalists(self._promote.finalists)
        if finalists or standing.running:
            return Opening((), False, finalists[:1])
        return Opening((), opening.complete and not standing.left, ended=standing.endings())

    def _rationed_opening(
        self, standing: Standing, new: tuple[NewTask, ...], epochs: int
    ) -> Opening:
        """Do what ``next`` does within a budget, from which finalists are paid first.

        What the best so far still need to become whole is kept back. The rest is for new trials
        and for promotions.
        """
        finalists = max(min(self._promote.finalists, epochs // (2 * self._dearest)), 1)
        costs = Costs(standing, finalists, epochs)
        due = costs.affordable(standing.due & standing.paused)
        allotted = costs.begun + costs.room_for_new(self._wanted(standing.board))
        if due or standing.claimable(allotted) or (new and allotted > costs.begun):
            return Opening(new, False, due, allotted=allotted)
        going_on = costs.payable(standing.sure_finalists(finalists))
        if going_on or standing.running:
            return Opening(new, False, going_on[:1], allotted=allotted)
        wholes = sum(map(is_whole, standing.board.read))
        all_begun = costs.begun >= self._wanted(standing.board)
        starved = standing.due & standing.paused
        if all_begun and wholes >= self._promote.finalists and not starved:
            return Opening(new, not standing.left, ended=standing.endings(), allotted=allotted)
        able = bool(standing.left) or not all_begun
        return Opening(new, not able, allotted=allotted, exhausted=able)

    def needed_epochs(self, board: Board) -> int:
        """Return what is spent or promised, and what the best needs to be whole if none is."""
        board = FixedBoard(board.tasks(), board.limit, board.pauses())
        return Costs(Standing(self, board), 1, sys.maxsize).needed()

    def decide(self, task: Task, progress: Progress, board: Board, should_prune: Any) -> Verdict:
        """Pause at every rung that the trial reaches for the first time, and go on from there.

        One that was resumed to be ended is ended where it paused last. A step that has no score is
        no rung.
        """
        if progress.step >= progress.steps or not self._is_rung(progress):
            return Verdict(Decision.CONTINUE)
        pauses = board.pauses()
        reached = max((past.step for past in pauses.get(task.position, ())), default=0)
        if progress.step > reached:
            return Verdict(Decision.PAUSE)
        if progress.step == reached and task.ending is not None:
            return Verdict(Decision.PRUNE, task.ending)
        return Verdict(Decision.CONTINUE)

    def stop_question(self, board: Board) -> StopQuestion | None:
        """Return what all trials at the first rung say of those that are still to begin.

        Scores there differ more than at the end, so that the gain is rather too large. It is asked
        with ten scores or more, and with two for each parameter that is searched.
        """
        if self._promote.stop_when is None:
            return None
        tasks = board.tasks()
        more = self._wanted(board) - sum(task.begun and not task.added for task in tasks)
        if more <= 0:
            return None
        step = self._promote.first_rung
        scores = {
            position: past[0].value
            for position, past in board.pauses().items()
            if past[0].step == step
        }
        if len(scores) < max(_ENOUGH, 2 * len(self.distributions)):
            return None
        configs = {task.position: task.config for task in tasks if task.config is not None}
        ranked = sorted((p for p in scores if p in configs), key=lambda p: (-scores[p], p))
        best = tuple(configs[position] for position in ranked[:_COMPARED])
        return StopQuestion(expected_gain([*scores.values()], more), len(scores), step, best)

    def best(self, tasks: Sequence[Task]) -> Task | None:
        """Return the best of those with the most seeds and all epochs; the first of equal ones."""
        whole = [task for task in tasks if is_whole(task)]
        most = max((len(task.outcome.scores) for task in whole if task.outcome), default=0)
        final = [task for task in whole if task.outcome and len(task.outcome.scores) == most]
        return super().best(final or tasks)

    def plan(self, board: Board) -> Plan:
        """Return the plan: how far trials get if as many as may are promoted."""
        search = self._promote
        done = board.counts().get(TaskState.DONE, 0)
        trials = self._in_all(board, self._wanted(board))
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

    @property
    def one_step(self) -> int | None:
        """Samplers that learn from complete trials only compare trials at one rung."""
        if self._promote.sampler.name != "GPSampler":
            return None
        return len(self.distributions) + 1

    def stops(self, config: Config) -> list[int]:
        """Return the steps at which a trial of a configuration may pause, and its last one."""
        search, steps = self._promote, first_seed_steps(config)
        last = min(steps - 1, config.epochs)  # the second step of a two-step fusion has no rungs
        rungs = {search.first_rung * search.reduction_factor**k for k in range(_RUNGS)}
        seeds = {steps} if self.space.seeds > 1 else set()
        return sorted({rung for rung in rungs if rung <= last} | seeds | {self._last(config)})

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

    def _last(self, config: Config) -> int:
        return last_step(self.space, config)

    def _first(self, task: NewTask, keys: Container[str | None]) -> NewTask:
        """Give the first task the fixed values as its configuration, if the space has them."""
        config = self.space.fixed.taken({})
        if task.position > 0 or config.key in keys or not self.has_values(config):
            return task
        return dataclasses.replace(task, config=config, runs=head_runs(config, self.modalities))
