"""The screen of a run: the plan, a live view, a table a stage; plain lines where none is live."""

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hpo.events import (
    Encoding,
    Event,
    Finished,
    FloorKnown,
    Planned,
    StageDecided,
    StudyBegun,
    TrialEnded,
)
from hpo.features import ConsoleProgress
from hpo.report import (
    ENCODER_COLUMNS,
    cost_cell,
    costs_in,
    encoder_cells,
    floor_lines,
    score_text,
    with_floor,
)
from hpo.results import Floor
from hpo.search import COSTS, Plan, Space, StageTable, format_score
from hpo.watch._console import Drawing, SharedConsole
from hpo.watch._picture import Picture
from hpo.watch._view import View

__all__ = ["Screen", "show_plan"]

#: Columns below which bars and lines would wrap, so that lines alone are printed.
_NARROWEST = 40

_log = logging.getLogger("hpo")


class Screen:
    """Shows events to people; use it as a context manager.

    On a terminal what is in progress is drawn at the bottom, and drawn again four times a second
    in a thread. Elsewhere a trial that ends is a line.

    Args:
        console: Where to write.
        brief: Whether to leave out the plan, what is to beat, and the tables.
    """

    def __init__(self, console: SharedConsole, *, brief: bool = False) -> None:
        self._console = console
        self._brief = brief
        self._stack = contextlib.ExitStack()
        self._encoding: ConsoleProgress | None = None
        self._picture = Picture()
        self._floor: Floor | None = None
        self._metric = ""
        self._live: Live | None = None
        #: Whether it is drawn again and again, for which a terminal needs some width.
        self.is_live = console.is_interactive and console.width >= _NARROWEST

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        self._picture(event)
        match event:
            case Encoding():
                if self._encoding is None:
                    self._encoding = self._stack.enter_context(ConsoleProgress())
                self._encoding(event.what, event.done, event.total)
            case StudyBegun():
                self._stack.close()  # the bars of what was encoded
                self._metric = event.metric
            case Planned():
                if not self._brief:
                    show_plan(self._console, event.about, event.plan, event.space)
                if self.is_live:
                    self._stack.enter_context(_live(self._console, View(self._picture)))
            case FloorKnown():
                self._floor = event.floor
                for line in () if self._brief else floor_lines(event.floor):
                    self._print(line)
            case StageDecided():
                if not self._brief:
                    shown = with_floor([event.table], self._floor, self._metric)
                    self._console.print(render_table(*shown))
            case TrialEnded():
                if not (self.is_live or event.earlier):
                    self._print(_ended_line(event))
            case Finished():
                self._stack.close()
            case _:
                pass  # it is in the picture

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _live(console: SharedConsole, view: View) -> Iterator[None]:
    """Draw a view at the bottom of the terminal; what is logged meanwhile stands above it."""
    # What goes to a file of its own is not to be drawn here.
    both = sys.stderr.isatty()
    live = Live(
        view,
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stderr=both,
        redirect_stdout=sys.stdout.isatty(),
    )
    drawing = Drawing(console, live)
    with contextlib.ExitStack() as stack:
        drawing.begin()
        stack.callback(drawing.end)
        for handler in _log.handlers if both else ():
            if isinstance(handler, logging.StreamHandler):
                stack.callback(handler.setStream, handler.stream)
                handler.setStream(sys.stderr)
        yield


def show_plan(console: Console, about: Sequence[str], plan: Plan, space: Space) -> None:
    """Print what a study is made of and what it will take.

    Args:
        console: Where to write.
        about: Lines about it.
        plan: Its plan.
        space: What it searches.
    """
    for line in about:
        console.print(line, highlight=False, soft_wrap=True)
    table = Table(title="plan", title_justify="left", box=None, pad_edge=False)
    table.add_column("stage")
    for name in ("configurations", "done", "epochs asked", "to train"):
        table.add_column(name, justify="right")
    for stage in plan.stages:
        table.add_row(
            stage.name,
            str(stage.candidates),
            str(stage.done),
            f"{stage.asked:,}",
            f"{stage.trained:,}",
        )
    console.print(table)
    saved = 1 - plan.trained / plan.asked if plan.asked else 0.0
    note = ", if the best candidates are as assumed" if plan.assumed else ""
    console.print(
        f"{plan.asked:,} epochs asked for a seed, {plan.trained:,} to train "
        f"({saved:.0%} saved by continuing and sharing runs{note}); seeds: {plan.seeds}",
        highlight=False,
        soft_wrap=True,
    )
    if plan.skipped:
        limit = space.constraints.max_model_mb
        are = "candidate is" if plan.skipped == 1 else "candidates are"
        console.print(
            f"{plan.skipped} {are} skipped, being larger than max_model_mb ({limit:g})",
            highlight=False,
            soft_wrap=True,
        )


def render_table(table: StageTable) -> Table:
    """Return a stage's table for the terminal."""
    drawn = Table(title=table.name, title_justify="left", box=None, pad_edge=False)
    drawn.add_column("")
    drawn.add_column("candidate")
    drawn.add_column("score", justify="right")
    drawn.add_column("trial", justify="right")
    cited = any(row.reference is not None for row in table.rows)
    if cited:
        drawn.add_column("paper", justify="right")
    costs = costs_in(table)
    for cost in costs:
        drawn.add_column(COSTS[cost][1], justify="right")
    for name in ENCODER_COLUMNS if table.has_encoder_costs else ():
        drawn.add_column(name, justify="right")
    drawn.add_column("note")
    for row in table.rows:
        cells = ["→" if row.winner else "", row.label, score_text(row)]
        cells.append("" if row.trial is None else str(row.trial))
        if cited:
            cells.append("" if row.reference is None else f"{row.reference:.3f}")
        cells += [cost_cell(row, cost) for cost in costs]
        cells += encoder_cells(row) if table.has_encoder_costs else []
        drawn.add_row(*cells, row.note, style="bold" if row.winner else None)
    return drawn


def _ended_line(event: TrialEnded) -> str:
    where = f"trial {event.trial}  {event.stage}"
    if event.state == "failed":
        return f"{where}  failed: {event.reason}"
    if event.value is None:
        return f"{where}  {event.reason}"
    pruned = f"  {event.reason}" if event.reason else ""
    return f"{where}  {format_score(event.value, event.std)}{pruned}"
