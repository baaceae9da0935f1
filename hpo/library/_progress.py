"""What ``optimize`` shows: a display in a notebook, a live view on a terminal, or lines."""

import contextlib
from types import TracebackType
from typing import Self

from hpo.events import Stopped, Stream, StudyWatch
from hpo.search import Task
from hpo.study import StoredStudy
from hpo.watch import NotebookView, Screen, SharedConsole, in_notebook

__all__ = ["StudyProgress"]


class StudyProgress:
    """Shows how far a study is; use it as a context manager.

    Args:
        study: The study.
        seconds: How long it may go on; None without a limit.
        shown: False shows nothing.
    """

    def __init__(self, study: StoredStudy, seconds: float | None, *, shown: bool) -> None:
        self._stack = contextlib.ExitStack()
        self._watch: StudyWatch | None = None
        self.is_live = False
        if shown:
            view: NotebookView | Screen
            if in_notebook():
                view = NotebookView()
            else:
                console = SharedConsole(stderr=True, markup=False, emoji=False)
                view = Screen(console, brief=True)
                self.is_live = view.is_live
            self._view = view
            self._tell = Stream(view)
            self._watch = StudyWatch(study, self._tell, seconds)

    def __enter__(self) -> Self:
        if self._watch is not None:
            self._stack.enter_context(self._view)
            self._watch.begin()
        return self

    def update(self, tasks: list[Task]) -> None:
        """Show the present state."""
        if self._watch is not None:
            self._watch.update(tasks)

    def stop(self, complete: bool, ended_by: str | None) -> None:
        """Show how it ended; see ``Stopped``."""
        if self._watch is not None:
            self._tell(Stopped(complete, ended_by))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
