"""The contract of a strategy: how a study decides what to train, when to stop, and what is best."""

import abc
import dataclasses
import enum
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from hpo.errors import InputError
from hpo.models import Config, owner_of
from hpo.search._constraints import Dimensions, Sizes
from hpo.search._expected_gain import StopQuestion
from hpo.search._plan import Plan
from hpo.search._pruning import decision_steps
from hpo.search._tables import StageTable
from hpo.search._task import NewTask, Progress, Task, TaskState

if TYPE_CHECKING:
    from hpo.search._space import Space

__all__ = [
    "Board",
    "Decision",
    "FixedBoard",
    "NoCandidateError",
    "Opening",
    "Strategy",
    "Verdict",
    "rank_value",
]


class NoCandidateError(RuntimeError):
    """All candidates of a stage failed, so that there is nothing to go on with."""


class Decision(enum.Enum):
    """What follows from a step of a trial.

    ``CONTINUE`` with the next one. ``PRUNE``: the trial ends here, its value is that of this step.
    ``PAUSE``: its state is kept, and the strategy may open it again later.
    """

    CONTINUE = "continue"
    PRUNE = "prune"
    PAUSE = "pause"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A decision and, unless it is to continue, the reason in words."""

    decision: Decision
    reason: str = ""


class Board(Protocol):
    """The tasks of a study as they stand, read when they are asked for.

    Attributes:
        limit: So many tasks at most are to be worked on, those that were added by hand not
            counted; None for no limit.
        epochs: So many epochs of single runs at most are to be trained for trials; None for no
            limit.
    """

    @property
    def limit(self) -> int | None: ...

    @property
    def epochs(self) -> int | None: ...

    def tasks(self) -> Sequence[Task]:
        """Return all tasks, by position."""

    def counts(self) -> Mapping[TaskState, int]:
        """Return the number of tasks by state; quicker than reading them."""

    def added(self) -> Mapping[TaskState, int]:
        """Return the same of those alone that were added by hand."""

    def pauses(self) -> Mapping[int, Sequence[Progress]]:
        """Return how far each task was whenever it was paused, oldest first, by position."""


@dataclasses.dataclass(frozen=True)
class FixedBoard:
    """A board with tasks that were read before."""

    read: Sequence[Task]
    limit: int | None = None
    paused: Mapping[int, Sequence[Progress]] = dataclasses.field(default_factory=dict)
    epochs: int | None = None

    def tasks(self) -> Sequence[Task]:
        """Return them."""
        return self.read

    def counts(self) -> Mapping[TaskState, int]:
        """Return how many there are of each state."""
        return _counted(self.read)

    def added(self) -> Mapping[TaskState, int]:
        """Return how many there are of each state that were added."""
        return _counted([task for task in self.read if task.added])

    def pauses(self) -> Mapping[int, Sequence[Progress]]:
        """Return what was read of them."""
        return self.paused


@dataclasses.dataclass(frozen=True)
class Opening:
    """What follows from the board.

    Attributes:
        tasks: To be opened, where they are not there yet.
        complete: Whether the study has all that it is to have.
        resumed: Positions of paused tasks that are to go on.
        ended: Paused tasks that are to be ended where they are: position and reason.
        allotted: So many tasks may be begun by the budget; None without one.
        exhausted: Whether the budget leaves nothing to work on, although more is wanted.
    """

    tasks: tuple[NewTask, ...]
    complete: bool
    resumed: tuple[int, ...] = ()
    ended: tuple[tuple[int, str], ...] = ()
    allotted: int | None = None
    exhausted: bool = False


class Strategy(abc.ABC):
    """One kind of search, for one study. Pure: what it returns follows from its arguments alone.

    Any process that works on the study asks its own copy; of several that decide on the same board
    at the same time all must come to the same.

    Args:
        space: Scaled, with batch sizes capped.
        modalities: Those that the features have.
        dimensions: What the sizes of models follow from; None if that isn't known.

    Attributes:
        sizes: Of the models of the study, and the limits that they may break.
    """

    #: Whether something may follow from every trial that ends or pauses, so that a worker asks
    #: for what is next before it claims another task.
    eager: ClassVar[bool] = False
    #: Whether samplers learn from trials that are being trained, by their last score.
    learns_early: ClassVar[bool] = False

    def __init__(
        self,
        space: "Space",
        modalities: Sequence[str],
        dimensions: Dimensions | None = None,
    ) -> None:
        self.space = space
        self.modalities = tuple(modalities)
        self._decides = decision_steps(space.search.pruner)
        self.sizes = Sizes(
            dimensions, space.constraints, space.fixed, self.values_of, self.modalities
        )

    @property
    @abc.abstractmethod
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """The parameters that trials show, in the order of the space, and their domains.

        A trial has those that belong to its configuration; see ``params``.
        """

    def values_of(self, field: str) -> Sequence[Any]:
        """Return the values that configurations of the study may have for a field, from a list."""
        return tuple(
            dict.fromkeys((*self.space.search.values_of(field), getattr(self.space.fixed, field)))
        )

    def check(self) -> None:
        """Check, before anything is trained, that there is something to go on with.

        Raises:
            InputError: No configuration of the space keeps within its constraints.
        """
        self.sizes.check()

    @abc.abstractmethod
    def next(self, board: Board) -> Opening:
        """Return what to open now.

        Raises:
            NoCandidateError: There is nothing left to go on with.
        """

    @abc.abstractmethod
    def best(self, tasks: Sequence[Task]) -> Task | None:
        """Return the task whose configuration is to be refitted; None while it isn't decided."""

    def best_so_far(self, tasks: Sequence[Task]) -> Task | None:
        """Return the best of the tasks that have all their epochs; None if there is none.

        What a study is judged by that is ended before it is decided.
        """
        whole = [t for t in tasks if t.outcome is not None and t.outcome.pruned is None]
        return max(whole, key=rank_value, default=None)

    @abc.abstractmethod
    def tables(self, tasks: Sequence[Task], *, cited: bool) -> list[StageTable]:
        """Return the tables of what is open or decided.

        Args:
            tasks: Of the study.
            cited: Whether published scores hold for this data, so that they are shown.
        """

    @staticmethod
    def _in_all(board: Board, wanted: int) -> int:
        """Return how many trials there will be: those wanted or begun by now, and those added."""
        added, states = board.added(), board.counts()
        begun = sum(states.values()) - states.get(TaskState.OPEN, 0)
        begun -= sum(added.values()) - added.get(TaskState.OPEN, 0)
        return max(wanted, begun) + sum(added.values())

    @abc.abstractmethod
    def plan(self, board: Board) -> Plan:
        """Return what the study asks for, and what of it is there already."""

    def needed_epochs(self, board: Board) -> int:
        """Return the epochs that are spent or promised, and those that one whole trial needs yet.

        With this budget nothing new is begun, and the study ends with a whole trial all the same.
        """
        return 0

    def stop_question(self, board: Board) -> StopQuestion | None:
        """Return what decides whether more trials are worth it; None where nothing is to be asked.

        Args:
            board: What there is.
        """
        return None

    def point(self, values: Mapping[str, Any]) -> Config:
        """Return the configuration of a candidate that is added by hand.

        Args:
            values: By name; what they leave out has its fixed value.

        Raises:
            InputError: It is no point of the space; all problems are listed.
        """
        raise InputError(
            f"search kind {self.space.search.kind} tries what its stages say; candidates can be "
            "added to a study of kind optuna or promote"
        )

    def draw(self, values: Mapping[str, Any]) -> Config:
        """Return the configuration for drawn parameters, as Optuna has them.

        Only asked of a strategy that opens tasks without a configuration.
        """
        raise AssertionError("a strategy that draws nothing is not asked for a draw")

    def sampler(self, position: int, attempt: int) -> BaseSampler:
        """Return the sampler of one suggestion; only asked like ``draw``.

        Args:
            position: Of the task.
            attempt: How many earlier draws for it were repeats of other trials.
        """
        raise AssertionError("a strategy that draws nothing has no sampler")

    @property
    def one_step(self) -> int | None:
        """How many scores at a step are enough for the sampler to compare trials there.

        None where it compares them by their values, or knows of steps itself.
        """
        return None

    def attributes(self, task: Task) -> dict[str, Any]:
        """Return what the trial of a task says of its place in the study."""
        return {}

    def stage_name(self, task: Task) -> str:
        """Return the name of the stage that a task belongs to."""
        return "sampled"

    def is_exhausted(self, board: Board) -> bool:
        """Tell whether the limit on tasks leaves nothing to work on."""
        return False

    def params(self, config: Config) -> dict[str, Any]:
        """Return the parameters that a trial of this configuration shows.

        Those of choices that it doesn't take are left out.
        """
        values = config.values()
        return {name: values[name] for name in self.distributions if name in values}

    def domains(self, values: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """Return the domains of the parameters that exist together with ``values``.

        Args:
            values: Of the parameters that are known so far, as Optuna has them.
        """

        def exists(name: str) -> bool:
            owner = owner_of(name)
            if owner is None:
                return True
            field, entry = owner
            return bool(values.get(field, getattr(self.space.fixed, field)) == entry.name)

        return {name: domain for name, domain in self.distributions.items() if exists(name)}

    def decide(
        self, task: Task, progress: Progress, board: Board, should_prune: Callable[[], bool]
    ) -> Verdict:
        """Return what follows from a step.

        Args:
            task: Whose trial it is, as it was claimed.
            progress: The trial's.
            board: What else there is; to be read only where a decision needs it.
            should_prune: Asks the study's pruner about the trial, and stores what it was asked on;
                only to be called where the answer can be yes.
        """
        if progress.step < progress.steps and self._decides(progress.step) and should_prune():
            reason = f"{self.space.search.pruner.name} at step {progress.step}"
            return Verdict(Decision.PRUNE, reason)
        return Verdict(Decision.CONTINUE)


def rank_value(task: Task) -> float:
    """Return what a finished task is ranked by; a value that is no number comes last."""
    assert task.outcome is not None
    return -math.inf if math.isnan(task.outcome.value) else task.outcome.value


def _counted(tasks: Sequence[Task]) -> dict[TaskState, int]:
    states = [task.state for task in tasks]
    return {state: states.count(state) for state in TaskState}
