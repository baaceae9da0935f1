"""What the winner gets wrong: the validation rows, worst first, and which labels are confused."""

import base64
import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo.files import atomic_write, regular
from hpo.report._reliability import RELIABILITY_FILE
from hpo.report._row_facts import RowFacts
from hpo.report._sections import ResultTable
from hpo.results import write_csv
from hpo.search import Task

if TYPE_CHECKING:
    from hpo.results import Decision

__all__ = [
    "ERROR_FILES",
    "THUMBNAILS",
    "bring_errors",
    "error_tables",
    "report_errors",
    "row_losses",
    "write_errors",
]

#: Rows of the tables in the report; the files have all.
_SHOWN = 20
#: Configurations beside the winner that are asked about each row.
_OTHERS = 9
_EPS = 1e-7
#: Letters of a caption that the report shows; the file has all.
_LONGEST = 200
#: Their folder in that of the report.
THUMBNAILS = "thumbnails"
_ROWS, _PAIRS = ERROR_FILES = ("errors.csv", "confusions.csv")


def report_errors(
    folder: Path,
    best: Task,
    tasks: Sequence[Task],
    decision: "Decision",
    known: RowFacts | None = None,
) -> None:
    """Write what the winner gets wrong; see ``write_errors``.

    Args:
        folder: Of the report.
        best: The winner.
        tasks: All tasks of the study; the best of them whose weights are there are asked as well.
        decision: Has the thresholds, and the rows.
        known: Captions and pictures of the labelled rows.
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
    rows = bundle.split["val"]
    write_errors(
        folder,
        [bundle.ids[row] for row in rows],
        bundle.classes,
        bundle.labels_of("val") > 0,
        np.mean(found, axis=0),
        [np.mean(other, axis=0) for other in others if other is not None],
        decision.thresholds,
        captions=None if known is None else [known.caption(int(row)) for row in rows],
        pictures=lambda places: {} if known is None else _pictures(known, rows, places),
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
    *,
    captions: Sequence[str] | None = None,
    pictures: Callable[[Sequence[int]], Mapping[int, bytes]] = lambda places: {},
) -> None:
    """Write ``errors.csv``, ``confusions.csv``, and thumbnails of the rows that a report shows.

    ``errors.csv`` has a row for each validation row, the one with the largest loss first: its
    labels, those that are predicted, missed and too many with their probabilities, its loss, the
    smallest loss that any of the best configurations has, its caption, and the name of its
    thumbnail. Where even the smallest loss is large, the label may be wrong rather than the models
    (Northcutt et al. 2021, doi 10.1613/jair.1.12125, find such labels by models that did not see
    them). ``confusions.csv`` counts how often one class was missed where another one was predicted
    that isn't there.

    Args:
        folder: Gets the files.
        ids: Of the rows.
        classes: The K label names.
        truth: [rows, K].
        best: Probabilities of the winner, [rows, K].
        others: Those of other good configurations.
        thresholds: Of the winner, one a class.
        captions: Of the rows; None where they aren't known.
        pictures: Gives small JPEGs of the rows at some places, as far as there are any.
    """
    predicted = best > np.asarray(thresholds)
    losses = row_losses(best, truth)
    least = np.min([losses, *(row_losses(other, truth) for other in others)], axis=0)

    def named(row: int, chosen: NDArray[np.bool_]) -> str:
        return "; ".join(
            f"{classes[k]} {best[row, k]:.3f}" for k in map(int, np.flatnonzero(chosen[row]))
        )

    order = [int(row) for row in np.argsort(-losses, kind="stable")]
    doubtful = sorted(order, key=lambda row: -round(least[row], 5))  # as the table has them
    thumbnails = _write_thumbnails(folder, pictures([*order[:_SHOWN], *doubtful[:_SHOWN]]))
    rows = [
        [
            ids[row],
            named(row, truth),
            named(row, predicted),
            named(row, truth & ~predicted),
            named(row, predicted & ~truth),
            f"{losses[row]:.5f}",
            f"{least[row]:.5f}",
            "" if captions is None else captions[row],
            thumbnails.get(row, ""),
        ]
        for row in order
    ]
    head = ["ImageID", "labels", "predicted", "missed", "too many", "loss", "least_loss"]
    write_csv(folder / _ROWS, [*head, "caption", "thumbnail"], rows)
    counts = (truth & ~predicted).astype(np.int64).T @ (predicted & ~truth).astype(np.int64)
    found = [(int(counts[a, b]), classes[int(a)], classes[int(b)]) for a, b in np.argwhere(counts)]
    pairs = sorted(found, key=lambda pair: (-pair[0], pair[1:]))
    write_csv(
        folder / _PAIRS, ["missed", "predicted instead", "rows"], [[a, b, n] for n, a, b in pairs]
    )


def error_tables(folder: Path, without: Collection[str] = ()) -> list[ResultTable]:
    """Return the beginnings of what ``write_errors`` wrote, if it is there, for the report.

    Args:
        folder: Of the report.
        without: Files that are left out, by their names in it.
    """
    if any(name in without or not (folder / name).is_file() for name in ERROR_FILES):
        return []
    rows, pairs = _read(folder / _ROWS), _read(folder / _PAIRS)
    # Rows of the same least loss stand as they do in the file.
    doubtful = sorted(rows, key=lambda row: -float(row["least_loss"]))
    tables = [
        _row_table(
            folder,
            "Validation rows that the winner gets most wrong",
            rows[:_SHOWN],
            "loss",
            "worst_rows",
            without,
        ),
        _row_table(
            folder,
            "Validation rows that all good configurations get wrong: is the label right?",
            doubtful[:_SHOWN],
            "least_loss",
            "doubtful_rows",
            without,
        ),
    ]
    if pairs:
        shown = tuple((p["missed"], p["predicted instead"], p["rows"]) for p in pairs[:_SHOWN])
        columns = ("missed", "predicted instead", "rows")
        words = ("predicted instead",)
        name = "Classes that are confused"
        tables.append(ResultTable(name, columns, shown, words, key="confusions"))
    return tables


def bring_errors(source: Path, folder: Path) -> None:
    """Copy what is known of single rows from one report's folder to another's."""
    paths = [source / name for name in (*ERROR_FILES, RELIABILITY_FILE)]
    paths += sorted((source / THUMBNAILS).glob("*.jpg"))
    for path in paths:
        if path.is_file():
            with atomic_write(folder / path.relative_to(source)) as file:
                file.write(regular(path).read_bytes())


def _row_table(
    folder: Path,
    name: str,
    rows: Sequence[Mapping[str, str]],
    loss: str,
    key: str,
    without: Collection[str],
) -> ResultTable:
    """Return a table of rows with what was missed and what was too many, and their pictures."""
    with_caption = any(row.get("caption") for row in rows)
    cells = tuple(
        (
            row["ImageID"],
            *([_short(row.get("caption", ""))] if with_caption else []),
            _marked(row["labels"], row["missed"], "missed"),
            _marked(row["predicted"], row["too many"], "too many"),
            row[loss],
        )
        for row in rows
    )
    words = (*(["caption"] if with_caption else []), "labels", "predicted")
    pictures = tuple(
        "" if f"{THUMBNAILS}/{name}" in without else _embedded(folder / THUMBNAILS, name)
        for name in (row.get("thumbnail", "") for row in rows)
    )
    return ResultTable(
        name,
        ("row", *words, loss.replace("_", " ")),
        cells,
        words,
        pictures=pictures if any(pictures) else (),
        key=key,
    )


def _write_thumbnails(folder: Path, pictures: Mapping[int, bytes]) -> dict[int, str]:
    """Write thumbnails, and nothing else stays in their folder; return their names."""
    for path in (folder / THUMBNAILS).glob("*.jpg"):
        path.unlink()
    names = {}
    for place, content in pictures.items():
        names[place] = f"{place}.jpg"
        with atomic_write(folder / THUMBNAILS / names[place]) as file:
            file.write(content)
    return names


def _embedded(folder: Path, name: str) -> str:
    """Return a thumbnail as a data URI; empty if there is none."""
    path = folder / Path(name).name
    if not name or not path.is_file():
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(regular(path).read_bytes()).decode()


def _pictures(known: RowFacts, rows: NDArray[np.int64], places: Sequence[int]) -> dict[int, bytes]:
    """Return the thumbnails of some rows of a part, by their places in it."""
    found = known.thumbnails([int(rows[place]) for place in places])
    return {place: found[int(rows[place])] for place in places if int(rows[place]) in found}


def _marked(labels: str, wrong: str, mark: str) -> str:
    """Return labels with those marked that are also listed as wrong."""
    listed = wrong.split("; ")
    return "; ".join(f"{x} ({mark})" if x in listed else x for x in labels.split("; ") if x)


def _short(caption: str) -> str:
    line = " ".join(caption.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
