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


# --- validation rows in a table of their own


def test_columns_of_classes_may_have_another_order_in_each_table(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Caption,cat,dog\na,1,0\nb,0,1\n")
    (tmp_path / "val.csv").write_text("Caption,dog,cat\nc,0,1\nd,0,1\n")
    (tmp_path / "test.csv").write_text("dog,cat,Caption\n1,0,e\n")
    dataset = read(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]
    assert dataset.test_labels is not None and dataset.test_labels.tolist() == [[0, 1]]
    assert read(tmp_path, "labels=*").labels.tolist() == dataset.labels.tolist()


@pytest.mark.parametrize(
    ("train", "val", "problem"),
    [
        (
            "Caption,cat,dog,owl\na,1,0,0\nb,0,1,1\n",
            "Caption,dog,cat\nc,0,1\n",
            "val.csv lacks 'owl' of the columns of labels that train.csv has; add them, with zeros "
            "if no row has the class",
        ),
        (
            "Caption,cat,dog\na,1,0\nb,0,1\n",
            "Caption,Labels\nc,cat\n",
            "val.csv has its labels in 'Labels', but train.csv has them in 'cat', 'dog'; write "
            "both in one way",
        ),
        (
            "Caption,Labels\na,cat\nb,dog\n",
            "Caption,cat,dog\nc,1,0\n",
            "val.csv has its labels in 'cat', 'dog', but train.csv has them in 'Labels'; write "
            "both in one way",
        ),
    ],
)
def test_tables_whose_labels_are_written_otherwise(
    tmp_path: Path, train: str, val: str, problem: str
) -> None:
    (tmp_path / "train.csv").write_text(train)
    (tmp_path / "val.csv").write_text(val)
    assert problems_of(tmp_path) == [problem]


def test_a_class_of_validation_rows_alone_is_doubtful(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Caption,cat,dog\na,1,0\nb,0,1\n")
    (tmp_path / "val.csv").write_text("Caption,cat,dog,owl\nc,1,0,1\n")
    dataset = read(tmp_path)
    assert dataset.labels.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert [str(note) for note in dataset.notes if note.doubtful] == [
        "val.csv: 'owl' may be classes, but train.csv has no such columns, so they aren't read; "
        "add them to train.csv, with zeros if no row has the class"
    ]


# --- what else says of which part rows are


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_table_of_one_part_has_no_rows_of_another(tmp_path: Path, part: str) -> None:
    (tmp_path / "train.csv").write_text("Labels,Caption,Split\nx,a,train\ny,b,training\n")
    (tmp_path / f"{part}.csv").write_text(f"Labels,Caption,Split\nx,c,{part}\ny,d,train\n")
    assert problems_of(tmp_path) == [
        f"{part}.csv line 3: Split is 'train', but the rows of {part}.csv are '{part}'; delete the "
        "column, or put all rows into one table"
    ]
    (tmp_path / f"{part}.csv").write_text(f"Labels,Caption,Split\nx,c,{part}\n")
    assert not any(note.doubtful for note in said(read(tmp_path)))


def test_columns_that_may_divide_the_rows_are_doubtful(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        "Labels,Caption,set,is_valid,use\nx,a,train,True,dev\ny,b,Validation,False,prod\n"
    )
    assert [str(note) for note in read(tmp_path).notes if note.doubtful] == [
        "train.csv: 'set' isn't read, but has a part on each row; say it with --columns split=set, "
        "or delete it",
        "train.csv: 'is_valid' isn't read, but may say of which part each row is; write a column "
        "Split with train, val or test in its place, or delete it",
    ]
    assert read(tmp_path, "split=set").split_column == ("train", "val")


def test_tables_that_are_not_read_are_told_of(tmp_path: Path) -> None:
    for name in ("train.csv", "dev.csv", "val.csv", "eval_2.csv", "labels.tsv", "a.json"):
        (tmp_path / name).write_text(f"Labels,Caption\nx,{name}\ny,two\n")
    dataset = read(tmp_path)
    assert dataset.train.captions == ("train.csv", "two", "val.csv", "two")
    assert [(note.doubtful, str(note)) for note in said(dataset)] == [
        (
            True,
            "eval_2.csv isn't read, but may be of a part; put its rows into the table of the part "
            "(train, val or test), or move it away",
        ),
        (False, "a.json, labels.tsv: not read as a table, as no part is called so"),
        (True, "dev.csv is there too and isn't read, but val.csv is; move one"),
    ]


def test_what_there_is_in_place_of_a_table(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", NAMES)
    assert problems_of(tmp_path) == [
        "there is no file train.csv, nor another table, but 4 images; write a table with the "
        "columns image (such as cats/0.png) and labels; names of folders aren't read as labels"
    ]
    (tmp_path / "csv").mkdir()
    for name in ("b.csv", "train.csv"):
        (tmp_path / "csv" / name).touch()
    assert problems_of(tmp_path) == [
        "there is no file train.csv, but 'csv/b.csv' (and 1 more); move it up, "
        "beside the folders of the images, or give the folder that it is in"
    ]
    (tmp_path / "train.txt").touch()
    assert problems_of(tmp_path) == [
        "there is no file train.csv (did you mean 'train.txt'?); there are train.txt; tables end "
        "in .csv or .tsv, not in .txt"
    ]


def test_images_to_predict_without_a_table(tmp_path: Path) -> None:
    write_images(tmp_path / "train")
    write_images(tmp_path / "test", ("0.png", "5.png"))
    (tmp_path / "train.csv").write_text("image,labels\n0.png,x\n1.png,y\n")
    assert notes(read(tmp_path)) == [
        "test/ has 2 images, but no table has rows to predict; `hpo predict --images` labels them"
    ]
    assert notes(read(tmp_path, skip_test=True)) == []
    (tmp_path / "train.csv").write_text("image,labels\n0.png,x\ntest/0.png,y\ntest/5.png,y\n")
    assert notes(read(tmp_path)) == []


def test_a_table_in_the_place_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "train.csv").touch()
    assert problems_of(tmp_path / "train.csv") == [
        f"'{tmp_path}/train.csv' is not a folder, but must be one that holds train.csv; give "
        f"'{tmp_path}'"
    ]
