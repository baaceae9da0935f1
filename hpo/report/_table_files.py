"""Tables and trials of a study as Markdown and CSV files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from hpo.features import ChoiceCost
from hpo.files import atomic_write
from hpo.results import write_csv
from hpo.search import StageTable, TableRow
from hpo.study import StoredStudy
from hpo.training import curve_columns, metric_label

__all__ = ["COST_COLUMNS", "cost_cells", "table_cells", "write_tables", "write_trials"]

#: What encoders cost, in tables that compare them; see ``ChoiceCost``.
COST_COLUMNS = ("images/s", "encoder MB")


def write_tables(study: StoredStudy, tables: Sequence[StageTable], folder: Path) -> None:
    """Write the tables of all stages: ``tables.md`` to read, ``tables.csv`` with all digits."""
    metric = metric_label(study.space.metric)
    costs = any(table.has_costs for table in tables)
    lines = [f"# Study {study.name}", ""]
    for table in tables:
        head, rows = table_cells(table, metric)
        lines += [f"## {table.name}", "", _markdown_row(head), _markdown_row(["---"] * len(head))]
        for row, cells in zip(table.rows, rows, strict=True):
            marked = [f"**{cell}**" if row.winner and cell else cell for cell in cells]
            lines.append(_markdown_row(marked))
        lines.append("")
    with atomic_write(folder / "tables.md") as file:
        file.write("\n".join(lines).encode())
    write_csv(
        folder / "tables.csv",
        [
            *("stage", "candidate", "value", "std", "trial", "reference", "winner", "note"),
            *(ChoiceCost._fields if costs else ()),
        ],
        [
            [
                *(table.name, row.label),
                *map(_cell, (row.value, row.std, row.trial, row.reference)),
                *(int(row.winner), row.note),
                *(map(_cell, row.cost or (None, None)) if costs else ()),
            ]
            for table in tables
            for row in table.rows
        ],
    )


def write_trials(study: StoredStudy, trials: Sequence[FrozenTrial], path: Path) -> None:
    """Write one row for each trial of the Optuna study, in the order of their numbers.

    The columns are number, state, stage, value and std (percent), each searched parameter, the
    score of each seed, the mean of every metric at the last epoch, the epochs that were trained
    for it rather than taken from the run store, and why it was pruned or failed.
    """
    params = study.strategy.distributions
    columns = curve_columns(study.definition.metrics)
    seeds = study.space.seeds
    header = [
        *("number", "state", "stage", "value", "std"),
        *(f"params_{name}" for name in params),
        *(f"score_seed_{seed}" for seed in range(seeds)),
        *(f"metrics_{name}" for name in columns),
        *("epochs_trained", "reason"),
    ]
    rows = []
    for trial in sorted(trials, key=lambda trial: trial.number):
        about = trial.user_attrs
        scores = list(about.get("scores", []))
        metrics = about.get("metrics", {})
        rows.append(
            [
                trial.number,
                trial.state.name.lower(),
                about.get("stage", ""),
                _cell(trial.value if trial.values else None),
                _cell(about.get("std")),
                *(_cell(trial.params.get(name)) for name in params),
                *(_cell(score) for score in (scores + [None] * seeds)[:seeds]),
                *(_cell(metrics.get(name)) for name in columns),
                _cell(about.get("epochs_trained")),
                about.get("pruned") or about.get("failed") or "",
            ]
        )
    write_csv(path, header, rows)


def table_cells(table: StageTable, metric: str) -> tuple[list[str], list[list[str]]]:
    """Return header and cells of a table as text.

    References have a column if there are any, and what encoders cost has two.
    """
    cited = any(row.reference is not None for row in table.rows)
    costs = list(COST_COLUMNS) if table.has_costs else []
    head = ["candidate", metric, "trial", *(["paper"] if cited else []), *costs, "note"]
    rows = []
    for row in table.rows:
        score = "" if row.value is None else f"{row.value:.3f} ± {row.std:.3f}"
        cells = [row.label, score, "" if row.trial is None else str(row.trial)]
        if cited:
            cells.append("" if row.reference is None else f"{row.reference:.3f}")
        rows.append([*cells, *(cost_cells(row) if costs else ()), row.note])
    return head, rows


def cost_cells(row: TableRow) -> list[str]:
    """Return what the encoders of a row cost as text, one for each of ``COST_COLUMNS``."""
    return ["" if value is None else f"{value:,.1f}" for value in row.cost or (None, None)]


def _markdown_row(cells: Sequence[str]) -> str:
    # A reason may hold anything; a bar or a line break would end the cell.
    return f"| {' | '.join(' '.join(c.split()).replace('|', chr(92) + '|') for c in cells)} |"


def _cell(value: Any) -> Any:
    return "" if value is None else value
