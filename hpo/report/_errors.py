"""What the winner gets wrong: the validation rows, worst first, and which labels are confused."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo.report._sections import ResultTable
from hpo.results import write_csv
from hpo.search import Task

if TYPE_CHECKING:
    from hpo.results import Decision

__all__ = ["ERROR_FILES", "error_tables", "report_errors", "row_losses", "write_errors"]

#: Rows of the tables in the report; the files have all.
_SHOWN = 20
#: Configurations beside the winner that are asked about each row.
_OTHERS = 5
_EPS = 1e-7
_ROWS, _PAIRS = ERROR_FILES = ("errors.csv", "confusions.csv")


def report_errors(folder: Path, best: Task, tasks: Sequence[Task], decision: "Decision") -> None:
    """Write what the winner gets wrong; see ``write_errors``.

    Args:
        folder: Of the report.
        best: The winner.
        tasks: All tasks of the study; the best of them whose weights are there are asked as well.
        decision: Has the thresholds, and the rows.
    """
    from hpo.results import seed_probabilities

    trainer = decision.trainer
    found = None if trainer is None else seed_probabilities(trainer, best, "val")
    if trainer is None or found is None:
        return
    scored = [t for t in tasks if t.outcome is not None and t.outcome.is_scored and t != best]
    scored.sort(key=lambda task: -task.outcome.value if task.outcome else 0.0)
    others = [seed_probabilities(trainer, task, "val") for task in scored[:_OTHERS]]
    bundle = trainer.bundle
    write_errors(
        folder,
        [bundle.ids[row] for row in bundle.split["val"]],
        bundle.classes,
        bundle.labels_of("val") > 0,
        np.mean(found, axis=0),
        [np.mean(other, axis=0) for other in others if other is not None],
        decision.thresholds,
    )


def row_losses(probabilities: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the binary cross-entropy of each row, the mean over classes, in nats.

    Args:
        probabilities: [rows, K].
        truth: [rows, K].
    """
    p = np.clip(probabilities.astype(np.float64), _EPS, 1 - _EPS)
    losses: NDArray[np.float64] = -np.where(truth, np.log(p), np.log1p(-p)).mean(axis=1)
    return losses


def write_errors(
    folder: Path,
    ids: Sequence[str],
    classes: Sequence[str],
    truth: NDArray[np.bool_],
    best: NDArray[np.float32],
    others: Sequence[NDArray[np.float32]],
    thresholds: Sequence[float],
) -> None:
    """Write ``errors.csv`` and ``confusions.csv``.

    ``errors.csv`` has a row for each validation row, the one with the largest loss first: its
    labels, those that are predicted, missed and too many with their probabilities, its loss, and
    the smallest loss that any of the best configurations has. Where even that is large, the label
    may be wrong rather than the models (Northcutt et al. 2021, doi 10.1613/jair.1.12125, find such
    labels by models that did not see them). ``confusions.csv`` counts how often one class was
    missed where another one was predicted that isn't there.

    Args:
        folder: Gets the files.
        ids: Of the rows.
        classes: The K label names.
        truth: [rows, K].
        best: Probabilities of the winner, [rows, K].
        others: Those of other good configurations.
        thresholds: Of the winner, one a class.
    """
    predicted = best > np.asarray(thresholds)
    losses = row_losses(best, truth)
    least = np.min([losses, *(row_losses(other, truth) for other in others)], axis=0)

    def named(row: int, chosen: NDArray[np.bool_]) -> str:
        return "; ".join(
            f"{classes[k]} {best[row, k]:.3f}" for k in map(int, np.flatnonzero(chosen[row]))
        )

    rows = [
        [
            ids[row],
            "; ".join(classes[k] for k in map(int, np.flatnonzero(truth[row]))),
            named(row, predicted),
            named(row, truth & ~predicted),
            named(row, predicted & ~truth),
            f"{losses[row]:.5f}",
            f"{least[row]:.5f}",
        ]
        for row in np.argsort(-losses, kind="stable")
    ]
    head = ["ImageID", "labels", "predicted", "missed", "too many", "loss", "least_loss"]
    write_csv(folder / _ROWS, head, rows)
    counts = (truth & ~predicted).astype(np.int64).T @ (predicted & ~truth).astype(np.int64)
    found = [(int(counts[a, b]), classes[int(a)], classes[int(b)]) for a, b in np.argwhere(counts)]
    pairs = sorted(found, key=lambda pair: (-pair[0], pair[1:]))
    write_csv(
        folder / _PAIRS, ["missed", "predicted instead", "rows"], [[a, b, n] for n, a, b in pairs]
    )


def error_tables(folder: Path) -> list[ResultTable]:
    """Return the beginnings of what ``write_errors`` wrote, if it is there, for the report."""
    if not (folder / _ROWS).is_file() or not (folder / _PAIRS).is_file():
        return []
    rows, pairs = _read(folder / _ROWS), _read(folder / _PAIRS)
    head = ("row", "missed", "too many", "loss")
    worst = [(row["ImageID"], row["missed"], row["too many"], row["loss"]) for row in rows[:_SHOWN]]
    doubtful = sorted(rows, key=lambda row: -float(row["least_loss"]))[:_SHOWN]
    tables = [
        ResultTable(
            "Validation rows that the winner gets most wrong",
            head,
            tuple(worst),
            ("missed", "too many"),
            key="worst_rows",
        ),
        ResultTable(
            "Validation rows that all good configurations get wrong: is the label right?",
            ("row", "labels", "predicted", "least loss"),
            tuple((r["ImageID"], r["labels"], r["predicted"], r["least_loss"]) for r in doubtful),
            ("labels", "predicted"),
            key="doubtful_rows",
        ),
    ]
    if pairs:
        shown = tuple((p["missed"], p["predicted instead"], p["rows"]) for p in pairs[:_SHOWN])
        columns = ("missed", "predicted instead", "rows")
        tables.append(
            ResultTable(
                "Classes that are confused",
                columns,
                shown,
                ("predicted instead",),
                key="confusions",
            )
        )
    return tables


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
