"""Tables of a study as text and as CSV files, and its trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from hpo.errors import InputError
from hpo.features import ChoiceCost
from hpo.files import atomic_write, regular
from hpo.report._sections import ResultTable
from hpo.results import write_csv
from hpo.search import COSTS, StageTable, TableRow, format_score, param_value
from hpo.study import StoredStudy
from hpo.training import curve_columns

__all__ = [
    "ENCODER_COLUMNS",
    "check_trials_file",
    "cost_cell",
    "costs_in",
    "encoder_cells",
    "score_text",
    "stage_table",
    "table_cells",
    "write_scores",
    "write_trials",
]

#: What encoders cost, in tables that compare them; see ``ChoiceCost``.
ENCODER_COLUMNS = ("images/s", "encoder MB")
#: The columns that a table of trials begins with.
_HEAD = ("number", "state", "stage", "value", "std")
_LONGEST_HEAD, _PARQUET = 65536, b"PAR1"


def write_scores(tables: Sequence[StageTable], path: Path) -> None:
    """Write the scores of all stages in one file, with all digits, a row for each candidate."""
    costs = any(table.has_encoder_costs for table in tables)
    write_csv(
        path,
        [
            *("stage", "candidate", "value", "std", "trial", "reference", "winner", "note"),
            *("model_mb", "latency_ms"),
            *(ChoiceCost._fields if costs else ()),
        ],
        [
            [
                *(table.name, row.label),
                *map(_cell, (row.value, row.std, row.trial, row.reference)),
                *(int(row.winner), row.note, _cell(row.model_mb), _cell(row.latency_ms)),
                *(map(_cell, row.encoder_cost or (None, None)) if costs else ()),
            ]
            for table in tables
            for row in table.rows
        ],
    )


def write_trials(
    study: StoredStudy, trials: Sequence[FrozenTrial], path: Path, kind: str = "csv"
) -> None:
    """Write one row for each trial of the Optuna study, in the order of their numbers.

    The columns are number, state, stage, value and std (percent), each searched parameter, the
    score of each seed, the mean of every metric at the last epoch, the epochs that were trained
    for it rather than taken from the run store, why it was pruned or failed, and the size and
    latency of its model.

    Args:
        study: The study.
        trials: All its trials.
        path: The file.
        kind: ``csv``, or ``parquet``, in which parameters with values of several types are text.
    """
    head, rows = _trial_table(study, trials)
    if kind == "csv":
        write_csv(path, head, [list(map(_cell, row)) for row in rows])
        return
    import pyarrow
    import pyarrow.parquet

    columns = {name: [row[place] for row in rows] for place, name in enumerate(head)}
    table = pyarrow.table(
        {name: pyarrow.array(_one_type(column)) for name, column in columns.items()}
    )
    with atomic_write(path) as file:
        pyarrow.parquet.write_table(table, file)


def check_trials_file(path: Path) -> None:
    """Check that a file which is to be written isn't there, or that it is such a table of trials.

    So neither the rows that a study was made from nor anything else that is kept gets lost.

    Raises:
        InputError: It is something else.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return
    with regular(path).open("rb") as file:
        first = file.readline(_LONGEST_HEAD)
    if first.startswith(_PARQUET):
        import pyarrow
        import pyarrow.parquet

        try:
            head = pyarrow.parquet.read_schema(regular(path)).names
        except (pyarrow.ArrowException, OSError):
            head = []
    else:
        head = first.decode("utf-8", "replace").removeprefix("\ufeff").strip().split(",")
    if tuple(head[: len(_HEAD)]) != _HEAD:
        raise InputError(
            f"--out {path}: is there, but isn't a table of trials that hpo wrote, so it isn't "
            "replaced; give another file."
        )


def _one_type(values: list[Any]) -> list[Any]:
    """Return a column as it is if its values are of one type, or else as text."""
    types = {type(value) for value in values if value is not None}
    if len(types) < 2 or types == {int, float}:
        return values
    return [None if value is None else str(value) for value in values]


def _trial_table(
    study: StoredStudy, trials: Sequence[FrozenTrial]
) -> tuple[list[str], list[list[Any]]]:
    """Return the head and the rows of ``write_trials``; None where a trial has nothing."""
    params = study.strategy.distributions
    columns = curve_columns(study.definition.metrics)
    seeds = study.space.seeds
    head = [
        *_HEAD,
        *(f"params_{name}" for name in params),
        *(f"score_seed_{seed}" for seed in range(seeds)),
        *(f"metrics_{name}" for name in columns),
        *("epochs_trained", "reason", "model_mb", "latency_ms"),
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
                trial.values[0] if trial.values else None,
                about.get("std"),
                *(trial.params.get(name) for name in params),
                *(scores + [None] * seeds)[:seeds],
                *(metrics.get(name) for name in columns),
                about.get("epochs_trained"),
                about.get("pruned") or about.get("failed") or "",
                *(about.get(cost) for cost in COSTS),
            ]
        )
    return head, rows


def stage_table(
    table: StageTable, metric: str, intervals: Mapping[int, Mapping[str, float]] | None = None
) -> ResultTable:
    """Return the table of a stage as it is shown, the winner marked, with all digits for files.

    Args:
        table: Of the study.
        metric: Name of the metric, with its unit.
        intervals: Of trials, by their numbers: ``low`` and ``high`` in the metric's unit; None
            where nothing is known of them.
    """
    head, rows = table_cells(table, metric)
    known = [
        None if intervals is None or row.trial is None else intervals.get(row.trial)
        for row in table.rows
    ]
    if any(known):
        head.insert(2, "95%")
        for cells, one in zip(rows, known, strict=True):
            cells.insert(2, "" if one is None else f"{one['low']:.2f} to {one['high']:.2f}")
    return ResultTable(
        table.name,
        tuple(head),
        tuple(map(tuple, rows)),
        words=("note",),
        marked=frozenset(place for place, row in enumerate(table.rows) if row.winner),
        records=tuple(
            _record(row) | ({} if one is None else {"low": one["low"], "high": one["high"]})
            for row, one in zip(table.rows, known, strict=True)
        ),
        key=table.key,
    )


def _record(row: TableRow) -> dict[str, Any]:
    return {
        "candidate": row.label,
        **{f"params_{name}": param_value(value) for name, value in row.params.items()},
        "value": row.value,
        "std": row.std,
        "trial": row.trial,
        "reference": row.reference,
        "winner": row.winner,
        "note": row.note,
        "model_mb": row.model_mb,
        "latency_ms": row.latency_ms,
        **({} if row.encoder_cost is None else row.encoder_cost._asdict()),
    }


def table_cells(table: StageTable, metric: str) -> tuple[list[str], list[list[str]]]:
    """Return header and cells of a table as text.

    References, sizes and latencies have a column each if there are any, and what encoders cost has
    two.
    """
    cited = any(row.reference is not None for row in table.rows)
    costs = costs_in(table)
    encoders = table.has_encoder_costs
    head = ["candidate", metric, "trial", *(["paper"] if cited else [])]
    head += [*(COSTS[cost][1] for cost in costs), *(ENCODER_COLUMNS if encoders else ()), "note"]
    rows = []
    for row in table.rows:
        cells = [row.label, score_text(row), "" if row.trial is None else str(row.trial)]
        if cited:
            cells.append("" if row.reference is None else f"{row.reference:.3f}")
        cells += [cost_cell(row, cost) for cost in costs]
        cells += encoder_cells(row) if encoders else []
        rows.append([*cells, row.note])
    return head, rows


def score_text(row: TableRow) -> str:
    """Return the score of a row, with its deviation where it has one; empty without a score."""
    return "" if row.value is None else format_score(row.value, row.std)


def costs_in(table: StageTable) -> list[str]:
    """Return what costs the rows of a table have."""
    return [c for c in COSTS if any(getattr(row, c) is not None for row in table.rows)]


def cost_cell(row: TableRow, cost: str) -> str:
    """Return a cost of a row as text, with three digits."""
    value = getattr(row, cost)
    return "" if value is None else f"{value:.3g}"


def encoder_cells(row: TableRow) -> list[str]:
    """Return what the encoders of a row cost as text, one for each of ``ENCODER_COLUMNS``."""
    costs = row.encoder_cost or (None, None)
    return ["" if value is None else f"{value:,.1f}" for value in costs]


def _cell(value: Any) -> Any:
    return "" if value is None else value
