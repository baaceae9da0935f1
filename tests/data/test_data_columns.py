"""Which columns of a table are what."""

from pathlib import Path

import pandas as pd
import pytest
from data_samples import (
    CAPTIONS,
    CLASSES,
    MATRIX,
    NAMES,
    notes,
    one_hot,
    problems_of,
    read,
    said,
    texts,
    write_images,
)

from hpo.data import kinds_there, parse_columns
from hpo.errors import InputError


def test_columns_that_are_named(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    odd = {"where": NAMES, "what": CAPTIONS, "alt": CAPTIONS[::-1], "kind": texts(), "n": range(4)}
    pd.DataFrame(odd).to_csv(tmp_path / "train.csv", index=False)
    assert problems_of(tmp_path) == [
        "train.csv has no column of labels; say which it is with --columns labels=…; its columns "
        "are 'where', 'what', 'alt', 'kind', 'n'"
    ]
    dataset = read(tmp_path, "image=where,caption=WHAT,labels=kind")
    assert dataset.train.ids == NAMES and dataset.train.captions == CAPTIONS
    assert dataset.labels.tolist() == MATRIX
    named = read(tmp_path, "image=where,caption=what,labels=kind,id=n")
    assert named.train.ids == ("0", "1", "2", "3")
    assert named.train.images == dataset.train.images
    both = read(tmp_path, "image=where,caption=what,alt,labels=kind")
    assert both.train.captions == CAPTIONS
    assert both.train.further == tuple((text,) for text in CAPTIONS[::-1])
    assert problems_of(tmp_path, "image=where,caption=waht,labels=kind") == [
        "train.csv has no column 'waht' (did you mean 'what'?); its columns are 'where', 'what', "
        "'alt', 'kind', 'n'"
    ]


def test_columns_of_classes_that_are_named(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    table = one_hot().assign(width=640)
    table.to_csv(tmp_path / "train.csv", index=False)
    assert len(problems_of(tmp_path)) == 1
    dataset = read(tmp_path, "labels=bird,cat,dog")
    assert dataset.classes == CLASSES and dataset.labels.tolist() == MATRIX
    table.drop(columns="width").to_csv(tmp_path / "train.csv", index=False)
    assert read(tmp_path, "labels=*").labels.tolist() == MATRIX
    found = read(tmp_path)
    assert found.labels.tolist() == MATRIX
    assert notes(found) == [
        "train.csv: the labels are its 3 columns of zeros and ones, 'bird', 'cat', 'dog'"
    ]
    table.assign(cat=[0, 1, 2, "x"]).to_csv(tmp_path / "train.csv", index=False)
    assert problems_of(tmp_path, "labels=bird,cat,dog") == [
        "train.csv line 4: class 'cat' is '2', but must be 0 or 1",
        "train.csv line 5: class 'cat' is 'x', but must be 0 or 1",
    ]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("path", ["--columns is 'path', but must be such as image=path,caption=text,labels=tags"]),
        (
            "imgae=path,caption=",
            [
                "--columns: there is no kind 'imgae' (did you mean 'image'?); the kinds are image, "
                "caption, labels, split, id",
                "--columns: no column is named for 'caption'",
            ],
        ),
        ("split=a,b", ["--columns: split has 2 columns, but must have one"]),
    ],
)
def test_what_columns_must_look_like(text: str, problems: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_columns(text)
    assert caught.value.problems == problems


def test_columns_of_which_several_may_be_meant(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    table = pd.DataFrame({"file": NAMES, "path": NAMES, "filename": NAMES, "label": texts()})
    table.to_csv(tmp_path / "train.csv", index=False)
    assert problems_of(tmp_path) == [
        "train.csv has the columns 'file', 'filename', each of which may hold the image; say which "
        "does with --columns image=file"
    ]
    assert read(tmp_path, "image=filename").train.ids == NAMES
    table = pd.DataFrame({"image_id": list("abcd"), "image": NAMES, "label": texts()})
    table.to_csv(tmp_path / "train.csv", index=False)
    dataset = read(tmp_path)
    assert dataset.train.ids == ("a", "b", "c", "d")
    assert dataset.train.images == tuple(tmp_path / "images" / name for name in NAMES)
    assert dataset.has == ("images",) == kinds_there(tmp_path)


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("ImageID,Labels,Capton,width\n0.png,x,one,8\n")
    write_images(tmp_path)
    assert [(note.doubtful, str(note)) for note in said(read(tmp_path))] == [
        (
            True,
            "train.csv: 'Capton' isn't read, but may be the column of captions; say it with "
            "--columns caption=Capton, or rename it",
        ),
        (False, "train.csv: 2 columns aren't read: 'Capton', 'width'"),
    ]


def test_a_misspelt_column_of_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("ImageID,Lables,Caption\n0.png,x,one\n")
    assert problems_of(tmp_path) == [
        "train.csv has no column of labels; say which it is with --columns labels=Lables; its "
        "columns are 'ImageID', 'Lables', 'Caption'"
    ]


def test_empty_rows_at_the_end_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("ImageID,Labels\n0.png,x\n1.png,\n,\n,\n")
    write_images(tmp_path)
    dataset = read(tmp_path)
    assert dataset.train.ids == ("0.png", "1.png") and dataset.train.lines == (2, 3)
    assert notes(dataset)[0] == "train.csv: 2 rows at its end are empty, and left out"


def test_names_of_rows_without_images(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,Labels,Caption\n7,x,one\n9,y,two\n")
    assert read(tmp_path).train.ids == ("7", "9")
    (tmp_path / "train.csv").write_text("id,Labels,Caption\n7,x,one\n7,y,two\n")
    assert read(tmp_path).train.ids == ("0", "1")


def test_names_and_captions_that_programs_spoilt(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,Labels,Caption\n1.39E+11,x,nan\n2.8E+11,y,two\n")
    assert [str(note) for note in said(read(tmp_path)) if note.doubtful] == [
        "train.csv: 2 names such as '1.39E+11' look like numbers that a spreadsheet has rounded",
        "train.csv: 1 captions say 'nan', and are read as such; leave them empty if there is none",
    ]


def test_rows_without_a_caption_are_counted(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,Labels,Caption\n1,x,\n2,y,two\n3,y,  \n")
    assert "train.csv: 2 of 3 rows have no caption" in [str(note) for note in said(read(tmp_path))]


def test_parts_in_a_column_by_any_of_their_names(tmp_path: Path) -> None:
    write_images(tmp_path)
    parts = ("Train", "train", "Validation", "TEST")
    table = pd.DataFrame({"image": NAMES, "labels": texts(), "Split": parts})
    table.to_csv(tmp_path / "train.csv", index=False)
    assert read(tmp_path).split_column == ("train", "train", "val", "test")
    table.assign(Split="restval").to_csv(tmp_path / "train.csv", index=False)
    assert problems_of(tmp_path)[0] == (
        "train.csv line 2: Split is 'restval', but must be 'train', 'val' or 'test'"
    )


def test_columns_of_captions_that_a_number_tells_apart(tmp_path: Path) -> None:
    table = pd.DataFrame({"caption_1": ["a", "b"], "caption_2": ["c", "d"], "label": ["x", "y"]})
    table.to_csv(tmp_path / "train.csv", index=False)
    dataset = read(tmp_path, captions="mean")
    assert dataset.train.captions == ("a", "b") and dataset.train.further == (("c",), ("d",))
    assert not any(note.doubtful for note in dataset.notes)
    assert read(tmp_path, "caption=caption_2").train.captions == ("c", "d")
    table.rename(columns={"caption_1": "text1"}).to_csv(tmp_path / "train.csv", index=False)
    assert problems_of(tmp_path) == [
        "train.csv has neither a column of images nor one of captions; say which it is with "
        "--columns image=… or --columns caption=…"
    ]


def test_columns_of_zeros_and_ones_beside_others_are_named(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Caption,width,cat,dog\na,640,1,0\nb,480,0,1\n")
    assert problems_of(tmp_path) == [
        "train.csv has no column of labels; say which it is with --columns labels=…; 'cat', 'dog' "
        "have zeros and ones alone; its columns are 'Caption', 'width', 'cat', 'dog'"
    ]
