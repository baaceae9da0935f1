"""The paper's figures that show what the figure of a stage doesn't: Figures 8 and 10."""

from typing import TYPE_CHECKING

from hpo.report._curves import Curve, StageCurves
from hpo.report._figures import (
    draw_curve,
    finish_axes,
    frame_losses,
    new_figure,
    say_outside,
    styles_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_close_up", "draw_training_loss"]

#: Candidates by which the frame of a close-up is chosen.
_CLOSEST = 3


def draw_close_up(stage: StageCurves) -> "Figure | None":
    """Return the scores in the second half of each candidate's training, where they differ little.

    Around each curve is a band from the worst to the best seed. The frame holds the three best
    candidates. None while no candidate has a curve.
    """
    curves = [curve for curve in stage.curves if curve.metric]
    if not curves:
        return None
    styles = styles_of(curves)
    figure = new_figure(curves, styles, f"{stage.name}, the second half from close by")
    axes = figure.subplots()
    late = [_second_half(curve) for curve in curves]
    for curve, points, style in zip(curves, late, styles, strict=True):
        draw_curve(axes, points, curve, style)
        band = {step: ends for step, ends in curve.spread.items() if step in points}
        low, high = ([pair[place] for pair in band.values()] for place in (0, 1))
        axes.fill_between(list(band), low, high, color=style["color"], alpha=0.12, linewidth=0)
    ends = [points[max(points)] for points in late]
    closest = sorted(zip(ends, late, strict=True), key=lambda pair: -pair[0])[:_CLOSEST]
    values = [value for _, points in closest for value in points.values()]
    margin = 0.08 * max(max(values) - min(values), 0.1)
    axes.set_ylim(min(values) - margin, max(values) + margin)
    finish_axes(axes, f"{stage.metric} on the validation rows, from worst to best seed", curves)
    axes.set_xlim(left=min(min(points) for points in late) - 1)
    say_outside(axes, sum(end < min(values) - margin for end in ends), "below", 0.03)
    return figure


def _second_half(curve: Curve) -> dict[int, float]:
    half = max(curve.metric) // 2
    return {step: value for step, value in curve.metric.items() if step > half}


def draw_training_loss(stage: StageCurves) -> "Figure | None":
    """Return the training loss against the epoch; None where the run store has none."""
    curves = [curve for curve in stage.curves if curve.metric and curve.train_loss]
    if not curves:
        return None
    styles = styles_of(curves)
    figure = new_figure(curves, styles, f"{stage.name}: training loss")
    axes = figure.subplots()
    for curve, style in zip(curves, styles, strict=True):
        draw_curve(axes, curve.train_loss, curve, style)
    losses = ", ".join(stage.losses)
    finish_axes(axes, f"training loss ({losses}), mean over rows and classes", curves)
    frame_losses(axes, curves, [curve.train_loss for curve in curves])
    return figure
