"""The live view of a study on a terminal, of whatever size."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo.search import format_params, format_score
from hpo.watch._picture import Picture, Running, clock

__all__ = ["View", "best_text", "headline"]

#: Widths from which on more is shown.
_MEDIUM, _WIDE = 60, 100
#: Lines that the view takes beside trials and decisions.
_FIXED_LINES = 6


class View:
    """What rich draws of a picture; it looks at it anew each time.

    Args:
        picture: What there is to show.
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw as much as fits."""
        picture, width = self._picture, options.max_width
        room = max(console.size.height - _FIXED_LINES, 1)
        running = sorted(picture.running.values(), key=lambda one: one.trial)
        shown = running[: max(room - 1, 1)]
        decisions = list(picture.decisions)[-max(room - len(shown) - 1, 0) :]
        if room - len(shown) - 1 <= 0:
            decisions = []
        if picture.study is None:
            return
        yield _line(Text(headline(picture), style="bold"))
        yield _bars(picture, shown, width)
        if len(shown) < len(running):
            yield _line(Text(f"and {len(running) - len(shown)} more in progress"))
        yield _line(Text(best_text(picture)))
        if picture.waiting is not None:
            yield _line(Text(f"waiting for the store: {picture.waiting}", style="yellow"))
        for when, decision in decisions:
            yield _line(Text(f"{when}  {decision.what}: {decision.why}", style="dim"))


def best_text(picture: Picture) -> str:
    """Return the best so far, with its interval or its deviation over seeds."""
    best = picture.best
    if best is None:
        return "no result yet"
    called = "best" if picture.stopped is not None and picture.stopped.complete else "best so far"
    if best.low is not None and best.high is not None:
        score = f"{best.value:.3f} ({best.low:.2f} to {best.high:.2f})"
    else:
        score = format_score(best.value, best.std)
    where = "" if best.step is None else f" at epoch {best.step}"
    params = format_params(best.params)
    shown = f": {params}" if params else ""
    return f"{called} {score}{where}, trial {best.trial}{shown}"


def _left_text(seconds: float | None) -> str:
    """Return how long it takes yet, in words; empty if that isn't known."""
    if seconds is None:
        return ""
    if seconds > 90 * 60:
        return f"about {seconds / 3600:.1f} h left"
    return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"


def headline(picture: Picture) -> str:
    """Return what the study is called, and how far and how fast it is."""
    assert picture.study is not None
    parts = [picture.study.study]
    totals = picture.totals
    if totals is not None:
        parts.append(clock(picture.seconds))
        if picture.stopped is None and (left := _left_text(totals.seconds_left)):
            parts.append(left)
        if picture.stopped is None and totals.epochs_per_second is not None:
            parts.append(f"{totals.epochs_per_second:,.1f} epochs/s")
        parts.append(f"{totals.epochs:,} epochs trained")
    if picture.result is not None:
        parts.append("drawing the report")
    elif picture.stopped is not None and picture.finishing is None:
        parts.append("scoring the best")
    return " · ".join(parts)


def _bars(picture: Picture, running: Sequence[Running], width: int) -> RenderableType:
    wide, medium = width >= _WIDE, width >= _MEDIUM
    table = Table.grid(padding=(0, 2 if medium else 1), expand=medium)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(width // 3, 8))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right" if medium else "left", overflow="ellipsis")
    if medium:
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    bar = 32 if wide else 18 if medium else 6 if width >= 32 else 2

    def row(label: str, done: float, total: float, *cells: str) -> None:
        shown = cells if medium else cells[:1]
        table.add_row(label, ProgressBar(total=total or 1, completed=done, width=bar), *shown)

    totals = picture.totals
    if totals is not None:
        extra = f"{totals.paused} paused" if totals.paused else ""
        extra += f"{', ' if extra else ''}{totals.failed} failed" if totals.failed else ""
        count = f"{totals.ended} of {totals.total}" if medium else f"{totals.ended}/{totals.total}"
        label = "configurations" if medium else "all"
        row(label, totals.ended, totals.total, count, "", extra)
    stage = picture.stage
    if stage is not None and picture.in_stages and picture.stopped is None:
        count = f"{picture.in_stage} of {stage.configurations}"
        count = count if medium else f"{picture.in_stage}/{stage.configurations}"
        place = f"stage {stage.index} of {stage.stages}"
        row(stage.stage, picture.in_stage, stage.configurations, count, "", place)
    for one in running:
        label = f"trial {one.trial}" if width >= 32 else f"{one.trial}"
        params = format_params(picture.told(one))
        if one.steps is None:
            row(label, 0, 1, "begins", "", params)
            continue
        epoch = f"epoch {one.step}/{one.steps}" if medium else f"{one.step}/{one.steps}"
        value = "" if one.value is None else f"{one.value:.3f}"
        rate = "" if one.per_second is None else f"{one.per_second:,.1f}/s  "
        row(label, one.step, one.steps, epoch, value, rate + params)
    finishing = picture.finishing
    if finishing is not None and picture.result is None:
        epoch = f"epoch {finishing.step}/{finishing.steps}"
        row(finishing.what, finishing.step, finishing.steps, epoch, "", "")
    return table


def _line(text: Text) -> Text:
    """Return one line, however narrow the terminal is."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
