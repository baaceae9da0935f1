"""What a strategy decides by: the tasks of a study and its limits."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.queue import StudyRow
from hpo.search import Progress, Task, TaskState

if TYPE_CHECKING:
    from hpo.study._study import StoredStudy

__all__ = ["StudyBoard"]


class StudyBoard:
    """The ``Board`` of a study: what isn't given is read from the store when it is asked for.

    Args:
        study: Whose tasks they are.
        row: Has the limits, if it was read already.
    """

    def __init__(self, study: "StoredStudy", row: StudyRow | None = None) -> None:
        self._study = study
        self._row = row

    @property
    def limit(self) -> int | None:
        """So many tasks at most are to be worked on; None for no limit."""
        row = self._limits()
        return None if row is None else row.max_tasks

    @property
    def epochs(self) -> int | None:
        """So many epochs of single runs at most are to be trained for trials; None for no limit."""
        row = self._limits()
        return None if row is None else row.epochs

    def _limits(self) -> StudyRow | None:
        if self._row is None:
            self._row = self._study.ledger.study(self._study.name)
        return self._row

    def tasks(self) -> Sequence[Task]:
        """Return all tasks, by position."""
        return self._study.tasks()

    def counts(self) -> Mapping[TaskState, int]:
        """Return the number of tasks by state."""
        return self._study.counts()

    def added(self) -> Mapping[TaskState, int]:
        """Return the number of tasks by state of those that were added by hand."""
        return self._study.added()

    def pauses(self) -> Mapping[int, Sequence[Progress]]:
        """Return how far each task was whenever it was paused, by position."""
        return self._study.pauses()
