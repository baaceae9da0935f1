"""What the winner gets wrong, in files and tables."""

import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import log_loss

from hpo.data import Rows
from hpo.report import RowFacts
from hpo.report._errors import bring_errors, error_tables, row_losses, write_errors

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
        "labels": "cat 0.200",
        "predicted": "dog 0.700",
        "missed": "cat 0.200",
        "too many": "dog 0.700",
        "loss": f"{row_losses(BEST, TRUTH)[2]:.5f}",
        "least_loss": f"{row_losses(OTHER, TRUTH)[2]:.5f}",
        "caption": "",
        "thumbnail": "",
    }


def test_pairs_of_classes(folder: Path) -> None:
    assert rows_of(folder / "confusions.csv") == [
        {"missed": "bird", "predicted instead": "dog", "rows": "1"},
        {"missed": "cat", "predicted instead": "dog", "rows": "1"},
    ]


def test_rows_that_all_get_wrong_are_a_table_of_their_own(folder: Path) -> None:
    worst, doubtful, confused = error_tables(folder)
    assert [row[0] for row in worst.rows] == ["d", "c", "b", "a"]
    assert worst.head == ("row", "labels", "predicted", "loss")
    assert worst.numbers == (False, False, False, True)
    assert worst.rows[1][1:3] == ("cat 0.200 (missed)", "dog 0.700 (too many)")
    assert worst.rows[2][1:3] == ("dog 0.800", "dog 0.800")
    assert worst.pictures == ()
    assert [row[0] for row in doubtful.rows] == ["d", "b", "a", "c"]
    assert [row[0] for row in confused.rows] == ["bird", "cat"]
    assert error_tables(folder / "nowhere") == []


@pytest.fixture
def pictured(tmp_path: Path) -> Path:
    """Errors of rows with captions, of which one has a picture that is whole, and one a damaged."""
    data = tmp_path / "data"
    data.mkdir()
    Image.new("RGB", (400, 300), (200, 30, 30)).save(data / "b.jpg")
    Image.new("RGBA", (30, 60), (0, 0, 0, 0)).save(data / "c.png")
    (data / "d.jpg").write_bytes(b"no picture")
    ids = ("a.jpg", "b.jpg", "c.png", "d.jpg")
    captions = ("a\ncat", "a <dog>", "x" * 300, "")
    known = RowFacts(Rows(ids, captions, None), tmp_path)
    write_errors(
        tmp_path / "report",
        ids,
        CLASSES,
        TRUTH,
        BEST,
        [OTHER],
        (0.5, 0.6, 0.5),
        captions=[known.caption(row) for row in range(4)],
        pictures=known.thumbnails,
    )
    return tmp_path / "report"


def test_rows_have_their_captions_and_pictures(pictured: Path) -> None:
    worst, doubtful, _ = error_tables(pictured)
    assert worst.head == ("row", "caption", "labels", "predicted", "loss")
    by_id = {
        row[0]: (row, picture) for row, picture in zip(worst.rows, worst.pictures, strict=True)
    }
    assert by_id["a.jpg"][0][1] == "a cat"
    assert by_id["c.png"][0][1] == "x" * 200 + "…"
    sizes = {}
    for name in ("b.jpg", "c.png"):
        kind, _, content = by_id[name][1].partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            sizes[name] = image.size
            assert image.mode == "RGB"
            corner = image.getpixel((0, 0))
            assert isinstance(corner, tuple)
            expected = (200, 30, 30) if name == "b.jpg" else (255, 255, 255)  # over white
            assert max(abs(a - b) for a, b in zip(corner, expected, strict=True)) < 8
    assert sizes == {"b.jpg": (160, 120), "c.png": (30, 60)}
    assert by_id["a.jpg"][1] == by_id["d.jpg"][1] == ""  # none there, none that can be read
    assert [picture != "" for picture in doubtful.pictures] == [
        row[0] in sizes for row in doubtful.rows
    ]


def test_errors_can_be_brought_to_another_report(pictured: Path, tmp_path: Path) -> None:
    bring_errors(pictured, tmp_path / "other")
    assert error_tables(tmp_path / "other") == error_tables(pictured)


def test_pictures_of_earlier_rows_are_gone(pictured: Path) -> None:
    assert len(list((pictured / "thumbnails").iterdir())) == 2
    write_errors(pictured, ["a", "b", "c", "d"], CLASSES, TRUTH, BEST, [OTHER], (0.5, 0.6, 0.5))
    assert list((pictured / "thumbnails").iterdir()) == []
