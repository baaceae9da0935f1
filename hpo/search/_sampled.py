"""The sampled study: all parameters at once, suggested by an Optuna sampler."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from pydantic import Field, PositiveInt, ValidationError, field_validator

from hpo.errors import InputError, did_you_mean, shown
from hpo.models import Config, is_value_name, modalities_read, rule_of, typed_value
from hpo.search._constraints import Dimensions
from hpo.search._cost import costliest, last_step, trained_epochs
from hpo.search._domains import (
    Choices,
    Domain,
    Range,
    changed_domain,
    check_conditions,
    distribution_of,
)
from hpo.search._front import best_of_front, front_of, front_table
from hpo.search._plan import Plan, PlannedStage
from hpo.search._sampling import make_sampler, param_value
from hpo.search._search import Search
from hpo.search._strategy import Board, NoCandidateError, Opening, Strategy, rank_value
from hpo.search._tables import StageTable, table_row
from hpo.search._task import NewTask, Task, TaskState
from hpo.search._values import Change, Component, Given, checked_values

if TYPE_CHECKING:
    from hpo.search._space import Space

__all__ = ["Choices", "OptunaSearch", "Range", "SampledSearch", "SampledStrategy"]

#: Rows of the table of a sampled study.
_BEST = 10


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

    counts_epochs: ClassVar[bool] = True
    #: More trials of a study go on with it.
    extensible: ClassVar[frozenset[str]] = frozenset({"trials"})

    @field_validator("params")
    @classmethod
    def _type_params(cls, params: dict[str, Choices | Range]) -> dict[str, Choices | Range]:
        typed = {
            field: domain.model_copy(update={"choices": checked_values(field, domain.choices)})
            if isinstance(domain, Choices)
            else domain
            for field, domain in params.items()
        }
        return check_conditions(typed)

    @property
    def trials_wanted(self) -> int | None:
        """How many trials a study is to have."""
        return self.trials

    def values_of(self, field: str) -> tuple[Any, ...]:
        """Return the values that a field's choices name; none for a range."""
        domain = self.params.get(field)
        return domain.choices if isinstance(domain, Choices) else ()

    def uses_fixed(self, field: str, value: Any) -> bool:
        """Tell whether a trial may have the fixed value: where the field isn't drawn."""
        domain = self.params.get(field)
        return domain is None or bool(domain.when)

    def ends(self) -> frozenset[int]:
        """Return every number of epochs that a trial may have, if the search varies it."""
        domain = self.params.get("epochs")
        if not isinstance(domain, Range):
            return super().ends()
        return frozenset(range(int(domain.low), int(domain.high) + 1, int(domain.step or 1)))

    def notes(self) -> list[str]:
        """Say which ranges end below their high end, where no step gets to."""
        return [
            f"{field} is searched from {domain}, so up to {domain.last():g}"
            for field, domain in self.params.items()
            if isinstance(domain, Range) and domain.last() < domain.high
        ]

    def changed(self, change: Change) -> Self:
        """Return the search with every value of a configuration field changed."""
        params = {field: changed_domain(field, d, change) for field, d in self.params.items()}
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
        return {field: distribution_of(field, d) for field, d in self._search.params.items()}

    def params(self, config: Config) -> dict[str, Any]:
        """Return the parameters that a trial shows; those whose condition fails are left out."""
        shown = super().params(config)
        return {name: value for name, value in shown.items() if self._exists(name, shown)}

    def domains(self, values: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Return the domains of the parameters that exist together with ``values``.

        One with a condition exists as soon as what it depends on is known.
        """
        return {n: d for n, d in super().domains(values).items() if self._exists(n, values)}

    def next(self, board: Board) -> Opening:
        """Open as many tasks as trials are wanted, and begin what the budget allows of them."""
        wanted = self._wanted(board)
        counts, added = board.counts(), board.added()
        there = sum(counts.values()) - sum(added.values())
        ended = sum(count - added[state] for state, count in counts.items() if state.ended)
        waiting = any(count for state, count in added.items() if not state.ended)
        # More than are wanted may be there, left from a run that wanted more; they stay open.
        new = tuple(NewTask(position, 0) for position in range(there, wanted))
        complete = there >= wanted and ended >= wanted and not waiting
        if complete and self.sizes.limits:
            self._check_kept(board.tasks())
        return self._rationed(board, Opening(new, complete))

    def is_exhausted(self, board: Board) -> bool:
        """Tell whether the budget leaves nothing to work on."""
        return board.epochs is not None and self.next(board).exhausted

    def _rationed(self, board: Board, opening: Opening) -> Opening:
        """Let only so many trials be begun that all of them can go all the way."""
        if board.epochs is None or opening.complete:
            return opening
        tasks = board.tasks()
        spent = sum(self._committed(task) for task in tasks)
        begun = [task for task in tasks if task.begun and not task.added]
        room = max(board.epochs - spent, 0) // self._dearest
        allotted = min(len(begun) + room, self._wanted(board))
        at_work = any(not task.state.ended for task in tasks if task.begun or task.added)
        return dataclasses.replace(
            opening, allotted=allotted, exhausted=allotted <= len(begun) and not at_work
        )

    @cached_property
    def _dearest(self) -> int:
        """What a trial costs at most, in epochs of single runs."""
        config = costliest(self.space, self.modalities)
        return trained_epochs(self.space, config, self.modalities, last_step(self.space, config))

    def _committed(self, task: Task) -> int:
        """Return the epochs that a task has trained, or is going to train once it is claimed."""
        if not task.begun and not task.added:
            return 0
        if task.config is None:
            return self._dearest if not task.state.ended else 0
        step = last_step(self.space, task.config)
        if task.state.ended:
            step = task.outcome.steps if task.outcome is not None else 0
        return trained_epochs(self.space, task.config, self.modalities, step)

    def best(self, tasks: Sequence[Task]) -> Task | None:
        """Return the task with the best value; of equal ones the cheapest, or else the first."""
        against = self.space.against
        on_front = None if against is None else best_of_front(front_of(tasks, against))
        return on_front or max(_scored(tasks), key=rank_value, default=None)

    def tables(self, tasks: Sequence[Task], *, cited: bool) -> list[StageTable]:
        """Return a table of the best trials, and one of the front of a study with two objectives.

        Trials that broke a constraint are counted in the name of the first one.
        """
        finished = _scored(tasks)
        best = self.best(tasks)
        ranked = sorted(finished, key=rank_value, reverse=True)[:_BEST]
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
        trials = self._in_all(board, self._wanted(board))
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
        shown = self.params(config)
        return all(self._search.params[name].holds(value) for name, value in shown.items())

    def point(self, values: Mapping[str, Any]) -> Config:
        """Return the configuration of a candidate that is added by hand.

        Args:
            values: By name; what they leave out has its fixed value.

        Raises:
            InputError: It is no point of the space; all problems are listed.
        """
        typed: dict[str, Any] = {}
        problems = []
        for name, value in values.items():
            fault, typed_one = self._checked(name, value)
            problems += [] if fault is None else [fault]
            typed[name] = typed_one
        if not problems:
            config = self.space.fixed.taken(typed)
            shown = self.params(config)
            problems += [
                f"{name} is {typed[name]}, but doesn't exist together with the other values"
                for name in typed
                if name not in shown
            ]
            problems += [
                f"{name} must be given, since its fixed value {value} is not what is searched: "
                f"{self._search.params[name]}"
                for name, value in shown.items()
                if not self._search.params[name].holds(value)
            ]
        if problems:
            raise InputError(problems, "The candidate is no point of the search space:")
        return config

    def fitting(self, config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what of a configuration of another study is a point of this space.

        Returns:
            The values that fit, for ``point``; and those that are left out, since the space doesn't
            search them or doesn't have them, and fixes something else.
        """
        values = config.values()
        there = {name: value for name, value in values.items() if name in self._search.params}
        fit = {n: value for n, value in there.items() if self._search.params[n].holds(value)}
        shown = self.params(self.space.fixed.taken(fit))
        kept = {name: value for name, value in fit.items() if name in shown}
        mine = self.space.fixed.taken(kept).values()
        left = {n: v for n, v in values.items() if n not in kept and mine.get(n, v) != v}
        return kept, left

    def _checked(self, name: str, value: Any) -> tuple[str | None, Any]:
        """Return what is wrong with a value, and the value in its type."""
        domain = self._search.params.get(name)
        if domain is None:
            known = list(self._search.params)
            what = "isn't searched" if is_value_name(name) else "is unknown"
            return f"{name} {what}{did_you_mean(name, known)}; searched: {', '.join(known)}", None
        try:
            typed = typed_value(name, value)
        except ValidationError as error:
            return f"{name} is {shown(value)}, but {rule_of(error)}", None
        if not domain.holds(typed):
            return f"{name} is {param_value(typed)}, but must be {domain}", None
        return None, typed

    def _exists(self, name: str, values: Mapping[str, Any]) -> bool:
        """Tell whether the condition of a parameter holds; what it depends on has a value."""
        when = self._search.params[name].when
        return all(
            other in values and param_value(values[other]) in map(param_value, allowed)
            for other, allowed in when.items()
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
        fusions = domain.model_copy(update={"choices": allowed(domain.choices)})
        params = {**search.params, "fusion": fusions}
        changed["search"] = search.model_copy(update={"params": params})
    return space.model_copy(update=changed)


def _scored(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that have a score."""
    return [task for task in tasks if task.outcome is not None and task.outcome.is_scored]
