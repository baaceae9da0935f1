"""The arena's data: labelled rows to train on, and rows whose labels only the score sees."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data import Dataset, StratifiedSplit, load_dataset, make_split

__all__ = ["SETS", "SHARED", "build", "held_out", "read_labels", "row_count", "split_of"]

SHARED = Path(__file__).resolve().parents[2] / "shared"
#: The data sets, each with the split that studies of hpo's are told to make.
SETS = {
    "comp5329": "split={kind: tail, val_rows: 5000}",
    "movies": "split={kind: stratified, val_fraction: 0.2}",
}


def split_of(name: str) -> str:
    """Return what ``--set`` is given for the split of a data set."""
    return SETS[name]


def held_out(name: str, data: Path) -> int:
    """Return how many of the last labelled rows validate, for contestants without splits."""
    return 5000 if name == "comp5329" else row_count(data / "train.csv") // 5


def build(name: str, folder: Path, repeat: int) -> None:
    """Write the data folder of a repetition, and the labels of its untouched rows beside it.

    Args:
        name: ``comp5329``: the first 5,000 rows and the last 5,000 are labelled, the 20,000 between
            untouched. ``movies``: a fifth of the rows untouched, drawn by label.
        folder: Is made; gets ``train.csv``, ``test.csv``, ``truth.csv`` and ``features/``.
        repeat: Seed of the draw.
    """
    source = SHARED / "datasets" / name
    dataset = load_dataset(source, images="ignore")
    if name == "comp5329":
        labelled = np.r_[0:5000, 25000:30000]
        untouched = np.arange(5000, 25000)
    else:
        split = make_split(
            dataset, StratifiedSplit(kind="stratified", val_fraction=0.2, seed=repeat)
        )
        labelled, untouched = split["train"], split["val"]
    (folder / "features").mkdir(parents=True)
    _write_rows(folder / "train.csv", dataset, labelled, labels=True)
    _write_rows(folder / "test.csv", dataset, untouched, labels=False)
    _write_rows(folder / "truth.csv", dataset, untouched, labels=True)
    for path in (source / "features").glob("*.npy"):
        if not path.stem.endswith("_test"):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            np.save(folder / "features" / path.name, array[labelled])
            np.save(folder / "features" / f"{path.stem}_test.npy", array[untouched])


def read_labels(path: Path, data: Path) -> NDArray[np.bool_]:
    """Return the labels of a table as [rows, K], classes in the order of train.csv's."""
    with (data / "train.csv").open(newline="", encoding="utf-8") as file:
        names = {label for row in csv.DictReader(file) for label in row["Labels"].split()}
    index = {label: place for place, label in enumerate(sorted(names))}
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row["Labels"].replace(";", " ").split() for row in csv.DictReader(file)]
    matrix = np.zeros((len(rows), len(index)), dtype=bool)
    for row, labels in enumerate(rows):
        matrix[row, [index[label] for label in labels]] = True
    return matrix


def row_count(path: Path) -> int:
    """Return the rows of a table, its header not counted."""
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def _write_rows(path: Path, dataset: Dataset, rows: NDArray[np.int64], *, labels: bool) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ImageID", *(["Labels"] if labels else []), "Caption"])
        for row in rows:
            given = [dataset.classes[k] for k in np.flatnonzero(dataset.labels[row])]
            cells = [" ".join(given)] if labels else []
            writer.writerow([dataset.train.ids[row], *cells, f"row {row}"])
