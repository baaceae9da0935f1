"""Plots of a study for optuna-dashboard, each with an id that stays."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from hpo.dashboard._importance import importances
from hpo.dashboard._plotly import Figure, plain
from hpo.report import Curve, CurveReader, StageCurves, best_so_far_by_epochs
from hpo.search import FRONT, Task
from hpo.study import StoredStudy
from hpo.training import metric_label

__all__ = ["plots"]

# Okabe and Ito's colours, which people with any colour vision can tell apart.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#888888")
#: Points of a curve: more can't be seen, and each is stored and sent.
_MOST_POINTS = 120
#: Curves of one plot.
_MOST_CURVES = 12
_Results = Mapping[str, Any]
#: Batch size, learning rate, validation loss, trial.
_Point = tuple[int, float, float, int | None]


def plots(
    study: StoredStudy,
    tasks: Sequence[Task],
    trials: Sequence[FrozenTrial],
    results: _Results | None,
) -> Iterator[tuple[str, Figure]]:
    """Yield the id of each plot that a study has something for, and the plot.

    ``curves-N`` has the validation curves of the N-th stage with the spread over seeds,
    ``fusions`` the best curve of each fusion, ``loss-by-batch-size-and-lr`` and
    ``train-loss-by-dropout`` what they say, ``f1-by-class`` the winner's, ``best-so-far`` the best
    value against the epochs trained, and ``importance`` that of the parameters.

    Args:
        study: The study.
        tasks: As they were just read.
        trials: Likewise, in Optuna.
        results: What ``metrics.json`` has, if the study has come so far.
    """
    reader = CurveReader(study, trials)
    by_number = {trial.number: trial for trial in trials}
    tables = [table for table in study.tables(list(tasks)) if table.key != FRONT]
    for index, table in enumerate(tables):
        stage = reader.read(table)
        numbers = [row.trial for row in table.rows if row.trial in by_number]
        drawn = [by_number[number] for number in numbers if number is not None]
        figure = _curves(stage, drawn, reader, study.space.metric)
        if figure is not None:
            yield f"curves-{index + 1}", figure
    makers: Mapping[str, Callable[[], Figure | None]] = {
        "fusions": lambda: _fusions(study, tasks, by_number),
        "best-so-far": lambda: _best_so_far(study, tasks, trials),
        "loss-by-batch-size-and-lr": lambda: _loss_by_batch(tasks),
        "train-loss-by-dropout": lambda: _loss_by_dropout(tasks),
        "f1-by-class": lambda: _by_class(results),
        "importance": lambda: _importance(study),
    }
    for name, make in makers.items():
        figure = make()
        if figure is not None:
            yield name, figure


def _curves(
    stage: StageCurves, trials: Sequence[FrozenTrial], reader: CurveReader, metric: str
) -> Figure | None:
    """Return the curves of a stage, each in a band from the worst to the best seed."""
    both = list(zip(stage.curves, trials, strict=True))
    shown = [(curve, trial) for curve, trial in both if curve.metric][:_MOST_CURVES]
    if not shown:
        return None
    figure = Figure.of(stage.name, "epoch", stage.metric)
    for index, (curve, trial) in enumerate(shown):
        color = _COLORS[index % len(_COLORS)]
        spread = {
            step: values
            for step, values in reader.by_seed(trial, metric).items()
            if step in curve.metric and len(values) > 1 and all(map(math.isfinite, values))
        }
        if spread:
            steps = _thinned(list(spread))
            low, high = ([_short(f(spread[s])) for s in steps] for f in (min, max))
            figure.scatter(
                x=[*steps, *reversed(steps)],
                y=[*high, *reversed(low)],
                fill="toself",
                fillcolor=color,
                opacity=0.15,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        steps = _thinned(list(curve.metric))
        figure.scatter(
            x=steps,
            y=[_short(curve.metric[step]) for step in steps],
            mode="lines" if len(steps) > 1 else "markers",
            name=_name(curve),
            line={"color": color, "width": 3 if curve.winner else 1.5},
        )
    return figure


def _name(curve: Curve) -> str:
    text = f"{curve.label}: {curve.result}"
    return f"<b>{plain(text)}</b>" if curve.winner else plain(text)


def _fusions(
    study: StoredStudy, tasks: Sequence[Task], trials: Mapping[int, FrozenTrial]
) -> Figure | None:
    """Return the curve of each fusion's best trial."""
    best: dict[str, Task] = {}
    for task in tasks:
        if task.config is None or task.outcome is None or not task.outcome.is_scored:
            continue
        there = best.get(task.config.fusion)
        if there is None or there.outcome is None or task.outcome.value > there.outcome.value:
            best[task.config.fusion] = task
    if len(best) < 2:
        return None
    figure = Figure.of("The best trial of each fusion", "epoch", metric_label(study.space.metric))
    for fusion, task in best.items():
        trial = None if task.trial is None else trials.get(task.trial)
        if trial is None or task.outcome is None:
            continue
        values = {s: v for s, v in trial.intermediate_values.items() if math.isfinite(v)}
        steps = _thinned(sorted(values))
        figure.scatter(
            x=steps,
            y=[_short(values[step]) for step in steps],
            mode="lines+markers" if len(steps) < 10 else "lines",
            name=plain(f"{fusion}, trial {task.trial}: {task.outcome.value:.3f}"),
        )
    return figure


def _best_so_far(
    study: StoredStudy, tasks: Sequence[Task], trials: Sequence[FrozenTrial]
) -> Figure | None:
    points = best_so_far_by_epochs(tasks, trials)
    if not points:
        return None
    label = metric_label(study.space.metric)
    figure = Figure.of("The best so far", "epochs of single runs trained", label)
    figure.scatter(
        x=[epochs for epochs, _, _ in points],
        y=[_short(value) for _, value, _ in points],
        text=[f"trial {number}" for _, _, number in points],
        mode="lines+markers",
        line={"shape": "hv", "color": _COLORS[0]},
        name="best",
    )
    return figure


def _loss_by_batch(tasks: Sequence[Task]) -> Figure | None:
    """Return the validation loss by batch size and learning rate, with what diverged marked."""
    done = [task for task in tasks if task.config is not None and task.outcome is not None]
    pairs = [(t.config.batch_size, t.config.lr) for t in done if t.config is not None]
    if len({batch for batch, _ in pairs}) < 2 and len({lr for _, lr in pairs}) < 2:
        return None
    kept: list[_Point] = []
    diverged: list[_Point] = []
    for task, pair in zip(done, pairs, strict=True):
        assert task.outcome is not None  # see above
        loss = task.outcome.metrics.get("val_loss", math.nan)
        gone = (task.outcome.pruned or "").startswith("diverged") or not math.isfinite(loss)
        (diverged if gone else kept).append((*pair, loss, task.trial))
    figure = Figure.of("Validation loss by batch size and learning rate", "learning rate", "batch")
    figure.layout["xaxis"]["type"] = figure.layout["yaxis"]["type"] = "log"
    if kept:
        figure.scatter(
            x=[lr for _, lr, _, _ in kept],
            y=[batch for batch, _, _, _ in kept],
            mode="markers",
            marker={
                "size": 14,
                "color": [_short(loss) for _, _, loss, _ in kept],
                "colorscale": "Viridis",
                "colorbar": {"title": {"text": "val_loss"}},
            },
            text=[f"trial {number}: {loss:.4f}" for _, _, loss, number in kept],
            name="validation loss",
            showlegend=False,
        )
    if diverged:
        figure.scatter(
            x=[lr for _, lr, _, _ in diverged],
            y=[batch for batch, _, _, _ in diverged],
            mode="markers",
            marker={"size": 12, "symbol": "x", "color": _COLORS[1]},
            text=[f"trial {number}" for _, _, _, number in diverged],
            name="diverged",
        )
    return figure


def _loss_by_dropout(tasks: Sequence[Task]) -> Figure | None:
    points = [
        (task.config.dropout, task.outcome.metrics.get("train_loss", math.nan), task.trial)
        for task in tasks
        if task.config is not None and task.outcome is not None and task.outcome.is_scored
    ]
    points = sorted(point for point in points if math.isfinite(point[1]))
    if len({dropout for dropout, _, _ in points}) < 2:
        return None
    figure = Figure.of("Training loss at the last epoch, by dropout", "dropout", "train_loss")
    figure.scatter(
        x=[_short(dropout) for dropout, _, _ in points],
        y=[_short(loss) for _, loss, _ in points],
        text=[f"trial {number}" for _, _, number in points],
        mode="markers",
        marker={"color": _COLORS[0]},
    )
    return figure


def _by_class(results: _Results | None) -> Figure | None:
    """Return F1 by class of the refitted model, or of the winner on the validation rows."""
    parts = (results or {}).get("classes") or {}
    part = next(
        (part for part in ("test", "validation_tuned", "validation") if parts.get(part)), ""
    )
    if not part:
        return None
    classes = parts[part]
    shown = part.replace("_tuned", "")
    figure = Figure.of(f"F1 by class on the {shown} rows", "F1 (%)", "")
    order = sorted(classes, key=lambda name: classes[name]["support"])
    figure.bars(
        order,
        [_short(classes[name]["f1"]) for name in order],
        text=[f"{classes[name]['support']:,} rows" for name in order],
        marker={"color": _COLORS[0]},
    )
    figure.layout["height"] = max(320, 22 * len(order) + 120)
    return figure


def _importance(study: StoredStudy) -> Figure | None:
    found = importances(study.optuna)
    if not found:
        return None
    names = list(found)[::-1]
    figure = Figure.of("Importance of the parameters (PED-ANOVA)", "share", "")
    figure.bars(names, [_short(found[name]) for name in names], marker={"color": _COLORS[2]})
    return figure


def _thinned(steps: Sequence[int]) -> list[int]:
    """Return so many steps that a curve can be seen by them, the last one included."""
    if len(steps) <= _MOST_POINTS:
        return list(steps)
    stride = math.ceil(len(steps) / _MOST_POINTS)
    return sorted({*steps[::stride], steps[-1]})


def _short(value: float) -> float:
    """Return a number in five digits: plots are stored as text."""
    return float(f"{value:.5g}")
