"""The greedy study: a chain of grids, each with all else as it is best so far.

Its stages are a pure function of the space and of what has been scored, so that any process that
finds the last stage complete can open the next one.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution
from pydantic import Field

from hpo.errors import InputError
from hpo.models import Config, FixedValues, modalities_read
from hpo.search._plan import Plan, PlannedStage, RunSharing
from hpo.search._sampling import param_value
from hpo.search._search import Search
from hpo.search._stage import Stage
from hpo.search._strategy import Board, NoCandidateError, Opening, Strategy
from hpo.search._tables import StageTable, TableRow, table_row
from hpo.search._task import NewTask, Task
from hpo.search._values import Change, Given
from hpo.training import head_runs

__all__ = ["Candidate", "GreedySearch", "GreedyStage", "GreedyStrategy"]

#: Grids that a strategy remembers: those of all stages, decided and as they are assumed.
_GRIDS = 64


class GreedySearch(Search):
    """Stages, one after the other; ties go to the earlier candidate.

    Attributes:
        stages: In their order; each starts from the winner of the one before.
    """

    kind: Literal["greedy"]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]

    def values_of(self, field: str) -> tuple[Any, ...]:
        """Return the values that any stage tries or fixes."""
        found: list[Any] = []
        for stage in self.stages:
            found += stage.params.get(field, ())
            found += [stage.fixed[field]] if field in stage.fixed else []
        return tuple(found)

    def uses_fixed(self, field: str, value: Any) -> bool:
        """Tell whether a candidate may have the fixed value: before a stage that varies it."""
        first = self.stages[0]
        return field not in first.params and field not in first.fixed

    def changed(self, change: Change) -> "GreedySearch":
        """Return the search with every value of a configuration field changed."""
        stages = tuple(
            stage.model_copy(
                update={
                    "params": {
                        field: tuple(change(field, value) for value in values)
                        for field, values in stage.params.items()
                    },
                    "fixed": {f: change(f, value) for f, value in stage.fixed.items()},
                }
            )
            for stage in self.stages
        )
        return self.model_copy(update={"stages": stages})

    def varying(self, field: str, values: tuple[Any, ...]) -> "GreedySearch":
        """Return the search with a stage for one more field.

        It comes after the stage that chooses the fusion, so that its candidates are compared by
        all modalities that count; without such a stage it is the first.
        """
        places = [place for place, stage in enumerate(self.stages) if "fusion" in stage.params]
        after = places[0] + 1 if places else 0
        stages = list(self.stages)
        stages.insert(after, Stage(name=field, params={field: values}))
        return self.model_copy(update={"stages": tuple(stages)})

    @staticmethod
    def given(raw: Mapping[str, Any]) -> Iterator[Given]:
        """Yield the configuration fields that a file gives values to."""
        stages = raw.get("stages")
        for index, stage in enumerate(stages if isinstance(stages, list) else []):
            for key, many in (("fixed", False), ("params", True)):
                values = stage.get(key) if isinstance(stage, dict) else None
                for field, value in (values if isinstance(values, dict) else {}).items():
                    yield Given(("stages", index, key, field), field, value, many)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One point of a stage's grid.

    Attributes:
        config: The whole configuration.
        params: The values that this stage varies; without parameters of choices not taken.
        reference: Published score in percent, or None.
        key: Shared by equal configurations of all stages.
        skipped: Why it is not trained, having too large a model; None if it is trained.
    """

    config: Config
    params: Mapping[str, Any]
    reference: float | None
    key: str
    skipped: str | None = None


@dataclasses.dataclass(frozen=True)
class GreedyStage:
    """A stage whose candidates are known.

    Attributes:
        index: From 0.
        name: As in the space.
        candidates: In the order of the grid; equal ones stand once.
        winner: The best candidate; None while one has no score yet.
    """

    index: int
    name: str
    candidates: tuple[Candidate, ...]
    winner: Candidate | None


class GreedyStrategy(Strategy):
    """The strategy of a space whose search is a ``GreedySearch``."""

    @property
    def _search(self) -> GreedySearch:
        assert isinstance(self.space.search, GreedySearch)
        return self.space.search

    def values_of(self, field: str) -> Sequence[Any]:
        """Return the values that any stage tries or fixes, and the one to start from."""
        values = super().values_of(field)
        if field == "fusion" and not self._is_possible(self.space.fixed.fusion):
            return (*values, self.modalities[0])
        return values

    @functools.cached_property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """Categorical over all values that any stage tries or fixes.

        A categorical parameter may not change its choices within an Optuna study.
        """
        varied = dict.fromkeys(field for stage in self._search.stages for field in stage.params)
        choices = {
            field: [
                self.space.fixed.value_of(field),
                *(v for stage in self._search.stages for v in stage.params.get(field, ())),
                *(s.fixed[field] for s in self._search.stages if field in s.fixed),
            ]
            for field in varied
        }
        return {
            field: CategoricalDistribution(list(dict.fromkeys(map(param_value, values))))
            for field, values in choices.items()
        }

    def stages(self, score: Callable[[Candidate], float | None]) -> list[GreedyStage]:
        """Return the stages that are decided, and the first one that isn't.

        Args:
            score: Gives the score of a finished candidate, NaN for one that failed for good or
                broke a constraint, None for one that has no result yet. It isn't asked of those
                that are skipped.

        Raises:
            NoCandidateError: A stage has only failures and candidates that break a constraint.
            InputError: A stage has no candidate for these modalities.
        """
        best = self.space.fixed
        if not self._is_possible(best.fusion):
            best = best.updated({"fusion": self.modalities[0]})
        stages: list[GreedyStage] = []
        for index, stage in enumerate(self._search.stages):
            candidates = self._grid(index, best.updated(stage.fixed))
            scores = [math.nan if c.skipped else score(c) for c in candidates]
            winner = _winner(candidates, scores, stage.name)
            stages.append(GreedyStage(index, stage.name, candidates, winner))
            if winner is None:
                break
            best = best.updated(winner.params)
        return stages

    def next(self, board: Board) -> Opening:
        """Open the candidates of the last stage that is known."""
        tasks = board.tasks()
        stages = self._scored_stages(tasks)
        known = {task.key for task in tasks}
        last = stages[-1]
        # Whoever sees the same tasks opens the same ones at the same positions.
        start = max((task.position for task in tasks), default=-1) + 1
        new = [c for c in last.candidates if c.key not in known and c.skipped is None]
        opened = tuple(
            NewTask(
                position=start + place,
                stage=last.index,
                config=candidate.config,
                runs=head_runs(candidate.config, self.modalities),
            )
            for place, candidate in enumerate(new)
        )
        complete = len(stages) == len(self._search.stages) and last.winner is not None
        return Opening(opened, complete)

    def best(self, tasks: Sequence[Task]) -> Task | None:
        """Return the task of the last stage's winner."""
        stages = self._scored_stages(tasks)
        winner = stages[-1].winner
        if len(stages) < len(self._search.stages) or winner is None:
            return None
        return next(task for task in tasks if task.key == winner.key)

    def tables(self, tasks: Sequence[Task], *, cited: bool) -> list[StageTable]:
        """Return a table for each stage.

        A configuration that an earlier stage ran has the trial and the score of that stage.
        """
        by_key = {task.key: task for task in tasks}
        return [
            StageTable(
                stage.name,
                tuple(
                    self._row(
                        candidate,
                        by_key.get(candidate.key),
                        candidate.reference if cited else None,
                        winner=candidate is stage.winner,
                    )
                    for candidate in stage.candidates
                ),
                key=stage.name,
                selected=False,
            )
            for stage in self._scored_stages(tasks)
        ]

    def _row(
        self, candidate: Candidate, task: Task | None, reference: float | None, *, winner: bool
    ) -> TableRow:
        row = table_row(candidate.params, task, reference, winner=winner)
        if candidate.skipped is None:
            return row
        size = self.sizes.of(candidate.config)
        return dataclasses.replace(row, note=f"skipped: {candidate.skipped}", model_mb=size)

    def plan(self, board: Board) -> Plan:
        """Return the plan of all stages.

        Where a stage is not decided, the candidate with the best reference score is assumed to
        win, or else the first one.
        """
        finished = {task.key: task.outcome for task in board.tasks() if task.outcome is not None}
        assumed = False

        def score(candidate: Candidate) -> float:
            nonlocal assumed
            outcome = finished.get(candidate.key)
            if outcome is not None:
                return outcome.value
            assumed = True
            return candidate.reference or 0.0

        sharing = RunSharing(self.modalities)
        seen: set[str] = set()
        planned = []
        for stage in self.stages(score):
            candidates = [c for c in stage.candidates if c.skipped is None]
            keys = {candidate.key for candidate in candidates}
            planned.append(
                PlannedStage(
                    name=stage.name,
                    candidates=len(keys),
                    new=len(keys - seen),
                    done=len(keys & finished.keys()),
                    asked=sum(candidate.config.epochs for candidate in candidates),
                    trained=sum(sharing.add(candidate.config) for candidate in candidates),
                    skipped=len(stage.candidates) - len(candidates),
                )
            )
            seen |= keys
        return Plan(tuple(planned), self.space.seeds, assumed, in_stages=True)

    def domains(self, values: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Return the domains of the parameters that a trial shows."""
        return {name: domain for name, domain in self.distributions.items() if name in values}

    def attributes(self, task: Task) -> dict[str, Any]:
        """Name the stage on the trial."""
        return {"stage": self.stage_name(task)}

    def stage_name(self, task: Task) -> str:
        """Return the name of the task's stage."""
        return self._search.stages[task.stage].name

    def is_exhausted(self, board: Board) -> bool:
        """Tell whether as many tasks as the limit allows have ended."""
        if board.limit is None:
            return False
        return sum(n for state, n in board.counts().items() if state.ended) >= board.limit

    def _scored_stages(self, tasks: Sequence[Task]) -> list[GreedyStage]:
        by_key = {task.key: task for task in tasks}

        def score(candidate: Candidate) -> float | None:
            task = by_key.get(candidate.key)
            if task is None or not task.state.ended:
                return None
            return math.nan if task.outcome is None else task.outcome.value

        return self.stages(score)

    @functools.cached_property
    def _grid(self) -> Callable[[int, FixedValues], tuple[Candidate, ...]]:
        """What ``_candidates`` returns, which is asked for again and again."""
        return functools.lru_cache(maxsize=_GRIDS)(self._candidates)

    def _candidates(self, index: int, base: FixedValues) -> tuple[Candidate, ...]:
        """Return the candidates of a stage; equal ones stand once, at the first place."""
        stage = self._search.stages[index]
        grid: dict[str, Candidate] = {}
        for position, values in enumerate(itertools.product(*stage.params.values())):
            params = dict(zip(stage.params, values, strict=True))
            config = base.taken(params)
            if self._is_possible(config.fusion):
                reference = stage.reference[position] if stage.reference else None
                key = config.key
                shown = {
                    name: value
                    for name, value in params.items()
                    if "." not in name or name in config.values()
                }
                too_large = self.sizes.too_large(config)
                grid.setdefault(key, Candidate(config, shown, reference, key, too_large))
        if not grid:
            raise InputError(
                f"The stage '{stage.name}' has no candidate for features with "
                f"{', '.join(self.modalities)} alone."
            )
        return tuple(grid.values())

    def _is_possible(self, fusion: str) -> bool:
        return modalities_read(fusion, self.modalities) is not None


def _winner(
    candidates: tuple[Candidate, ...], scores: list[float | None], stage: str
) -> Candidate | None:
    if any(score is None for score in scores):
        return None
    scored = [
        (score, candidate)
        for score, candidate in zip(scores, candidates, strict=True)
        if score is not None and score == score  # NaN marks a failure
    ]
    if not scored:
        skipped = [candidate.skipped for candidate in candidates if candidate.skipped]
        why = f" or break a constraint ({skipped[0]})" if skipped else ""
        raise NoCandidateError(f"All candidates of the stage '{stage}' failed{why}.")
    return max(scored, key=lambda pair: pair[0])[1]  # the first of equal ones
