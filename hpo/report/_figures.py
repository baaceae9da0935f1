"""A figure for each stage: metric and validation loss against the epoch."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.files import atomic_write
from hpo.report._curves import Curve, StageCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "draw_curve",
    "draw_stage",
    "finish_axes",
    "frame_losses",
    "new_figure",
    "plain_text",
    "save_figure",
    "say_outside",
    "styles_of",
]

# Okabe and Ito's colours, which people with any colour vision can tell apart, without the yellow,
# which is too pale for a line on white. https://jfly.uni-koeln.de/color/
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
_DPI = 130
_WIDTH = 10.0
#: Percent below the best candidate within which candidates have to be seen apart.
_NEAR = 15.0
#: Share of a curve, from its start, that may run out of the window: the first steep epochs.
_START = 0.15
#: Characters of a legend entry that a third of the figure has room for.
_THIRD = 44


def draw_stage(stage: StageCurves) -> "Figure | None":
    """Return the figure of a stage; None while no candidate has a curve.

    The left panel has the metric; the right one, if the run store has curves, the validation loss.
    An open diamond is where a two-step fusion goes on to its meta-classifier. A grid over two
    parameters shows one by colour and the other by dashes.
    """
    curves = [curve for curve in stage.curves if curve.metric]
    if not curves:
        return None
    styles = styles_of(curves)
    with_loss = any(curve.loss for curve in curves)
    figure = new_figure(curves, styles, stage.name)
    panels = figure.subplots(1, 2 if with_loss else 1, squeeze=False)[0]

    for other in stage.others:
        panels[0].plot(list(other), list(other.values()), color="#BBBBBB", linewidth=0.6, zorder=1)
    for curve, style in zip(curves, styles, strict=True):
        draw_curve(panels[0], curve.metric, curve, style)
        if with_loss and curve.loss:
            draw_curve(panels[1], curve.loss, curve, style)
    finish_axes(panels[0], f"{stage.metric} on the validation rows", curves)
    _frame_metric(panels[0], curves)
    if with_loss:
        kinds = ", ".join(stage.losses)
        kinds = f"each its own: {kinds}" if len(stage.losses) > 1 else kinds
        finish_axes(panels[1], f"validation loss ({kinds})", curves)
        frame_losses(panels[1], curves, [curve.loss for curve in curves])
    return figure


def new_figure(
    curves: Sequence[Curve], styles: Sequence[Mapping[str, Any]], title: str
) -> "Figure":
    """Return a figure without panels, with its title, and a legend of the curves with results."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    entries = [f"{curve.label}   {curve.result}" for curve in curves]
    columns = min(len(entries), 3 if max(map(len, entries)) <= _THIRD else 2)
    rows = -(-len(entries) // columns)
    columns = -(-len(entries) // rows)
    figure = Figure(figsize=(_WIDTH, 3.9 + 0.22 * rows), dpi=_DPI, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    legend = figure.legend(
        [Line2D([], [], linewidth=1.8, **style) for style in styles],
        entries,
        loc="outside lower left",
        ncols=columns,
        fontsize=8,
        frameon=False,
        handlelength=3.2,
        columnspacing=1.4,
    )
    for text, curve in zip(legend.get_texts(), curves, strict=True):
        text.set_fontweight("bold" if curve.winner else "normal")
    return figure


@contextlib.contextmanager
def plain_text() -> Iterator[None]:
    """Take names in the figures that are drawn meanwhile as they are, not as mathematics."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):
        yield


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, atomically; equal figures give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})


def styles_of(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Return colour and dashes of each curve."""
    names = list(curves[0].params)
    if len(names) == 2:
        # Colours are told apart more easily, so that they go to the parameter with more values.
        values = {name: _distinct(curve.params[name] for curve in curves) for name in names}
        by_color, by_dash = sorted(names, key=lambda name: -len(values[name]))
        if len(values[by_color]) <= len(_COLORS) and len(values[by_dash]) <= len(_DASHES):
            return [
                _style(
                    values[by_color].index(curve.params[by_color]),
                    values[by_dash].index(curve.params[by_dash]),
                )
                for curve in curves
            ]
    return [_style(i % len(_COLORS), i // len(_COLORS) % len(_DASHES)) for i in range(len(curves))]


def _style(color: int, dash: int) -> dict[str, Any]:
    return {"color": _COLORS[color], "linestyle": _DASHES[dash]}


def _distinct(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def draw_curve(
    axes: "Axes", points: Mapping[int, float], curve: Curve, style: Mapping[str, Any]
) -> None:
    """Draw a course of a candidate, with a dot at its end."""
    # The winner's line is broad and lies below, so that it doesn't hide a curve that equals it.
    width, order = (2.6, 2) if curve.winner else (1.2, 3)
    axes.plot(list(points), list(points.values()), linewidth=width, zorder=order, **style)
    end = max(points)
    begun = [step for step in points if curve.switch is not None and step > curve.switch]
    if begun:
        first = min(begun)
        face = {"markerfacecolor": "white", "color": style["color"], "zorder": 4}
        axes.plot([first], [points[first]], "D", markersize=5, **face)
    axes.plot([end], [points[end]], "o", markersize=4.5, color=style["color"], zorder=4)


def finish_axes(axes: "Axes", title: str, curves: Sequence[Curve]) -> None:
    """Give a panel of curves against epochs its title, axes and grid."""
    from matplotlib.ticker import MaxNLocator

    two_step = any(curve.switch is not None for curve in curves)
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.set_xlabel(
        "epoch (open diamond: the meta-classifier of a two-step fusion begins)"
        if two_step
        else "epoch",
        fontsize=8,
    )
    axes.tick_params(labelsize=8.5)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axes.grid(color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _frame_metric(axes: "Axes", curves: Sequence[Curve]) -> None:
    """Show the candidates near the best one large; say how many others run below."""
    ends = {id(curve): _last(curve.metric) for curve in curves}
    best = max(ends.values())
    near = [curve for curve in curves if ends[id(curve)] >= best - _NEAR]
    values = [value for curve in near for value in _after_start(curve.metric)]
    low, high = min(values), max(max(curve.metric.values()) for curve in curves)
    margin = 0.05 * max(high - low, 1.0)
    axes.set_ylim(low - margin, high + margin)
    say_outside(axes, sum(end < low - margin for end in ends.values()), "below", 0.03)


def frame_losses(
    axes: "Axes", curves: Sequence[Curve], losses: Sequence[Mapping[int, float]]
) -> None:
    """Likewise for losses, on a logarithmic axis if the curves are far apart.

    Args:
        axes: The panel.
        curves: The candidates.
        losses: A loss of each; an empty one isn't drawn.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    best = max(_last(curve.metric) for curve in curves)
    there = [(curve, loss) for curve, loss in zip(curves, losses, strict=True) if loss]
    near = [loss for c, loss in there if _last(c.metric) >= best - _NEAR] or [
        loss for _, loss in there
    ]
    values = [value for loss in near for value in _after_start(loss)]
    low, high = min(min(loss.values()) for loss in near), max(values)
    if low > 0 and high / low > 8:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        margin = (high / low) ** 0.05
        low, high = low / margin, high * margin
    else:
        margin = 0.05 * max(high - low, 1e-9)
        low, high = low - margin, high + margin
    axes.set_ylim(low, high)
    outside = sum(_last(loss) > high for _, loss in there)
    say_outside(axes, outside, "above", 0.97)


def say_outside(axes: "Axes", count: int, where: str, height: float) -> None:
    """Say in a panel how many curves end outside of its frame."""
    if count:
        axes.text(
            0.99,
            height,
            f"{count} {'curve ends' if count == 1 else 'curves end'} {where}",
            transform=axes.transAxes,
            ha="right",
            va="bottom" if height < 0.5 else "top",
            fontsize=8,
            color="#555555",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        )


def _last(points: Mapping[int, float]) -> float:
    return points[max(points)]


def _after_start(points: Mapping[int, float]) -> list[float]:
    """Return the values after the first steep epochs; all of a curve that is no longer."""
    begin = _START * max(points)
    return [value for step, value in points.items() if step > begin]
