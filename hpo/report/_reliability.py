"""How often what is predicted with some probability is right: ``reliability.csv``, a diagram."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo.report._sections import ResultTable
from hpo.results import reliability, write_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpo.results import Decision

__all__ = ["RELIABILITY_FILE", "draw_reliability", "reliability_table", "write_reliability"]

RELIABILITY_FILE = "reliability.csv"
_HEAD = ("part", "low", "high", "cells", "probability", "frequency")
_COLORS = ("#0072B2", "#D55E00", "#009E73")


def write_reliability(
    path: Path,
    decision: "Decision",
    on_test: Sequence[NDArray[np.float32]] | None,
    truth: NDArray[np.bool_] | None,
) -> None:
    """Write the bins of the expected calibration error.

    Args:
        path: The file. Its columns are part, low, high, cells (a row and a class each), the mean
            probability of the cells, and the frequency of positives among them.
        decision: Holds probabilities of rows that their models were not trained on.
        on_test: Probabilities of the test part, [rows, K]; None without one.
        truth: Of the test part.
    """
    parts = {"validation": (list(decision.held_out), decision.truth)}
    if on_test is not None and truth is not None:
        parts["test"] = (list(on_test), truth)
        if decision.calibration is not None:
            corrected = [decision.calibration.apply(model) for model in on_test]
            parts["test, calibrated"] = (corrected, truth)
    rows = [
        [part, f"{b.low:.4f}", f"{b.high:.4f}", b.cells, _cell(b.probability), _cell(b.frequency)]
        for part, (models, right) in parts.items()
        for b in reliability(models, right)
    ]
    write_csv(path, list(_HEAD), rows)


def reliability_table(folder: Path) -> ResultTable | None:
    """Return the bins that ``write_reliability`` wrote to a folder; None if it didn't."""
    path = folder / RELIABILITY_FILE
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = tuple(tuple(row[name] for name in _HEAD) for row in csv.DictReader(file))
    return ResultTable("Reliability", _HEAD, rows, key="reliability")


def draw_reliability(table: ResultTable) -> "Figure | None":
    """Return the reliability diagram (Guo et al. 2017): the frequency against the probability.

    What lies on the diagonal is right as often as it says. The area of a dot goes with the cells of
    its bin, on a logarithmic scale. None without a bin that has cells.

    Args:
        table: See ``reliability_table``.
    """
    from matplotlib.figure import Figure

    parts: dict[str, list[Mapping[str, str]]] = {}
    for cells in table.rows:
        row = dict(zip(table.head, cells, strict=True))
        if row["probability"] and row["frequency"]:
            parts.setdefault(row["part"], []).append(row)
    if not parts:
        return None
    figure = Figure(figsize=(5.6, 5.2), dpi=130, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1.0, linestyle=(0, (4, 3)))
    for index, (part, rows) in enumerate(parts.items()):
        x = [float(row["probability"]) for row in rows]
        y = [float(row["frequency"]) for row in rows]
        color = _COLORS[index % len(_COLORS)]
        axes.plot(x, y, color=color, linewidth=1.4, label=f"{part} rows")
        areas = [12 * math.log10(float(row["cells"]) + 1) for row in rows]
        axes.scatter(x, y, areas, color=color, clip_on=False, zorder=3)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel("predicted probability, mean of the bin", fontsize=9)
    axes.set_title("frequency of the label in the bin", loc="left", fontsize=9.5)
    axes.tick_params(labelsize=8.5)
    axes.grid(color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=8.5, frameon=False, loc="upper left")
    return figure


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.5f}"
