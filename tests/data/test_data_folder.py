"""Data folders: what is read, and that all that is wrong is listed at once."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from opened_files import opened_files

from hpo.data import Rows, keep_rows, load_dataset, load_rows
from hpo.errors import InputError

TRAIN = "ImageID,Labels,Caption\na.png,3 1,one\nb.png,,\nc.png,10 3 3,three\n"
TEST = "Caption,ImageID\nfour,d.png\nfive,e.png\n"
IMAGES = ("a.png", "b.png", "c.png", "d.png", "e.png")


def problems_of(folder: Path, **options: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_dataset(folder, **options)  # type: ignore[arg-type]
    assert caught.value.title == f"The data folder '{folder}' has problems:"
    return caught.value.problems


def test_a_folder_is_read(make_folder) -> None:
    folder = make_folder(TRAIN, TEST, IMAGES)
    dataset = load_dataset(folder)
    data = folder / "data"
    assert dataset.root == folder
    assert dataset.train == Rows(
        ids=("a.png", "b.png", "c.png"),
        captions=("one", "", "three"),
        images=(data / "a.png", data / "b.png", data / "c.png"),
        lines=(2, 3, 4),
        table="train.csv",
    )
    assert dataset.test is not None
    assert dataset.test.captions == ("four", "five")
    assert dataset.classes == ("1", "3", "10")
    assert dataset.labels.dtype == np.uint8
    assert dataset.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert dataset.split_column is None
    assert dataset.fingerprint == hashlib.sha256(TRAIN.encode()).hexdigest()
    assert dataset.skipped == ()


def test_test_csv_and_images_are_optional(make_folder) -> None:
    dataset = load_dataset(make_folder(TRAIN), images="ignore")
    assert dataset.test is None
    assert dataset.train.images is None


@pytest.mark.parametrize(
    ("cells", "classes", "labels"),
    [
        (["1 2", " 2  10 "], ("1", "2", "10"), [[1, 1, 0], [0, 1, 1]]),
        (["cat dog", "10"], ("10", "cat", "dog"), [[0, 1, 1], [1, 0, 0]]),
        (["traffic light; dog", "dog"], ("dog", "traffic light"), [[1, 1], [1, 0]]),
        (["traffic light;", "stop sign"], ("stop sign", "traffic light"), [[0, 1], [1, 0]]),
        (["traffic light|dog", ""], ("dog", "traffic light"), [[1, 1], [0, 0]]),
        (["2 02", "-1"], ("-1", "02", "2"), [[0, 1, 1], [1, 0, 0]]),
    ],
)
def test_label_separators(
    make_folder, cells: list[str], classes: tuple[str, ...], labels: list[list[int]]
) -> None:
    text = "ImageID,Labels,Caption\n" + "".join(f"{i},{c},x\n" for i, c in enumerate(cells))
    dataset = load_dataset(make_folder(text), images="ignore")
    assert dataset.classes == classes
    assert dataset.labels.tolist() == labels


def test_ambiguous_labels_are_refused(make_folder) -> None:
    folder = make_folder("ImageID,Labels,Caption\n1,a;b,x\n2,a|b,x\n")
    assert problems_of(folder, images="ignore") == [
        "train.csv line 3: Labels 'a|b' holds '|', but ';' separates the labels elsewhere"
    ]
    folder = make_folder("ImageID,Labels,Caption\n1,,x\n")
    assert problems_of(folder, images="ignore") == [
        "train.csv: no row has a label in the column 'Labels'"
    ]


def test_all_problems_are_listed_together(make_folder) -> None:
    folder = make_folder(
        "ImageID,Labels,Caption,Split\n"
        "a.png,1,x,train\n"
        "a.png,1,x,vald\n"
        ",1,x,val\n"
        "b.png,1,x\n"
        "gone.png,2,x,val\n",
        "ImageID,Labels,Caption\na.png,,x\nd.png,7,x\n../a.png,,x\n",
        ("a.png",),
    )
    assert problems_of(folder) == [
        "train.csv line 5: 3 fields, but the header has 4 columns",
        "train.csv line 3: Split is 'vald', but must be 'train', 'val' or 'test'",
        "train.csv line 4: the ImageID is empty",
        "train.csv line 3: ImageID 'a.png' is on train.csv line 2 already",
        "test.csv line 2: ImageID 'a.png' is on train.csv line 2 already",
        "train.csv line 4: ImageID '' must be a file's path inside the data folder",
        "train.csv line 6: image 'gone.png' is not in data/, images/ or the data folder itself",
        "test.csv line 3: image 'd.png' is not in data/, images/ or the data folder itself",
        "test.csv line 4: ImageID '../a.png' must be a file's path inside the data folder; there "
        "is 'data/a.png'",
    ]


def test_long_lists_are_cut_but_every_kind_is_shown(make_folder) -> None:
    rows = "".join(f"{i}.png,1,x\n" for i in range(1000)) + "7.png,1,x\n"
    found = problems_of(make_folder("ImageID,Labels,Caption\n" + rows), images="exist")
    assert len(found) == 21
    assert found[0] == "train.csv line 1002: ImageID '7.png' is on train.csv line 9 already"
    assert found[-2] == "... and 983 more like the last one"
    assert found[-1] == "no row has an image; --modalities text reads captions alone"


def test_missing_folder_and_files(make_folder, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert problems_of(gone) == [f"'{gone}' is not a folder, but must be one that holds train.csv"]
    assert problems_of(tmp_path) == ["there is no file train.csv, nor another table"]
    (tmp_path / "trian.csv").write_text(TRAIN)
    (tmp_path / "more.tsv").write_text(TRAIN)
    (tmp_path / "test.csv").write_text("ImageID\n")
    assert problems_of(tmp_path) == [
        "there is no file train.csv (did you mean 'trian.csv'?); there are more.tsv, test.csv, "
        "trian.csv",
        "test.csv has a header but no rows",
    ]


@pytest.mark.parametrize("where", ["data", "images", "."])
def test_places_for_images(make_folder, where: str) -> None:
    folder = make_folder(TRAIN, images=("a.png", "b.png", "c.png"), where=where)
    images = load_dataset(folder, images="exist").train.images
    assert images == tuple(folder / where / name for name in ("a.png", "b.png", "c.png"))


def test_ids_without_suffix_get_the_one_that_there_is(make_folder) -> None:
    text = "ImageID,Labels,Caption\na,1,x\nb,2,y\n"
    folder = make_folder(text, images=("a.png", "b.JPG"))
    dataset = load_dataset(folder)
    assert dataset.train.ids == ("a", "b")
    assert dataset.train.images == (folder / "data" / "a.png", folder / "data" / "b.JPG")
    assert [str(note) for note in dataset.notes] == [
        "train.csv: 1 images have '.png' after their ImageID",
        "train.csv: 1 images have '.JPG' after their ImageID",
    ]
    (folder / "data" / "a.jpg").touch()
    assert problems_of(folder) == [
        "train.csv line 2: image 'a' may be 'a.jpg' and 'a.png'; add the suffix"
    ]


def test_no_image_is_opened(make_folder) -> None:
    """Whether an image is whole is found when it is encoded, which reads it anyway."""
    folder = make_folder(TRAIN, TEST, IMAGES)
    (folder / "data" / "a.png").write_bytes(b"no image")
    with opened_files() as opened:
        assert load_dataset(folder).skipped == ()
        assert load_rows(folder).ids == ("d.png", "e.png")
    assert opened == {f"{folder}/train.csv": 1, f"{folder}/test.csv": 2}


def test_missing_images_have_their_lines(make_folder) -> None:
    folder = make_folder(TRAIN, TEST, ("a.png", "c.png", "e.png"))
    where = "is not in data/, images/ or the data folder itself"
    assert problems_of(folder) == [
        f"train.csv line 3: image 'b.png' {where}",
        f"test.csv line 2: image 'd.png' {where}",
    ]


def test_embeddings_in_place_of_images_are_pointed_to(make_folder) -> None:
    folder = make_folder(TRAIN, TEST, ())
    arrays = folder / "my features"
    arrays.mkdir()
    (arrays / "image.npy").touch()
    said = (
        f"my features/ has arrays; --features '{arrays}' reads them as embeddings, in place of the "
        "images"
    )
    assert problems_of(folder)[-1] == said
    with pytest.raises(InputError) as caught:
        load_rows(folder)  # as predict reads them
    assert caught.value.problems[-1] == said


def test_bad_images_can_be_skipped(make_folder) -> None:
    text = TRAIN.replace("Caption\n", "Caption,Split\n").replace("one\n", "one,val\n")
    text = text.replace(",,\n", ",,,train\n").replace("three\n", "three,train\n")
    folder = make_folder(text, TEST, ("a.png", "b.png", "c.png", "e.png"))
    (folder / "data" / "b.png").unlink()
    dataset = load_dataset(folder, skip_bad_images=True)
    assert dataset.skipped == ("b.png", "d.png")
    assert dataset.train.ids == ("a.png", "c.png")
    assert dataset.train.lines == (2, 4)
    assert dataset.labels.tolist() == [[1, 1, 0], [0, 1, 1]]
    assert dataset.split_column == ("val", "train")
    assert dataset.fingerprint == hashlib.sha256(text.encode()).hexdigest()
    assert dataset.test is not None
    assert dataset.test.captions == ("five",)


def test_keeping_no_row_is_refused(make_folder) -> None:
    dataset = load_dataset(make_folder(TRAIN), images="ignore")
    kept = keep_rows(dataset, np.array([True, False, True]), None)
    assert kept.train.ids == ("a.png", "c.png")
    assert kept.classes == dataset.classes
    with pytest.raises(InputError, match=r"train\.csv: all 3 rows are left out, but one must be"):
        keep_rows(dataset, np.zeros(3, dtype=bool), None)


def test_rows_to_predict_need_no_labels(make_folder) -> None:
    assert load_rows(make_folder("ImageID,Caption\na,x\n"), images="ignore").ids == ("a",)
    folder = make_folder(TRAIN, TEST, ("d.png", "e.png"))
    rows = load_rows(folder)
    assert rows.ids == ("d.png", "e.png")
    assert rows.images == (folder / "data" / "d.png", folder / "data" / "e.png")
    (folder / "data" / "e.png").unlink()
    with pytest.raises(InputError, match=r"test\.csv line 3: image 'e\.png' is not in data/"):
        load_rows(folder)
    rows = load_rows(folder, skip_bad_images=True)
    assert rows.ids == ("d.png", "e.png")
    assert rows.images is not None and not rows.images[1].exists()
