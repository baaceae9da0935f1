"""A study: its definition, its queue in the ledger, and its trials in Optuna's storage."""

import copy
import dataclasses
import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import optuna
from optuna.trial import FrozenTrial

from hpo.errors import InputError
from hpo.features import ChoiceCost, choice_cost
from hpo.models import Config
from hpo.queue import (
    Patience,
    StudyRow,
    Trials,
    first_patience,
    open_trials,
    waiting,
)
from hpo.search import (
    Opening,
    Plan,
    Progress,
    Space,
    StageTable,
    Strategy,
    Task,
    TaskState,
    experimental,
    make_pruner,
    param_value,
)
from hpo.study._board import StudyBoard
from hpo.study._definition import Definition
from hpo.study._identity import Store, StudyGoneError
from hpo.study._name import check_name
from hpo.study._places import find_cache
from hpo.study._plugins import check_plugins
from hpo.training import metric_label
from hpo.trials import (
    Draw,
    OptunaStudy,
    Searched,
    check_exists,
    find_study,
    open_study,
    redact,
    redraw,
)

if TYPE_CHECKING:
    from hpo.trials import Shown

__all__ = ["StoredStudy", "finished_trial"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
#: User attribute of a study in Optuna: the folder of its results.
_RESULTS = "results"


class StoredStudy:
    """A study as one process sees it.

    ``create`` and ``join`` give one whose calls wait for a store that is away.

    Args:
        name: The study's name.
        definition: As it is stored.
        store: Where its trials and its queue are.
        identity: What tells it from another study of its name.

    Attributes:
        wait: So many seconds a store that is away is waited for; None for without end.
        trials_asked: How many trials the space asked for this time, where the study was made with
            another number; None where it was the same.
        budget: What the study may take, as the space has it this time.
    """

    def __init__(self, name: str, definition: Definition, store: Store, identity: str) -> None:
        self.wait: float | None = None
        self.trials_asked: int | None = None
        self.budget = definition.space.budget
        self.url = store.url
        self.name = name
        self.definition = definition
        self.ledger = store.ledger
        self._store = store
        self._identity = identity
        #: The study that this is a copy of, and what its calls wait for.
        self._base = self
        self._patience: Patience | None = None

    @staticmethod
    def create(
        url: str, name: str, definition: Definition, wait: float | None = None
    ) -> "StoredStudy":
        """Create the study, or open it if it exists and is the same.

        A study that was deleted with Optuna's tools is begun anew.

        Args:
            url: The storage URL.
            name: The study's name.
            definition: What it is.
            wait: Seconds for which a store that is away is waited for. By default a minute where it
                was not reached before, and from then on without end.

        Raises:
            StoreAwayError: The store can't be reached in this time.
            InputError: The name can't be one, the storage is no good, or has a study of this name
                that is another one, or that hpo didn't make, or whose space meant something else
                when it was made; or no configuration of the space keeps within its constraints.
        """
        check_name(name)
        # The parameters that trials show are then among the choices that Optuna knows.
        definition = definition.capped()
        definition.strategy().check()
        made = first_patience(wait)(lambda: StoredStudy._create(url, name, definition))
        return made._waiting_for(wait)

    @staticmethod
    def _create(url: str, name: str, definition: Definition) -> "StoredStudy":
        """Carry ``create`` out, to be called again where the store went away meanwhile."""
        store = Store.open(url)
        found = store.make_way(name, definition.objectives)
        stored = _read(name, store.ledger.define(name, definition.to_json()))
        if found is None and stored.differences(definition):  # whoever defined it got no further
            store.ledger.delete(name)
            stored = _read(name, store.ledger.define(name, definition.to_json()))
        stored.check_meaning(name)
        stored.check_same(definition, name, redact(url))
        for field, value in stored.kept_defaults(definition).items():
            _log.warning(
                "The study '%s' was made when %s was %s unless the space said something else, and "
                "goes on with that.",
                name,
                field,
                value,
            )
        if kept := stored.kept_upkeep(definition):
            _log.warning("The study '%s' keeps %s, with which it was made.", name, kept)
        # The cache may have moved since; where it is now is what the caller says.
        stored = dataclasses.replace(stored, cache=definition.cache)
        if found is None:
            open_study(store.storage, name, two_objectives=len(definition.objectives) == 2)
            found = find_study(store.storage, name)
        if found is None:
            raise StudyGoneError(name, url)
        study = StoredStudy(name, stored, store, store.link(found))
        wanted, had = definition.space.search.trials_wanted, stored.space.search.trials_wanted
        study.trials_asked = wanted if wanted != had else None
        study.budget = definition.space.budget
        study.describe()
        return study

    @staticmethod
    def join(
        url: str,
        name: str,
        cache: Path | None = None,
        option: str = "--study",
        wait: float | None = None,
        poll: Callable[[], None] = lambda: None,
    ) -> "StoredStudy":
        """Open a study that exists.

        Args:
            url: The storage URL.
            name: The study's name.
            cache: Where this machine sees the study's features and runs; see ``find_cache``.
            option: By which the user named it, for messages.
            wait: See ``create``.
            poll: Called while the store is waited for; may raise to give up.

        Raises:
            InputError: The storage is no good or has no such study, or one that hpo didn't make,
                or the study needs a part of a user's own that is not here.
            StoreAwayError: The store can't be reached in this time.
        """

        def find() -> StoredStudy:
            check_exists(url)
            store = Store.open(url)
            found, row = store.find(name, option)
            return StoredStudy(name, _read(name, row.definition), store, store.link(found))

        joined = first_patience(wait, poll)(find)
        cache = find_cache(joined.definition, url, name, cache)
        joined.definition = dataclasses.replace(joined.definition, cache=str(cache))
        return joined._waiting_for(wait)

    def _waiting_for(self, wait: float | None) -> "StoredStudy":
        self.wait = wait
        return self.patient(Patience(limit=wait))

    def check_there(self) -> None:
        """Check that the study wasn't deleted since it was opened.

        Raises:
            StudyGoneError: It was, or it was renamed.
        """
        self.waiting(lambda: self._store.check(self.name, self._base._source.id, self._identity))

    def patient(self, patience: Patience) -> "StoredStudy":
        """Return the study with calls that wait for a store that is away as ``patience`` does."""
        other = copy.copy(self)
        other.ledger = waiting(self._base.ledger, patience)
        other._patience = patience
        return other

    @property
    def identity(self) -> str:
        """What tells it from another study of its name."""
        return self._identity

    def telling(self, told: Callable[[str | None], None]) -> "StoredStudy":
        """Return the study with calls that wait as long, and tell of it.

        Args:
            told: See ``Patience``.
        """
        return self.patient(Patience(limit=self.wait, told=told))

    @property
    def plain(self) -> "StoredStudy":
        """The study with calls that wait for nothing."""
        other = copy.copy(self)
        other.ledger, other._patience = self._base.ledger, None
        return other

    def waiting(self, action: Callable[[], T]) -> T:
        """Return what an action returns, which is carried out again while the store is away.

        Args:
            action: Harmless when it is carried out again after the store's answer was lost.
        """
        return action() if self._patience is None else self._patience(action)

    @property
    def space(self) -> Space:
        """The search space, scaled."""
        return self.definition.space

    @cached_property
    def strategy(self) -> Strategy:
        """What decides in this study."""
        return self.definition.strategy()

    @property
    def trials(self) -> Trials:
        """The study's trials in Optuna's storage, which is opened when they are first needed."""
        trials = self.waiting(lambda: self._base._trials)
        return trials if self._patience is None else waiting(trials, self._patience)

    @property
    def optuna(self) -> optuna.Study:
        """The plain Optuna study, whose own calls wait for nothing."""
        return self.waiting(lambda: self._base._source).study

    @property
    def results(self) -> Path | None:
        """The folder that its results were written to last; None if none were."""
        folder = self.noted(_RESULTS)
        return None if folder is None else Path(folder)

    @results.setter
    def results(self, folder: Path) -> None:
        self.note(_RESULTS, str(folder.absolute()))

    def noted(self, name: str) -> str | None:
        """Return a fact that is kept on the Optuna study; None if it isn't there."""
        value = self.waiting(lambda: self._base._source.study.user_attrs.get(name))
        return None if value is None else str(value)

    def note(self, name: str, value: str) -> None:
        """Keep a fact on the Optuna study, where it isn't there already."""

        def write() -> None:
            study = self._base._source.study
            if study.user_attrs.get(name) != value:
                study.set_user_attr(name, value)

        self.waiting(write)

    def shown(self) -> "Shown":
        """Return what the study shows in optuna-dashboard beyond its trials."""
        from hpo.trials import Shown

        return Shown(self._base._source)

    def redraw(self, draw: Draw) -> Config:
        """Draw the configuration of an earlier trial again, from the history that it had."""
        return self.waiting(lambda: redraw(self._base._source, self._searched, draw))

    def tasks(self) -> list[Task]:
        """Return all tasks, by position."""
        return self.ledger.tasks(self.name)

    def counts(self) -> Mapping[TaskState, int]:
        """Return the number of tasks by state."""
        return self.ledger.counts(self.name)

    def added(self) -> Mapping[TaskState, int]:
        """Return the number of tasks by state of those that were added by hand."""
        return self.ledger.counts(self.name, added=True)

    def pauses(self) -> Mapping[int, tuple[Progress, ...]]:
        """Return how far each task was whenever it was paused, by position."""
        return self.ledger.pauses(self.name)

    def board(self, row: StudyRow | None = None) -> StudyBoard:
        """Return what a strategy decides by.

        Args:
            row: Has the limits, if it was read already; read when they are asked for by default.
        """
        return StudyBoard(self, row)

    def open_next(self) -> bool:
        """Open whatever can be opened; return True if the study is complete.

        Raises:
            NoCandidateError: All candidates of a stage failed.
        """
        while True:
            row = self.ledger.study(self.name)
            if row is None:  # it was deleted
                return False
            opening = self.strategy.next(self.board(row))
            if opening.tasks:
                self.ledger.open_tasks(self.name, opening.tasks)
            if self._resume(opening, row):
                return opening.complete

    def _resume(self, opening: Opening, row: StudyRow) -> bool:
        """Let paused tasks go on, or be ended; return False if all is to be looked at again.

        Args:
            opening: What the strategy wants.
            row: Of the study, as it was before the strategy was asked.
        """
        allotted, resumed = opening.allotted, opening.resumed
        if allotted is None:
            if resumed:
                self.ledger.resume(self.name, resumed)
        elif (resumed or allotted != row.allotted) and not self.ledger.allot(
            self.name, row.revision, allotted, resumed
        ):
            return False  # what others resumed in the meantime has to be paid for as well
        for reason in dict.fromkeys(reason for _, reason in opening.ended):
            positions = [position for position, why in opening.ended if why == reason]
            self.ledger.resume(self.name, positions, reason)
        return True

    def best(self, tasks: list[Task] | None = None) -> Task | None:
        """Return the task whose configuration is to be refitted; None while it isn't decided."""
        return self.strategy.best(self.tasks() if tasks is None else tasks)

    def tables(self, tasks: list[Task] | None = None) -> list[StageTable]:
        """Return the tables of what is open or decided.

        References are given only where the data is the one they hold for.
        """
        tables = self.strategy.tables(self.tasks() if tasks is None else tasks, cited=self.cites)
        return [
            dataclasses.replace(
                table,
                rows=tuple(
                    dataclasses.replace(
                        row, encoder_cost=self.encoder_cost(row.params.get("encoder"))
                    )
                    for row in table.rows
                ),
            )
            for table in tables
        ]

    @property
    def cites(self) -> bool:
        """Whether its data is the one that the reference scores of its space hold for."""
        reference = self.space.reference
        sha256 = self.definition.dataset.get("train_csv_sha256")
        return reference is not None and reference.train_csv_sha256 == sha256

    def encoder_cost(self, encoder: str | None) -> ChoiceCost | None:
        """Return what the encoders of a choice cost; None without a choice."""
        sources = self.definition.dataset.get("encoders")
        return choice_cost(encoder, sources) if encoder is not None and sources else None

    def plan(self) -> Plan:
        """Return what the study asks for, and what of it is there already."""
        return self.strategy.plan(self.board())

    def describe(self) -> None:
        """Put what a reader of the dashboard wants to know on the Optuna study."""
        study, against = self.optuna, self.space.against
        if "space" not in study.user_attrs:
            study.set_user_attr("metric", self.space.metric)
            study.set_user_attr("seeds", self.space.seeds)
            study.set_user_attr("data", dict(self.definition.dataset))
            with experimental():
                study.set_metric_names(
                    [metric_label(self.space.metric), *([] if against is None else [against])]
                )
            study.set_user_attr("space", self.space.name)  # the last, as it says that all is there

    @cached_property
    def _trials(self) -> Trials:
        return open_trials(self._source, self.ledger, self._searched)

    @cached_property
    def _source(self) -> OptunaStudy:
        longest = max(self.space.lengths()) * 2
        pruner = make_pruner(self.space.search.pruner, longest)
        try:
            return open_study(self._store.storage, self.name, pruner, create=False)
        except KeyError:
            raise StudyGoneError(self.name, self.url) from None

    @property
    def _searched(self) -> Searched:
        strategy = self.strategy
        return Searched(
            domains=strategy.domains,
            shown=lambda config: {
                name: param_value(value) for name, value in strategy.params(config).items()
            },
            to_config=strategy.draw,
            sampler=strategy.sampler,
            learns_early=strategy.learns_early,
            one_step=strategy.one_step,
            limits=strategy.sizes.limits,
            against=self.space.against,
        )


def _read(name: str, raw: Mapping[str, Any]) -> Definition:
    """Return the stored definition of a study.

    Raises:
        InputError: A part of a user's own is not here, or this version doesn't know all of it.
    """
    check_plugins(name, Definition.plugins_in(raw))
    return Definition.from_json(raw)


def finished_trial(study: StoredStudy, number: int) -> FrozenTrial:
    """Return a finished trial of a study by its number.

    Raises:
        InputError: There is none, or it has no result.
    """
    trials = study.trials.all()
    trial = next((trial for trial in trials if trial.number == number), None)
    if trial is None:
        has = f"trials 0 to {trials[-1].number}" if trials else "no trials yet"
        raise InputError(f"--trial {number}: the study has {has}.")
    if not trial.user_attrs.get("scores"):
        raise InputError(f"--trial {number}: has no result; its state is {trial.state.name}.")
    return trial
