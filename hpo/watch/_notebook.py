"""A study in a notebook: one display below the cell, which is updated while the study goes on."""

import html
import importlib
import sys
import time
from types import TracebackType
from typing import Any, Self

from hpo.events import Event, Stopped
from hpo.search import format_params
from hpo.watch._picture import Picture
from hpo.watch._view import best_text, headline

__all__ = ["NotebookView", "in_notebook"]

_EVERY_S = 1.0
_TABLE = "border-collapse:collapse;margin:4px 0;color:inherit;font-size:inherit"
_CELL = "color:inherit;padding:1px 12px 1px 0;text-align:left;background:none;border:none"


def in_notebook() -> bool:
    """Tell whether this process is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")  # it is there in every kernel
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class NotebookView:
    """Shows events below the cell that is running; use it as a context manager.

    The display has an id, so a later state takes the place of an earlier one; the last one stays in
    the notebook. Nothing has to be installed for it.
    """

    def __init__(self) -> None:
        self._picture = Picture()
        self._handle: Any = None
        self._shown = ""
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draw()

    def __call__(self, event: Event) -> None:
        """Take in an event, and show it within a second."""
        self._picture(event)
        if isinstance(event, Stopped) or time.monotonic() - self._drawn >= _EVERY_S:
            self._draw()

    def _draw(self) -> None:
        ipython: Any = importlib.import_module("IPython.display")  # it has no types
        if self._picture.study is None:
            return
        self._drawn = time.monotonic()
        page = picture_html(self._picture)
        if self._handle is None:
            self._handle = ipython.display(ipython.HTML(page), display_id=True)
        elif page != self._shown:
            self._handle.update(ipython.HTML(page))
        self._shown = page


def picture_html(picture: Picture) -> str:
    """Return what there is to show as HTML, which takes its colours from the page around it."""
    rows = []
    totals, stage = picture.totals, picture.stage
    if totals is not None:
        paused = f", {totals.paused} paused" if totals.paused else ""
        failed = f", {totals.failed} failed" if totals.failed else ""
        count = f"{totals.ended} of {totals.total}{paused}{failed}"
        rows.append(_row("configurations", totals.ended, totals.total, count, ""))
    if stage is not None and picture.in_stages and picture.stopped is None:
        count = f"{picture.in_stage} of {stage.configurations}"
        place = f"stage {stage.index} of {stage.stages}"
        rows.append(_row(stage.stage, picture.in_stage, stage.configurations, count, place))
    for one in sorted(picture.running.values(), key=lambda one: one.trial):
        value = "" if one.value is None else f", {one.value:.3f}"
        done = "begins" if one.steps is None else f"epoch {one.step} of {one.steps}{value}"
        params = format_params(picture.told(one))
        rows.append(_row(f"trial {one.trial}", one.step, one.steps or 1, done, params))
    waiting = f"waiting for the store: {picture.waiting}" if picture.waiting else ""
    lines = [f"{when} {one.what}: {one.why}" for when, one in picture.decisions]
    shown = [best_text(picture), *([waiting] if waiting else [])]
    return (
        f"<div><b>{html.escape(headline(picture))}</b>"
        f'<table style="{_TABLE}">{"".join(rows)}</table>'
        + "".join(f"<div>{html.escape(line)}</div>" for line in shown)
        + "".join(f'<div style="opacity:.65">{html.escape(line)}</div>' for line in lines)
        + "</div>"
    )


def _row(label: str, done: int, total: int, *cells: str) -> str:
    bar = f'<progress value="{done}" max="{max(total, 1)}" style="width:16em"></progress>'
    texts = [html.escape(label), bar, *map(html.escape, cells)]
    return "<tr>" + "".join(f'<td style="{_CELL}">{text}</td>' for text in texts) + "</tr>"
