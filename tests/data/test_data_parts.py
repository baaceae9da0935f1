"""Labelled rows, rows to predict, and rows with one modality alone."""

from pathlib import Path

import pytest
from data_samples import NAMES, notes, problems_of, read, said, write_images

from hpo.data import kinds_there, load_dataset


def test_labelled_rows_to_predict_are_the_untouched_part(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        "ImageID,Labels,Caption\na,traffic light;,x\nb,dog;,y\nc,dog;traffic light,z\n"
    )
    (tmp_path / "test.csv").write_text("ImageID,Labels,Caption\nd,traffic light,x\ne,cat;dog,y\n")
    dataset = load_dataset(tmp_path, images="ignore")
    assert dataset.classes == ("dog", "traffic light")
    assert dataset.labels.tolist() == [[0, 1], [1, 0], [1, 1]]
    assert dataset.test_labels is not None
    assert dataset.test_labels.tolist() == [[0, 1], [1, 0]]
    assert [(note.doubtful, str(note)) for note in said(dataset)] == [
        (
            False,
            "test.csv has labels: its 2 rows are the untouched test part, which scores the model "
            "at the end",
        ),
        (
            True,
            "test.csv: 1 classes that no other row has are left out of the labels of 1 rows: 'cat'",
        ),
    ]


def test_one_modality_needs_no_empty_column(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Labels,Caption\nx,one\ny,two\n")
    (tmp_path / "test.csv").write_text("Caption\nthree\n")
    dataset = read(tmp_path)
    assert dataset.has == ("captions",) == kinds_there(tmp_path)
    assert dataset.train.ids == ("0", "1") and dataset.train.images is None
    assert dataset.test is not None and dataset.test.captions == ("three",)
    write_images(tmp_path / "images", NAMES[:2])
    (tmp_path / "train.csv").write_text("ImageID,Labels\n0.png,x\n1.png,y\n")
    (tmp_path / "test.csv").write_text("ImageID\n0.png\n")
    found = problems_of(tmp_path)
    assert found == ["test.csv line 2: ImageID '0.png' is on train.csv line 2 already"]
    (tmp_path / "train.csv").write_text("ImageID,Labels,Caption\n1.png,y,one\n")
    assert problems_of(tmp_path) == [
        "test.csv has no column of captions, but train.csv has one; --modalities image does without"
    ]
    dataset = read(tmp_path, optional=("captions",))
    assert dataset.has == ("images",)


def test_no_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("ImageID,Labels,Caption\na.png,x,one\nb.png,y,two\n")
    found = problems_of(tmp_path)
    assert len(found) == 3
    assert found[2] == "no row has an image; --modalities text reads captions alone"
    dataset = read(tmp_path, optional=("images",))
    assert dataset.has == ("captions",) and dataset.train.images is None
    assert notes(dataset) == ["no row has an image, and nothing here reads one"]


@pytest.mark.parametrize(
    ("test", "said_of_it"),
    [
        (
            "ImageID,label,Caption\n9.png,cat,x\n",
            "test.csv: 'label' isn't read, but may be the column of labels, which is called "
            "'Labels' elsewhere; name it so, or delete it",
        ),
        ("ImageID,Caption,note\n9.png,x,y\n", None),
    ],
)
def test_labels_to_predict_under_another_name_are_told(
    tmp_path: Path, test: str, said_of_it: str | None
) -> None:
    (tmp_path / "train.csv").write_text("ImageID,Labels,Caption\n0.png,cat,a\n1.png,dog,b\n")
    (tmp_path / "test.csv").write_text(test)
    dataset = load_dataset(tmp_path, images="ignore")
    assert dataset.test_labels is None
    doubts = [note.text for note in dataset.notes if note.doubtful]
    assert doubts == ([] if said_of_it is None else [said_of_it])


def test_a_part_of_the_columns_of_classes_is_told(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("ImageID,cat,dog,Caption\n0.png,1,0,a\n1.png,0,1,b\n")
    (tmp_path / "test.csv").write_text("ImageID,cat,Caption\n9.png,1,x\n")
    doubts = [note.text for note in load_dataset(tmp_path, images="ignore").notes if note.doubtful]
    assert doubts == [
        "test.csv has 1 of the 2 columns of labels and lacks 'dog', so its labels aren't read; add "
        "these, or delete the others"
    ]
