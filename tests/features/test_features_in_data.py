"""Embeddings that lie in the data folder itself, beside the table of their rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from order_samples import IDS, NAMES, SORTED, vectors

import hpo
from hpo.features import read_embeddings
from hpo.notes import Note


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = pd.DataFrame({"ImageID": IDS, "Labels": ["a", "b", "a b", "b"]})
    table.to_csv(tmp_path / "train.csv", index=False)
    return tmp_path


def load(folder: Path) -> hpo.Data:
    return hpo.load_data(folder, features=folder, cache=folder / "cache", progress=False)


def test_the_table_itself_says_nothing_of_their_order(folder: Path) -> None:
    np.save(folder / "image.npy", vectors())
    (note,) = [str(one) for one in load(folder).notes if "order" in str(one)]
    assert note == (
        "image.npy: the order was taken on trust to be that of train.csv; it would be certain with "
        "the ImageIDs in ids.txt beside it, one a line"
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: pd.DataFrame({"id": NAMES, "vector": list(vectors()[SORTED])}).to_parquet(
            folder / "image.parquet"
        ),
        lambda folder: np.savez(folder / "image.npz", x=vectors()[SORTED], ids=np.array(NAMES)),
    ],
    ids=["parquet", "npz"],
)
def test_names_of_their_own_put_them_in_order(folder: Path, write: Callable[[Path], None]) -> None:
    write(folder)
    data = load(folder)
    np.testing.assert_array_equal(data.features.train["image"], vectors())
    assert not [note for note in data.notes if note.doubtful or "table" in note.text]


def test_a_copy_of_the_table_among_embeddings_elsewhere_does(folder: Path) -> None:
    elsewhere = folder / "embeddings"
    elsewhere.mkdir()
    np.save(elsewhere / "image.npy", vectors()[SORTED])
    pd.DataFrame({"ImageID": NAMES}).to_csv(elsewhere / "train.csv", index=False)
    data = hpo.load_data(folder, features=elsewhere, cache=folder / "cache", progress=False)
    np.testing.assert_array_equal(data.features.train["image"], vectors())


def test_rows_to_predict(folder: Path) -> None:
    np.save(folder / "image.npy", vectors())
    notes: list[Note] = []
    read_embeddings(folder, "train.csv", 4, {"image": 3}, ids=IDS, notes=notes, data=folder)
    assert str(notes[0]).startswith("image.npy: the order was taken on trust")
