"""A bar for scripts and notebooks."""

import warnings
from types import TracebackType
from typing import Any, Self

from hpo.search import Task
from hpo.study import StoredStudy

__all__ = ["StudyBar"]


class StudyBar:
    """Shows how far a study is: a bar of tqdm's, in a notebook one of the notebook's own.

    Args:
        study: The study.
        shown: False shows nothing.
    """

    def __init__(self, study: StoredStudy, *, shown: bool) -> None:
        self._study = study
        self._shown = shown
        self._bar: Any = None

    def __enter__(self) -> Self:
        if self._shown:
            with warnings.catch_warnings():
                # Without ipywidgets a notebook gets a bar in text, of which tqdm would warn.
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm

                total = self._study.plan().configurations
                self._bar = tqdm(total=total, desc=self._study.name, unit="trial")
        return self

    def update(self, tasks: list[Task]) -> None:
        """Show the present state."""
        if self._bar is None:
            return
        done = sum(task.state.ended for task in tasks)
        outcomes = [task.outcome for task in tasks if task.outcome is not None]
        values = [outcome.value for outcome in outcomes if outcome.is_scored]
        self._bar.total = max(self._bar.total, len(tasks))
        if values:
            self._bar.set_postfix_str(f"best {max(values):.3f}", refresh=False)
        self._bar.update(done - self._bar.n)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
