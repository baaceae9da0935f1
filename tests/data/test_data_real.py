"""The paper's own files, checked against facts established without this reader."""

import csv
import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpo.data import Dataset, TailSplit, load_dataset, make_split

SHARED = Path(__file__).resolve().parents[3] / "shared"
FOLDER = SHARED / "datasets" / "comp5329"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the paper's dataset is not here")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset(FOLDER, images="ignore")


def test_every_row_is_read_once(dataset: Dataset) -> None:
    assert dataset.train.ids == tuple(f"{i}.jpg" for i in range(30_000))
    assert dataset.test is not None
    assert dataset.test.ids == tuple(f"{i}.jpg" for i in range(30_000, 40_000))


def test_the_records_written_again_are_the_file(dataset: Dataset) -> None:
    # In both files every caption stands in quotes, and nothing in it is escaped.
    text = (FOLDER / "train.csv").read_bytes().decode()
    labels = re.findall(r'^\d+\.jpg,([\d ]*),"', text, re.MULTILINE)
    rows = zip(dataset.train.ids, labels, dataset.train.captions, strict=True)
    again = "".join(f'{image_id},{cell},"{caption}"\n' for image_id, cell, caption in rows)
    assert text == "ImageID,Labels,Caption\n" + again
    for cell, row in zip(labels, dataset.labels, strict=True):
        assert set(cell.split()) == {dataset.classes[k] for k in np.flatnonzero(row)}
    assert dataset.test is not None
    rows = zip(dataset.test.ids, dataset.test.captions, strict=True)
    again = "".join(f'{image_id},"{caption}"\n' for image_id, caption in rows)
    assert (FOLDER / "test.csv").read_bytes().decode() == "ImageID,Caption\n" + again


def test_malformed_captions_are_whole(dataset: Dataset) -> None:
    captions = dataset.train.captions
    assert sum('"' in caption for caption in captions) == 82
    assert sum(caption.count("\n") for caption in captions) == 17
    assert captions[2259] == "Men loading up a van with bags and suitcases.\n."
    assert captions[3274] == 'A lamppost with a sign that reads "no heavy trucking."'
    assert captions[4281] == 'A fire hydrant that reads " Make Love To Iraq " .'
    assert captions[9084] == (
        'A street sign labeled "Seltzer Way," with a red fire hydrant in the foreground and a '
        "street stretching into the background."
    )
    assert captions[24624] == (
        "A couple of men standing around an exercise w" + 14 * "\n" + "A couple of men standing "
        "and sitting around an exercise bike with a green neon light."
    )
    assert dataset.test is not None
    assert dataset.test.captions[8213] == 'The hand drawn stop sign says, "Stop Harper."'
    assert dataset.train.lines[-1] == 30_001 + 17


def test_class_counts_and_the_constant_prediction(dataset: Dataset) -> None:
    assert dataset.classes == tuple(str(k) for k in range(1, 20) if k != 12)
    counts = "22797 1164 4365 1272 1132 1395 1221 2210 1042 1471 604 605 252 1934 1099 1430 1525"
    assert dataset.labels.sum(axis=0).tolist() == [int(n) for n in f"{counts} 1020".split()]
    val = dataset.labels[make_split(dataset, TailSplit(kind="tail", val_rows=5000))["val"]]
    assert len(val) == 5000
    # Predicting {1} for every row: micro-F1 is 2 TP / (predicted + true).
    assert 100 * 2 * val[:, 0].sum() / (len(val) + val.sum()) == pytest.approx(59.163, abs=5e-4)


def test_loading_is_fast() -> None:
    """In processor time, beside that of Python's own reader on the same two files."""

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    def rows_of_csv() -> None:
        for name in ("train.csv", "test.csv"):
            with (FOLDER / name).open(newline="", encoding="utf-8") as file:
                deque(csv.reader(file), maxlen=0)

    def ours() -> None:
        load_dataset(FOLDER, images="ignore")

    # About 20 times as much, with the labels read and all of it checked.
    ratio = min(seconds(ours) for _ in range(5)) / min(seconds(rows_of_csv) for _ in range(9))
    assert ratio < 45


def test_the_images_that_are_here_are_found(tmp_path: Path) -> None:
    header, *lines = (FOLDER / "train.csv").read_text().split("\n")[:200]
    (tmp_path / "train.csv").write_text("\n".join([header, *lines]) + "\n")
    (tmp_path / "data").symlink_to(FOLDER / "data")
    images = load_dataset(tmp_path).train.images
    assert images is not None
    assert images[7] == tmp_path / "data" / "7.jpg"
