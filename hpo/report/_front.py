"""The front of a study with two objectives: as lines, and as a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.search import COSTS, Task, front_of
from hpo.study import StoredStudy
from hpo.training import metric_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_front", "front_lines"]

_DPI = 130
#: Points of the front that are printed; all of them are in the report.
_SHOWN = 8
_NAMES = {"model_mb": "size of the model", "latency_ms": "latency"}
#: Points of the metric below the front's lowest score within which other trials are shown.
_NEAR = 5.0
#: The largest cost is this many times the smallest before the axis is logarithmic.
_FAR = 8.0


def front_lines(study: StoredStudy, tasks: Sequence[Task]) -> list[str]:
    """Return the front in words; nothing for a study with one objective, or without a front."""
    against = study.space.against
    front = [] if against is None else front_of(tasks, against)
    if against is None or not front:
        return []
    unit = COSTS[against][1]
    shown = [
        f"trial {task.trial} {task.outcome.value:.2f} at {_cost(task, against):.3g} {unit}"
        for task in front[-_SHOWN:]
        if task.outcome is not None
    ]
    more = f"; {len(front) - _SHOWN} cheaper ones in the report" if len(front) > _SHOWN else ""
    return [f"front ({study.space.metric} against {against}): {', '.join(shown)}{more}"]


def draw_front(study: StoredStudy, tasks: Sequence[Task]) -> "Figure | None":
    """Return the figure of a front: every trained trial as a point, the front as steps.

    A vertical bar is the standard deviation over the seeds. None while there is no front.
    """
    from matplotlib.figure import Figure

    against = study.space.against
    front = [] if against is None else front_of(tasks, against)
    if against is None or not front:
        return None
    on_front = {task.position for task in front}
    others = [
        task
        for task in tasks
        if task.outcome is not None
        and task.outcome.is_whole
        and getattr(task.outcome, against) is not None
        and task.position not in on_front
    ]
    figure = Figure(figsize=(7.0, 4.6), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.scatter(
        [_cost(task, against) for task in others],
        [_value(task) for task in others],
        s=16,
        color="#BBBBBB",
        label="other trials",
    )
    costs, values = [_cost(t, against) for t in front], [_value(t) for t in front]
    axes.step(costs, values, where="post", color="#0072B2", linewidth=1.0, zorder=2)
    axes.errorbar(
        costs,
        values,
        yerr=[task.outcome.std if task.outcome is not None else 0.0 for task in front],
        fmt="o",
        color="#0072B2",
        markersize=5,
        capsize=2,
        label="front",
        zorder=3,
    )
    for task, cost, value in zip(front, costs, values, strict=True):
        axes.annotate(
            str(task.trial), (cost, value), (4, -10), textcoords="offset points", fontsize=8
        )
    low = min([value for value in map(_value, others) if value >= values[0] - _NEAR] + values)
    margin = 0.06 * max(values[-1] - low, 0.5)
    axes.set_ylim(low - margin, values[-1] + margin)
    everything = [*costs, *(_cost(task, against) for task in others)]
    if max(everything) > _FAR * min(everything) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"{_NAMES[against]} ({COSTS[against][1]})", fontsize=9)
    axes.set_title(
        f"{metric_label(study.space.metric)} on the validation rows", loc="left", fontsize=9.5
    )
    axes.tick_params(labelsize=8.5)
    axes.grid(color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def _value(task: Task) -> float:
    assert task.outcome is not None
    return task.outcome.value


def _cost(task: Task, against: str) -> float:
    return float(getattr(task.outcome, against))
