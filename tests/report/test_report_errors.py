"""What the winner gets wrong, in files and tables."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss

from hpo.report._errors import error_tables, row_losses, write_errors

CLASSES = ("cat", "dog", "bird")
TRUTH = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=bool)
BEST = np.array(
    [[0.9, 0.2, 0.1], [0.3, 0.8, 0.1], [0.2, 0.7, 0.1], [0.1, 0.9, 0.05]], dtype=np.float32
)
#: Knows the third row.
OTHER = np.array(
    [[0.6, 0.4, 0.1], [0.3, 0.6, 0.1], [0.95, 0.02, 0.02], [0.2, 0.8, 0.1]], dtype=np.float32
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_errors(tmp_path, ["a", "b", "c", "d"], CLASSES, TRUTH, BEST, [OTHER], (0.5, 0.6, 0.5))
    return tmp_path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_losses_are_those_of_scikit_learn() -> None:
    expected = [
        np.mean([log_loss([t], [[1 - p, p]], labels=[0, 1]) for t, p in zip(*row, strict=True)])
        for row in zip(TRUTH, BEST.astype(np.float64), strict=True)
    ]
    assert row_losses(BEST, TRUTH) == pytest.approx(expected)


def test_the_worst_row_is_first(folder: Path) -> None:
    rows = rows_of(folder / "errors.csv")
    assert [row["ImageID"] for row in rows] == ["d", "c", "b", "a"]
    assert rows[1] == {
        "ImageID": "c",
        "labels": "cat",
        "predicted": "dog 0.700",
        "missed": "cat 0.200",
        "too many": "dog 0.700",
        "loss": f"{row_losses(BEST, TRUTH)[2]:.5f}",
        "least_loss": f"{row_losses(OTHER, TRUTH)[2]:.5f}",
    }


def test_pairs_of_classes(folder: Path) -> None:
    assert rows_of(folder / "confusions.csv") == [
        {"missed": "bird", "predicted instead": "dog", "rows": "1"},
        {"missed": "cat", "predicted instead": "dog", "rows": "1"},
    ]


def test_rows_that_all_get_wrong_are_a_table_of_their_own(folder: Path) -> None:
    worst, doubtful, confused = error_tables(folder)
    assert [row[0] for row in worst.rows] == ["d", "c", "b", "a"]
    assert worst.numbers == (False, False, False, True)
    assert [row[0] for row in doubtful.rows] == ["d", "b", "a", "c"]
    assert [row[0] for row in confused.rows] == ["bird", "cat"]
    assert error_tables(folder / "nowhere") == []
