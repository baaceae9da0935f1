"""A table for each stage, from the ledger and the space alone."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.search import GreedySearch
from hpo.service import Study, Task

__all__ = ["StageTable", "TableRow", "format_params", "study_tables"]


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One configuration of a table.

    Attributes:
        label: The parameters that tell it from the others.
        value: Mean of the metric over seeds, in percent; None without a result.
        std: Standard deviation over seeds.
        trial: Number in Optuna.
        reference: Published score.
        winner: Whether it is the best of the table.
        note: Why it was pruned or failed.
    """

    label: str
    value: float | None
    std: float | None
    trial: int | None
    reference: float | None
    winner: bool
    note: str


@dataclasses.dataclass(frozen=True)
class StageTable:
    """A decided or open stage, or the trials of a sampled study."""

    name: str
    rows: tuple[TableRow, ...]

    @property
    def decided(self) -> bool:
        """Whether it has a winner."""
        return any(row.winner for row in self.rows)


def study_tables(study: Study, tasks: Sequence[Task]) -> list[StageTable]:
    """Return the tables of all stages that are open or decided.

    A configuration that an earlier stage ran has the trial and the score of that stage. References
    are given only where the data is the one they hold for.
    """
    if not isinstance(study.space.search, GreedySearch):
        return [_sampled(study, tasks)]
    by_key = {task.config_key: task for task in tasks}
    reference = study.space.reference
    sha = study.definition.dataset.get("train_csv_sha256")
    cited = reference is not None and reference.train_csv_sha256 == sha
    return [
        StageTable(
            stage.name,
            tuple(
                _row(
                    format_params(candidate.params),
                    by_key.get(candidate.key),
                    candidate.reference if cited else None,
                    winner=candidate is stage.winner,
                )
                for candidate in stage.candidates
            ),
        )
        for stage in study.stages(list(tasks))
    ]


def format_params(params: Mapping[str, Any]) -> str:
    """Return parameters as people write them, such as ``lr 0.001, hidden 2048-512``."""
    return ", ".join(f"{name} {_format(value)}" for name, value in params.items())


def _sampled(study: Study, tasks: Sequence[Task]) -> StageTable:
    finished = [task for task in tasks if task.outcome is not None]
    best = study.best(list(tasks))
    ranked = sorted(finished, key=lambda task: -(task.outcome or {})["value"])[:10]
    searched = study.definition.searched
    rows = tuple(
        _row(
            format_params({name: (task.config or {})[name] for name in searched}),
            task,
            None,
            winner=best is not None and task.position == best.position,
        )
        for task in ranked
    )
    return StageTable(f"best {len(rows)} of {len(finished)} trials", rows)


def _row(label: str, task: Task | None, reference: float | None, *, winner: bool) -> TableRow:
    if task is None or task.outcome is None:
        note = "" if task is None or task.state != "failed" else f"failed: {task.reason}"
        trial = None if task is None else task.trial
        return TableRow(label, None, None, trial, reference, winner, note)
    outcome = task.outcome
    return TableRow(
        label,
        outcome["value"],
        outcome["std"],
        task.trial,
        reference,
        winner,
        outcome["pruned"] or "",
    )


def _format(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
