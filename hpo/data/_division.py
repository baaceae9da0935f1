"""A data set divided by the split of a search space, with the classes that the study has."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from hpo.data._dataset import Dataset
from hpo.data._split import Split, make_split
from hpo.data._split_spec import ConcreteSplit, SplitSpec, settle_split
from hpo.errors import InputError
from hpo.notes import Note

__all__ = ["Division", "divide", "split_line"]

_EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class Division:
    """Rows that are divided.

    Attributes:
        dataset: The data set, without rare classes that the split drops.
        spec: How it is divided; of an automatic split what became of it.
        split: The rows of each part.
        notes: What was done or looks wrong.
    """

    dataset: Dataset
    spec: ConcreteSplit
    split: Split
    notes: tuple[Note, ...]


def divide(dataset: Dataset, spec: SplitSpec, train_rows: int | None = None) -> Division:
    """Divide the labelled rows, and keep, drop or refuse rare classes.

    Which classes are rare follows from all training rows, whether ``train_rows`` keeps them or not.

    Args:
        dataset: The rows and their labels.
        spec: How to divide them.
        train_rows: See ``make_split``.

    Raises:
        InputError: As ``make_split``, or no class is left.
    """
    settled = settle_split(spec, dataset)
    split = make_split(dataset, settled, train_rows)
    whole = split if train_rows is None else make_split(dataset, settled)
    notes = [*_ignored_column(dataset, settled), *_small_training_part(whole, settled)]
    counts = dataset.labels[whole["train"]].sum(axis=0, dtype=np.int64)
    rare = counts < settled.min_rows_per_class
    if settled.rare_classes == "drop" and rare.any():
        dataset, note = _without(dataset, rare, settled)
        notes.append(note)
    elif settled.rare_classes == "keep":
        notes += _kept(dataset, counts, rare, settled)
    return Division(dataset, settled, split, tuple(notes))


def split_line(spec: ConcreteSplit) -> str:
    """Return how rows are divided, for one line: the kind, and what isn't a default."""
    said = spec.model_dump(exclude_defaults=True)
    values = ", ".join(f"{key} {value}" for key, value in said.items() if key != "kind")
    return f"split {spec.kind}" + (f", {values}" if values else "")


def _ignored_column(dataset: Dataset, spec: ConcreteSplit) -> list[Note]:
    if dataset.split_column is None or spec.kind == "column":
        return []
    counts = ", ".join(f"{n:,} {name}" for name, n in Counter(dataset.split_column).items())
    return [
        Note(
            f"the column Split ({counts}) is not read, since the space asks for another split, "
            f"{spec.kind}; --set split.kind=column divides the rows by it"
        )
    ]


def _small_training_part(split: Split, spec: ConcreteSplit) -> list[Note]:
    train, val = len(split["train"]), len(split["val"])
    if train >= val:
        return []
    way = "" if spec.kind == "stratified" else "; --set split.kind=auto validates on a fifth"
    return [
        Note(f"there are fewer rows to train on ({train:,}) than to validate on ({val:,}){way}")
    ]


def _without(dataset: Dataset, rare: np.ndarray, spec: ConcreteSplit) -> tuple[Dataset, Note]:
    """Return the data set without rare classes, and what that does to its rows."""
    if rare.all():
        raise InputError(
            f"all {len(rare)} classes are on fewer than {spec.min_rows_per_class} rows to train "
            "on, so that split.rare_classes=drop leaves none; lower split.min_rows_per_class"
        )
    labels = dataset.labels[:, ~rare]
    touched = dataset.labels[:, rare].any(axis=1)
    empty = int((touched & ~labels.any(axis=1)).sum())
    note = Note(
        f"{_rare(dataset, rare, spec)} left out; {int(touched.sum()):,} rows lose a label by it, "
        f"{empty:,} their only one",
        doubtful=False,
    )
    classes = tuple(dataset.classes[k] for k in np.flatnonzero(~rare))
    return replace(dataset, classes=classes, labels=np.ascontiguousarray(labels)), note


def _kept(
    dataset: Dataset, counts: np.ndarray, rare: np.ndarray, spec: ConcreteSplit
) -> list[Note]:
    """Say which rare classes are kept; a class that no row has at all was asked for by name."""
    shown = rare & ((counts > 0) | dataset.labels.any(axis=0))
    if not shown.any():
        return []
    unknown = bool((counts[shown] == 0).any())
    count, them = ("counts", "it") if shown.sum() == 1 else ("count", "them")
    cost = f", and {count} as missed wherever a row has {them}" if unknown else ""
    ways = f"--set split.rare_classes=drop leaves {them} out, error refuses {them}"
    return [Note(f"{_rare(dataset, shown, spec)} kept{cost}; {ways}", doubtful=unknown)]


def _rare(dataset: Dataset, rare: np.ndarray, spec: ConcreteSplit) -> str:
    columns = np.flatnonzero(rare).tolist()
    names = ", ".join(dataset.classes[k] for k in columns[:_EXAMPLES])
    names += ", …" if len(columns) > _EXAMPLES else ""
    least = spec.min_rows_per_class
    where = "no row to train on" if least == 1 else f"fewer than {least} rows to train on"
    what, verb = ("class", "is") if len(columns) == 1 else ("classes", "are")
    return f"{len(columns):,} {what} on {where} ({names}) {verb}"
