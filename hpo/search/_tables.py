"""Tables of results, from tasks alone."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hpo.features import ChoiceCost
from hpo.search._task import Task, TaskState

__all__ = ["StageTable", "TableRow", "format_params", "format_score", "table_row"]


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One configuration of a table.

    Attributes:
        label: The parameters that tell it from the others.
        params: The values behind the label, by name.
        value: Mean of the metric over seeds; None without a result.
        std: Standard deviation over seeds.
        trial: Number in Optuna.
        reference: Published score.
        winner: Whether it is the best of the table.
        note: Why it was pruned, left out or failed.
        model_mb: Size of its model in 10⁶ bytes; None if it isn't known.
        latency_ms: Median time of predicting one row, in ms; None if it isn't known.
        encoder_cost: Of its encoders, in a table that compares encoders.
    """

    label: str
    params: Mapping[str, Any]
    value: float | None
    std: float | None
    trial: int | None
    reference: float | None
    winner: bool
    note: str
    model_mb: float | None = None
    latency_ms: float | None = None
    encoder_cost: ChoiceCost | None = None


@dataclasses.dataclass(frozen=True)
class StageTable:
    """A decided or open stage, or the best trials of a sampled study.

    Attributes:
        name: To be shown.
        rows: In the order of the grid, or the best first.
        key: A name that stays the same while the study goes on.
        selected: Whether the rows are a selection of more trials.
    """

    name: str
    rows: tuple[TableRow, ...]
    key: str
    selected: bool

    @property
    def has_encoder_costs(self) -> bool:
        """Whether it compares encoders whose cost is known."""
        return any(any(row.encoder_cost or ()) for row in self.rows)

    @property
    def decided(self) -> bool:
        """Whether it has a winner."""
        return any(row.winner for row in self.rows)


def table_row(
    params: Mapping[str, Any], task: Task | None, reference: float | None, *, winner: bool
) -> TableRow:
    """Return the row of a configuration with what its task has of it."""
    label = format_params(params)
    if task is None or task.outcome is None:
        failed = task is not None and task.state is TaskState.FAILED
        note = f"failed: {task.reason}" if task is not None and failed else ""
        trial = None if task is None else task.trial
        return TableRow(label, params, None, None, trial, reference, winner, note)
    outcome = task.outcome
    return TableRow(
        label,
        params,
        outcome.value if outcome.is_scored else None,
        outcome.std if outcome.is_scored else None,
        task.trial,
        reference,
        winner,
        outcome.pruned or "",
        outcome.model_mb,
        outcome.latency_ms,
    )


def format_params(params: Mapping[str, Any]) -> str:
    """Return parameters as people write them, such as ``lr 0.001, hidden 2048-512``."""
    return ", ".join(f"{name} {_format(value)}" for name, value in params.items())


def format_score(value: float, std: float | None) -> str:
    """Return a score as people write it, such as ``83.463 ± 0.021``.

    Args:
        value: The mean over seeds.
        std: Their standard deviation; it is left out for a single seed, of which it is 0.
    """
    return f"{value:.3f} ± {std:.3f}" if std else f"{value:.3f}"


def _format(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(str, value)) or "[]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
