"""The screen of a run: the plan, live progress, a table a stage; plain lines in a pipe."""

import math
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.report._floor import floor_lines, with_floor
from hpo.report._table_files import (
    ENCODER_COLUMNS,
    cost_cell,
    costs_in,
    encoder_cells,
    score_text,
)
from hpo.results import Floor, stored_floor
from hpo.search import COSTS, Plan, Space, StageTable, Task, TaskState
from hpo.study import StoredStudy

__all__ = ["Screen", "show_plan"]


class Screen:
    """Shows a study as the ledger has it; holds nothing that is not there.

    Args:
        study: The study.
        plan: Its plan, for the number of configurations.
        console: Where to write.
    """

    def __init__(self, study: StoredStudy, plan: Plan, console: Console) -> None:
        self._study = study
        self._plan = plan
        self._console = console
        self._started = time.monotonic()
        self._shown_stages = 0
        self._shown_tasks: set[int] = set()
        self._done_at_start: int | None = None
        self._floor: Floor | None = None
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Screen":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the live display, so that other lines can be printed."""
        if self._live is not None:
            self._live.stop()

    def show_plan(self, about: Sequence[str]) -> None:
        """Print what the study is made of and what it will take."""
        show_plan(self._console, about, self._plan, self._study.space)

    def update(self, tasks: Sequence[Task]) -> None:
        """Show the present state."""
        self._show_floor()
        done = {task.position for task in tasks if task.state.ended}
        if self._done_at_start is None:
            self._done_at_start = len(done)
            self._shown_tasks = set(done)
        if self._live is None:
            for task in tasks:
                if task.position in done - self._shown_tasks:
                    self._console.print(
                        _finished_line(self._study, task), highlight=False, soft_wrap=True
                    )
        self._shown_tasks |= done
        tables = self._study.tables(list(tasks))
        while self._shown_stages < len(tables) and self._is_decided(tables, tasks):
            shown = with_floor(
                tables[self._shown_stages : self._shown_stages + 1],
                self._floor,
                self._study.space.metric,
            )
            self._console.print(render_table(*shown))
            self._shown_stages += 1
        if self._live is not None:
            self._live.update(self._status(tasks, len(done)))

    def _show_floor(self) -> None:
        """Print the scores to beat as soon as they are known."""
        if self._floor is None:
            self._floor = stored_floor(self._study)
            for line in [] if self._floor is None else floor_lines(self._floor):
                self._console.print(line, highlight=False, soft_wrap=True)

    def _is_decided(self, tables: list[StageTable], tasks: Sequence[Task]) -> bool:
        if not tables[self._shown_stages].decided:
            return False
        ended = sum(task.state.ended for task in tasks)
        return self._plan.in_stages or ended >= self._plan.configurations

    def _status(self, tasks: Sequence[Task], done: int) -> RenderableType:
        total = max(self._plan.configurations, len(tasks))
        lines: list[RenderableType] = []
        for task in tasks:
            if task.state is not TaskState.CLAIMED or task.progress is None:
                continue
            progress = task.progress
            scored = math.isfinite(progress.value)
            lines.append(
                Text(
                    f"trial {progress.trial:>3}  {self._study.strategy.stage_name(task)}  "
                    f"epoch {progress.step}/{progress.steps}"
                    + (f"  {progress.value:.3f}" if scored else "")
                )
            )
        waiting = [task.progress for task in tasks if task.state is TaskState.PAUSED]
        outcomes = [task.outcome for task in tasks if task.outcome is not None]
        values = [outcome.value for outcome in outcomes if outcome.is_scored]
        values += [progress.value for progress in waiting if progress is not None]
        best = f"best so far {max(values):.3f}" if values else "no result yet"
        paused = f", {len(waiting)} paused" if waiting else ""
        left = self._time_left(done, total)
        lines.append(Text(f"{done} of {total} configurations{paused}, {best}, {left}"))
        lines.append(ProgressBar(total=total, completed=done, width=60))
        return Group(*lines)

    def _time_left(self, done: int, total: int) -> str:
        here = done - (self._done_at_start or 0)
        elapsed = time.monotonic() - self._started
        if here == 0:
            return f"{elapsed:.0f} s so far"
        left = elapsed / here * (total - done)
        return f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"


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


def _finished_line(study: StoredStudy, task: Task) -> str:
    where = f"trial {task.trial}  {study.strategy.stage_name(task)}"
    if task.outcome is None:
        return f"{where}  failed: {task.reason}"
    if not task.outcome.is_scored:
        return f"{where}  {task.outcome.pruned}"
    pruned = f"  {task.outcome.pruned}" if task.outcome.pruned else ""
    return f"{where}  {task.outcome.value:.3f} ± {task.outcome.std:.3f}{pruned}"
