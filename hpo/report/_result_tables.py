"""What ``metrics.json`` says of the winner beyond its scores, as tables: by class, and without."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.report._sections import ResultTable
from hpo.results import class_rows, write_csv
from hpo.search import Task

__all__ = [
    "pruned_table",
    "result_tables",
    "scores_table",
    "trial_intervals",
    "without_lines",
    "write_classes",
]

#: Reasons and numbers of trials that are listed.
_REASONS, _NUMBERS = 12, 12
_PARTS = {"validation_tuned": "validation", "test": "test"}
_F1 = {"micro_f1": "micro-F1", "macro_f1": "macro-F1", "samples_f1": "samples-F1"}


def result_tables(results: Mapping[str, Any]) -> list[ResultTable]:
    """Return the tables of results: scores by class, and with each modality taken away.

    Args:
        results: What ``metrics.json`` has; tables of what is not in it are left out.
    """
    tables = []
    if results.get("without"):
        tables.append(_without(results))
    if results.get("classes"):
        tables.append(_classes(results["classes"]))
    return tables


def trial_intervals(results: Mapping[str, Any], metric: str) -> dict[int, dict[str, float]]:
    """Return the 95% intervals of the winner and of the trials that it was compared with.

    Args:
        results: What ``metrics.json`` has.
        metric: By which the study scores; nothing is known of others than F1 scores.
    """
    judged = results.get("judged") or {}
    if metric not in _F1 or "compared" not in judged:
        return {}
    found = {int(trial): scores[metric] for trial, scores in judged["compared"].items()}
    return found | {results["best"]["trial"]: judged["validation"][metric]}


def scores_table(results: Mapping[str, Any]) -> ResultTable | None:
    """Return the scores of the winner and of the floor, with 95% intervals; None without any."""
    judged = results.get("judged") or {}
    refitted = results.get("test_model", "refitted") == "refitted"
    model = "the refitted model" if refitted else "the winner"
    found = {
        "validation rows, at 0.5": judged.get("validation"),
        "validation rows, at the thresholds": judged.get("validation_tuned"),
        f"test rows, {model}, at 0.5": results.get("test_at_half"),
        f"test rows, {model}, at the thresholds": results.get("test"),
    }
    for name, parts in results.get("floor", {}).items():
        called = f"floor: {name.replace('_', '-')}"
        found |= {f"{part} rows, {called}": parts.get(part) for part in ("validation", "test")}
    there: list[tuple[str, Mapping[str, Any]]] = []
    for name, scores in found.items():  # at thresholds of 0.5 the second line would be the first
        if scores and not (there and there[-1][1] == scores):
            there.append((name, scores))
    if not judged or not there:
        return None
    rows = tuple((name, *(_with_interval(scores[key]) for key in _F1)) for name, scores in there)
    records = tuple(
        {
            "part": name,
            **{
                f"{key}{end}": scores[key][field]
                for key in _F1
                for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
            },
        }
        for name, scores in there
    )
    head = ("", *_F1.values())
    return ResultTable("The winner", head, rows, records=records, key="winner")


def _with_interval(score: Mapping[str, float]) -> str:
    return f"{score['value']:.2f} ({score['low']:.2f} to {score['high']:.2f})"


def pruned_table(tasks: Sequence[Task]) -> ResultTable | None:
    """Return why trials were pruned, and which, the commonest reason first; None if none was."""
    by_reason: dict[str, list[int]] = {}
    for task in tasks:
        if task.outcome is not None and task.outcome.pruned and task.trial is not None:
            by_reason.setdefault(task.outcome.pruned, []).append(task.trial)
    if not by_reason:
        return None
    ordered = sorted(by_reason.items(), key=lambda one: (-len(one[1]), one[1][0]))
    rows = [(reason, f"{len(trials):,}", _few(trials)) for reason, trials in ordered[:_REASONS]]
    rest = [number for _, trials in ordered[_REASONS:] for number in trials]
    if rest:
        rows.append(("other reasons, see trials.csv", f"{len(rest):,}", _few(rest)))
    return ResultTable(
        "What was pruned", ("reason", "trials", "numbers"), tuple(rows), ("numbers",)
    )


def _few(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_NUMBERS]))
    return f"{shown}, …" if len(numbers) > _NUMBERS else shown


def write_classes(results: Mapping[str, Any], path: Path) -> None:
    """Write precision, recall, F1 and support by class, a row for each part and class."""
    rows = class_rows(results["classes"])
    write_csv(path, list(rows[0]), [list(row.values()) for row in rows])


def without_lines(results: Mapping[str, Any]) -> list[str]:
    """Return the scores with each modality taken away, a line each."""
    return [
        f"without {name}: "
        + "; ".join(
            f"{part} " + ", ".join(f"{label} {scores[key]:.2f}" for key, label in _F1.items())
            for part, scores in parts.items()
        )
        for name, parts in results.get("without", {}).items()
    ]


def _without(results: Mapping[str, Any]) -> ResultTable:
    """Return the scores on all modalities and without each, on the rows that there are."""
    found = {"validation": results.get("judged", {}).get("validation"), "test": results.get("test")}
    whole = {
        part: {key: score["value"] for key, score in scores.items()}
        for part, scores in found.items()
        if scores
    }
    rows: list[tuple[str, dict[str, Any]]] = [("all", whole)]
    rows += [(f"without {name}", parts) for name, parts in results["without"].items()]
    there = [part for part in found if any(part in parts for _, parts in rows)]
    head = [f"{part} {label}" for part in there for label in _F1.values()]
    cells = [
        (
            name,
            *(
                f"{scores[key]:.2f}" if (scores := parts.get(part)) else ""
                for part in there
                for key in _F1
            ),
        )
        for name, parts in rows
    ]
    return ResultTable("Modalities taken away", ("modalities", *head), tuple(cells), key="without")


def _classes(parts: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> ResultTable:
    """Return the scores of each class at the thresholds of the model."""
    there = [part for part in _PARTS if part in parts]
    head = [
        f"{_PARTS[part]} {column}"
        for part in there
        for column in ("F1", "precision", "recall", "rows")
    ]
    rows = []
    for name, first in parts[there[0]].items():
        cells = [name, f"{first['threshold']:.2f}"]
        for part in there:
            scores = parts[part][name]
            cells += [f"{scores[key]:.2f}" for key in ("f1", "precision", "recall")]
            cells.append(f"{scores['support']:,}")
        rows.append(tuple(cells))
    return ResultTable("Classes", ("class", "threshold", *head), tuple(rows))
