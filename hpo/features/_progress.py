"""Progress of a long job on the screen: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich import console as rich
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from hpo._console import Console

__all__ = ["ConsoleProgress", "Progress"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done (such as ``encoding images``), items done, items in all."""

_SECONDS_BETWEEN_LINES = 5.0


class _Rate(ProgressColumn):
    """Items per second, such as ``81.4 images/s`` while ``encoding images``."""

    def render(self, task: Task) -> Text:
        items = task.description.split()[-1]
        return Text("" if task.speed is None else f"{task.speed:.1f} {items}/s")


class ConsoleProgress:
    """A ``Progress`` for people; use it as a context manager.

    Args:
        console: Where to write; standard error by default, so that results can be piped.
    """

    def __init__(self, console: rich.Console | None = None) -> None:
        self._console = console or Console(stderr=True, markup=False, emoji=False)
        self._bars: Bars | None = None
        self._started: dict[str, tuple[float, int]] = {}
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def __call__(self, label: str, done: int, total: int) -> None:
        if self._bars is not None:
            self._update_bar(self._bars, label, done, total)
        else:
            self._write_line(label, done, total)

    def _update_bar(self, bars: Bars, label: str, done: int, total: int) -> None:
        for task in bars.tasks:
            if task.description == label:
                bars.update(task.id, completed=done, total=total)
                return
        bars.add_task(label, total=total, completed=done)

    def _write_line(self, label: str, done: int, total: int) -> None:
        now = time.monotonic()
        start, first = self._started.setdefault(label, (now, done))
        if done < total and now - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        line = f"{label}: {done} of {total}"
        if done > first and now > start:
            rate = (done - first) / (now - start)
            line += f", {rate:.1f}/s"
            if done < total:
                line += f", {_clock((total - done) / rate)} left"
        self._console.print(line, highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
