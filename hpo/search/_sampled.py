"""The sampled study: all parameters at once, suggested by an Optuna sampler."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

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

from hpo.models import Config, is_whole_number, modalities_read
from hpo.search._constraints import Dimensions
from hpo.search._front import best_of_front, front_of, front_table
from hpo.search._plan import Plan, PlannedStage
from hpo.search._sampling import make_sampler, param_value
from hpo.search._search import Search
from hpo.search._strategy import Board, NoCandidateError, Opening, Strategy
from hpo.search._tables import StageTable, table_row
from hpo.search._task import NewTask, Task, TaskState
from hpo.search._values import Change, Component, Frozen, Given, checked_values

if TYPE_CHECKING:
    from hpo.search._space import Space

__all__ = ["Choices", "OptunaSearch", "Range", "SampledSearch", "SampledStrategy"]

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


class SampledSearch(Search):
    """All parameters at once, suggested by an Optuna sampler.

    Attributes:
        trials: How many configurations are tried.
        sampler: Suggests them.
        seed: Of the suggestions.
        params: The domain of each field that is searched.
    """

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

    def ends(self) -> frozenset[int]:
        """Return every number of epochs that a trial may have, if the search varies it."""
        domain = self.params.get("epochs")
        if not isinstance(domain, Range):
            return super().ends()
        return frozenset(range(int(domain.low), int(domain.high) + 1, int(domain.step or 1)))

    def changed(self, change: Change) -> Self:
        """Return the search with every value of a configuration field changed."""

        def within(field: str, domain: Choices | Range) -> Choices | Range:
            if isinstance(domain, Choices):
                return Choices(choices=tuple(change(field, value) for value in domain.choices))
            ends = {"low": change(field, domain.low), "high": change(field, domain.high)}
            return domain.model_copy(update=ends)

        params = {field: within(field, domain) for field, domain in self.params.items()}
        return self.model_copy(update={"params": params})

    def varying(self, field: str, values: tuple[Any, ...]) -> Self:
        """Return the search with a choice of one more field."""
        params = {**self.params, field: Choices(choices=values)}
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


class OptunaSearch(SampledSearch):
    """A sampled search whose trials are stopped by an Optuna pruner."""

    weighs_two: ClassVar[bool] = True

    kind: Literal["optuna"]


class SampledStrategy(Strategy):
    """The strategy of a space whose search is an ``OptunaSearch``.

    A study is so many tasks that get their configuration when they are claimed. Of the fusions,
    those that the modalities don't allow are left out.
    """

    def __init__(
        self,
        space: "Space",
        modalities: Sequence[str],
        dimensions: Dimensions | None = None,
    ) -> None:
        super().__init__(_possible(space, modalities), modalities, dimensions)

    @property
    def _search(self) -> SampledSearch:
        assert isinstance(self.space.search, SampledSearch)
        return self.space.search

    def values_of(self, field: str) -> Sequence[Any]:
        """Return the choices of a field, or else the fixed value."""
        return self._search.values_of(field) or (getattr(self.space.fixed, field),)

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
        complete = there >= wanted and ended >= wanted
        if complete and self.sizes.limits:
            self._check_kept(board.tasks())
        return Opening(new, complete)

    def best(self, tasks: Sequence[Task]) -> Task | None:
        """Return the task with the best value; of equal ones the cheapest, or else the first."""
        against = self.space.against
        on_front = None if against is None else best_of_front(front_of(tasks, against))
        return on_front or max(_scored(tasks), key=_value, default=None)

    def tables(self, tasks: Sequence[Task], *, cited: bool) -> list[StageTable]:
        """Return a table of the best trials, and one of the front of a study with two objectives.

        Trials that broke a constraint are counted in the name of the first one.
        """
        finished = _scored(tasks)
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
        broke = sum(t.outcome is not None and not t.outcome.is_scored for t in tasks)
        name = f"best {len(rows)} of {len(finished)} trials"
        name += f"; {broke} more broke a constraint" if broke else ""
        tables = [StageTable(name, rows, key="trials", selected=True)]
        if self.space.against is not None and finished:
            front = front_of(tasks, self.space.against)
            tables.append(front_table(self, front, self.space.against))
        return tables

    def plan(self, board: Board) -> Plan:
        """Return the plan: every trial as long as the longest."""
        done = board.counts().get(TaskState.DONE, 0)
        trials = self._wanted(board)
        most = trials * max(self.space.ends())
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

    def has_values(self, config: Config) -> bool:
        """Tell whether the domains of the space have the values of a configuration."""
        return all(
            value in domain.choices
            if isinstance(domain, Choices)
            else isinstance(value, int | float) and domain.low <= value <= domain.high
            for domain, value in (
                (self._search.params[name], value) for name, value in self.params(config).items()
            )
        )

    def sampler(self, position: int, attempt: int) -> BaseSampler:
        """Return the space's sampler, seeded for one suggestion."""
        return make_sampler(self._search.sampler, self._search.seed, position, attempt)

    def _check_kept(self, tasks: Sequence[Task]) -> None:
        """Check that some trial of a complete study kept within its constraints.

        Raises:
            NoCandidateError: None did.
        """
        broke = [t.outcome for t in tasks if t.outcome is not None and not t.outcome.is_scored]
        if broke and not _scored(tasks):
            raise NoCandidateError(
                f"None of the {len(broke)} trials keeps within the constraints; the last one: "
                f"{broke[-1].pruned}. Raise the limit, or add cheaper values to the search, in a "
                "new study."
            )

    def _wanted(self, board: Board) -> int:
        return self._search.trials if board.limit is None else board.limit


def _possible(space: "Space", modalities: Sequence[str]) -> "Space":
    """Return a space with those fusions only that the modalities allow.

    Where none is left, it is the one modality that there is.
    """

    def allowed(fusions: Iterable[str]) -> tuple[str, ...]:
        kept = [name for name in fusions if modalities_read(name, modalities) is not None]
        return tuple(kept or modalities[:1])

    search = space.search
    assert isinstance(search, SampledSearch)
    (fixed,) = allowed([space.fixed.fusion])
    changed: dict[str, Any] = {"fixed": space.fixed.model_copy(update={"fusion": fixed})}
    domain = search.params.get("fusion")
    if isinstance(domain, Choices):
        params = {**search.params, "fusion": Choices(choices=allowed(domain.choices))}
        changed["search"] = search.model_copy(update={"params": params})
    return space.model_copy(update=changed)


def _distribution(field: str, domain: Choices | Range) -> BaseDistribution:
    if isinstance(domain, Choices):
        return CategoricalDistribution(list(dict.fromkeys(map(param_value, domain.choices))))
    if is_whole_number(field):
        return IntDistribution(
            int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1)
        )
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def _scored(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that have a score."""
    return [task for task in tasks if task.outcome is not None and task.outcome.is_scored]


def _value(task: Task) -> float:
    """Return what a finished task is ranked by; a value that is no number comes last."""
    assert task.outcome is not None
    return -math.inf if math.isnan(task.outcome.value) else task.outcome.value
