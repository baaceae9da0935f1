"""The sampled study: all parameters at once, suggested by an Optuna sampler."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from pydantic import (
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    Tag,
    field_validator,
    model_validator,
)

from hpo.models import Config, is_whole_number
from hpo.search._plan import Plan, PlannedStage
from hpo.search._sampling import make_sampler, param_value
from hpo.search._search import Search
from hpo.search._strategy import Board, Opening, Strategy
from hpo.search._tables import StageTable, table_row
from hpo.search._task import NewTask, Task, TaskState
from hpo.search._values import Change, Component, Frozen, Given, checked_values

__all__ = ["Choices", "OptunaSearch", "Range", "SampledStrategy"]

#: Rows of the table of a sampled study.
_BEST = 10


class Choices(Frozen):
    """One of several values."""

    choices: Annotated[tuple[Any, ...], Field(min_length=1)]


class Range(Frozen):
    """A number between ``low`` and ``high``, both included."""

    low: float
    high: float
    log: bool = False
    step: PositiveFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, but must be at most high, {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low > 0 and no step")
        return self


def _domain_kind(domain: Any) -> str:
    choices = "choices" in domain if isinstance(domain, dict) else isinstance(domain, Choices)
    return "choices" if choices else "range"


Domain = Annotated[
    Annotated[Choices, Tag("choices")] | Annotated[Range, Tag("range")],
    Discriminator(_domain_kind),
]


class OptunaSearch(Search):
    """All parameters at once, suggested by an Optuna sampler, stopped by an Optuna pruner."""

    kind: Literal["optuna"]
    trials: PositiveInt = 100
    sampler: Component = Component(name="TPESampler")
    seed: Annotated[int, Field(ge=0)] = 0
    params: Annotated[dict[str, Domain], Field(min_length=1)]

    #: More trials of a study go on with it.
    extensible: ClassVar[frozenset[str]] = frozenset({"trials"})

    @field_validator("params")
    @classmethod
    def _type_params(cls, params: dict[str, Choices | Range]) -> dict[str, Choices | Range]:
        return {
            field: Choices(choices=checked_values(field, domain.choices))
            if isinstance(domain, Choices)
            else domain
            for field, domain in params.items()
        }

    @property
    def trials_wanted(self) -> int | None:
        """How many trials a study is to have."""
        return self.trials

    def values_of(self, field: str) -> tuple[Any, ...]:
        """Return the values that a field's choices name; none for a range."""
        domain = self.params.get(field)
        return domain.choices if isinstance(domain, Choices) else ()

    def changed(self, change: Change) -> "OptunaSearch":
        """Return the search with every value of a configuration field changed."""

        def within(field: str, domain: Choices | Range) -> Choices | Range:
            if isinstance(domain, Choices):
                return Choices(choices=tuple(change(field, value) for value in domain.choices))
            ends = {"low": change(field, domain.low), "high": change(field, domain.high)}
            return domain.model_copy(update=ends)

        params = {field: within(field, domain) for field, domain in self.params.items()}
        return self.model_copy(update={"params": params})

    @staticmethod
    def given(raw: Mapping[str, Any]) -> Iterator[Given]:
        """Yield the configuration fields that a file gives values to."""
        params = raw.get("params")
        for field, domain in (params if isinstance(params, dict) else {}).items():
            place = ("params", field)
            yield Given(place, field, (), many=True)  # whatever is in it, its name is checked
            for key in ("choices", "low", "high"):
                if isinstance(domain, dict) and key in domain:
                    yield Given((*place, key), field, domain[key], key == "choices")


class SampledStrategy(Strategy):
    """The strategy of a space whose search is an ``OptunaSearch``.

    A study is so many tasks that get their configuration when they are claimed.
    """

    @property
    def _search(self) -> OptunaSearch:
        assert isinstance(self.space.search, OptunaSearch)
        return self.space.search

    @cached_property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """The domains of the space."""
        return {field: _distribution(field, d) for field, d in self._search.params.items()}

    def next(self, board: Board) -> Opening:
        """Open as many tasks as trials are wanted."""
        wanted = self._wanted(board)
        counts = board.counts()
        there = sum(counts.values())
        ended = sum(count for state, count in counts.items() if state.ended)
        # More than are wanted may be there, left from a run that wanted more; they stay open.
        new = tuple(NewTask(position, 0) for position in range(there, wanted))
        return Opening(new, there >= wanted and ended >= wanted)

    def best(self, tasks: Sequence[Task]) -> Task | None:
        """Return the task with the best value; the first of equal ones."""
        finished = [task for task in tasks if task.outcome is not None]
        return max(finished, key=_value, default=None)

    def tables(self, tasks: Sequence[Task], *, cited: bool) -> list[StageTable]:
        """Return a table of the best trials."""
        finished = [task for task in tasks if task.outcome is not None]
        best = self.best(tasks)
        ranked = sorted(finished, key=_value, reverse=True)[:_BEST]
        rows = tuple(
            table_row(
                self.params(task.config) if task.config is not None else {},
                task,
                None,
                winner=best is not None and task.position == best.position,
            )
            for task in ranked
        )
        name = f"best {len(rows)} of {len(finished)} trials"
        return [StageTable(name, rows, key="trials", selected=True)]

    def plan(self, board: Board) -> Plan:
        """Return the plan: every trial as long as the longest."""
        done = board.counts().get(TaskState.DONE, 0)
        trials = self._wanted(board)
        most = trials * max(self.space.lengths())
        planned = PlannedStage("trials", trials, trials, done, most, most)
        return Plan((planned,), self.space.seeds, assumed=False, in_stages=False)

    def draw(self, values: Mapping[str, Any]) -> Config:
        """Return the configuration for drawn parameters."""
        drawn = {}
        for field, value in values.items():
            domain = self._search.params[field]
            drawn[field] = (
                value
                if isinstance(domain, Range)
                else next(item for item in domain.choices if param_value(item) == value)
            )
        return self.space.fixed.taken(drawn)

    def sampler(self, position: int, attempt: int) -> BaseSampler:
        """Return the space's sampler, seeded for one suggestion."""
        return make_sampler(self._search.sampler, self._search.seed, position, attempt)

    def _wanted(self, board: Board) -> int:
        return self._search.trials if board.limit is None else board.limit


def _distribution(field: str, domain: Choices | Range) -> BaseDistribution:
    if isinstance(domain, Choices):
        return CategoricalDistribution(list(dict.fromkeys(map(param_value, domain.choices))))
    if is_whole_number(field):
        return IntDistribution(
            int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1)
        )
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def _value(task: Task) -> float:
    """Return what a finished task is ranked by; a value that is no number comes last."""
    assert task.outcome is not None
    return -math.inf if math.isnan(task.outcome.value) else task.outcome.value
