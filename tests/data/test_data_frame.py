"""DataFrames and arrays as data sets: each form of labels, and what is refused in which words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpo.data import Dataset, LabelsAs, TailSplit, dataset_of_arrays, dataset_of_frame, make_split
from hpo.errors import InputError


def frame_of(labels: object, **more: object) -> pd.DataFrame:
    return pd.DataFrame({"ImageID": ["a.jpg", "b.jpg", "c.jpg"], "Labels": labels, **more})


def problems_of(*arguments: object, **options: object) -> list[str]:
    options = {"images": "ignore", **options}
    with pytest.raises(InputError) as caught:
        dataset_of_frame(*arguments, **options)  # type: ignore[arg-type]
    assert caught.value.title == "The data has problems:"
    return caught.value.problems


def labelled(dataset: Dataset) -> list[list[str]]:
    return [[dataset.classes[k] for k in np.flatnonzero(row)] for row in dataset.labels]


@pytest.mark.parametrize(
    "labels",
    [
        [["10", "2"], [], ["2"]],
        [("10", "2"), (), ("2",)],
        [{"10", "2"}, set(), {"2"}],
        [[10, 2], [], [2]],
        [np.array([10, 2]), np.array([], int), np.array([2])],
        ["10 2", "", "2"],
        ["10;2", None, "2"],
        ["2|10", float("nan"), "2"],
        [[10, 2], None, 2],
    ],
)
def test_labels_in_one_column(labels: object) -> None:
    dataset = dataset_of_frame(frame_of(labels), images="ignore")
    assert dataset.classes == ("2", "10")
    assert labelled(dataset) == [["2", "10"], [], ["2"]]
    assert dataset.labels.dtype == np.uint8
    assert dataset.root is None and dataset.test is None and dataset.split_column is None


@pytest.mark.parametrize("dtype", ["bool", "int64", "float32"])
def test_labels_in_a_column_a_class(dtype: str) -> None:
    frame = pd.DataFrame({"file": ["a", "b"], "dog": [1, 0], "a cat": [1, 1]})
    frame = frame.astype({"dog": dtype})
    dataset = dataset_of_frame(frame, columns={"labels": ["dog", "a cat"]}, images="ignore")
    assert dataset.classes == ("dog", "a cat")
    assert dataset.labels.tolist() == [[1, 1], [0, 1]]


def test_everything_else_of_a_frame() -> None:
    frame = frame_of(
        [["x"], ["x", "y"], ["y"]], TEXT=["one", None, "three"], split=["val", "train", "train"]
    )
    test = pd.DataFrame({"filename": ["d.jpg"], "caption": ["four"]}, index=[7])
    dataset = dataset_of_frame(frame, test=test, images="ignore")
    assert dataset.train.ids == ("a.jpg", "b.jpg", "c.jpg")
    assert dataset.train.captions == ("one", "", "three")
    assert dataset.split_column == ("val", "train", "train")
    assert dataset.test is not None
    assert (dataset.test.ids, dataset.test.captions) == (("d.jpg",), ("four",))
    named = frame.rename(columns={"ImageID": "where", "TEXT": "what", "Labels": "which"})
    columns = {"image": "where", "caption": "what", "labels": "which"}
    again = dataset_of_frame(named, columns=columns, images="ignore")
    assert again.train == dataset.train and again.fingerprint == dataset.fingerprint
    other = dataset_of_frame(frame.assign(TEXT="same"), images="ignore")
    assert other.fingerprint != dataset.fingerprint


def test_without_images_the_index_names_the_rows() -> None:
    frame = pd.DataFrame({"caption": ["a", "b"], "tags": ["x", "y"]}, index=[4, 2])
    dataset = dataset_of_frame(frame)
    assert dataset.train.ids == ("4", "2") and dataset.train.images is None


def test_images_start_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").touch()
    frame = frame_of(["x", "x", "x"])
    frame.loc[1, "ImageID"] = str(tmp_path / "b.jpg")
    assert problems_of(frame, images="exist") == [
        f"row 2 of the frame: there is no image file 'c.jpg' in '{tmp_path}'"
    ]
    dataset = dataset_of_frame(frame, skip_bad_images=True)
    assert dataset.train.images == (Path("a.jpg"), tmp_path / "b.jpg")
    assert dataset.skipped == ("c.jpg",)


def test_all_problems_of_cells_are_listed() -> None:
    frame = frame_of(
        [["x", 1.5], "text", [True]], caption=["one", 2, "three"], Split=["val", "test", "rest"]
    )
    frame.loc[1, "ImageID"] = "a.jpg"
    frame.loc[2, "ImageID"] = None
    assert problems_of(frame) == [
        "row 1 of the frame: the caption is 2, but must be text",
        "row 2 of the frame: Split is 'rest', but must be 'train', 'val' or 'test'",
        "the frame: 1 picture is on several rows with different captions; say what that means "
        "with --captions mean, first or each",
        "row 2 of the frame: the ImageID is empty",
        "row 1 of the frame: ImageID 'a.jpg' is on row 0 of the frame already",
        "row 0 of the frame: Labels has the label 1.5, but a label must be an integer or text that "
        "is not empty and has no ';' or line break",
        "row 1 of the frame: Labels is the text 'text', but other rows have lists; make it a list "
        "too",
        "row 2 of the frame: Labels has the label True, but a label must be an integer or text "
        "that is not empty and has no ';' or line break",
    ]
    assert problems_of(frame_of([1.5, 2.0, 3.0])) == [
        "row 0 of the frame: Labels is 1.5, but must be a list of labels, one integer or text"
    ]
    assert dataset_of_frame(frame_of([1.0, 2.0, 3.0]), images="ignore").classes == ("1", "2", "3")
    assert problems_of(frame_of([[], [], None])) == [
        "the frame: no row has a label in the column 'Labels'"
    ]
    one_hot = pd.DataFrame({"x": [0, 2], "y": [1, None]})
    assert problems_of(one_hot, columns={"labels": ["x", "y"]}) == [
        "row 1 of the frame: class 'x' is 2, but must be 0 or 1",
        "row 1 of the frame: class 'y' is nan, but must be 0 or 1",
    ]


def test_columns_that_are_not_clear() -> None:
    frame = frame_of(["x"] * 3, file=["d", "e", "f"])
    assert problems_of(frame) == [
        "the frame has the columns 'ImageID', 'file', each of which may hold the image; say which "
        "does with columns={'image': 'ImageID'}"
    ]
    assert dataset_of_frame(frame, columns={"image": "file"}, images="ignore").train.ids[0] == "d"
    assert problems_of(pd.DataFrame({"image": ["a"], "kind": ["x"]})) == [
        "the frame has no column of labels; say which it is with columns={'labels': '…'}; its "
        "columns are 'image', 'kind'"
    ]
    assert problems_of(frame, columns={"lables": "Labels", "image": "fiel"}) == [
        "columns has the key 'lables' (did you mean 'labels'?), but must have only image, caption, "
        "labels, split, id",
        "the frame has no column 'fiel' (did you mean 'file'?); its columns are 'ImageID', "
        "'Labels', 'file'",
    ]
    test = pd.DataFrame({"caption": ["x"]})
    assert problems_of(frame_of(["x"] * 3), test=test) == [
        "only one of the frame and the test frame has a column 'image'",
        "only one of the frame and the test frame has a column 'caption'",
    ]


def test_split_messages_name_the_frame() -> None:
    dataset = dataset_of_frame(frame_of(["x", "x", "y"]), images="ignore")
    with pytest.raises(InputError) as caught:
        make_split(dataset, TailSplit(kind="tail", val_rows=1, rare_classes="error"))
    assert str(caught.value).splitlines() == [
        "The tail split of the frame is not possible:",
        "  class 'y' is on 0 rows to train on, but must be on 1 at least (it is first on row 2 of "
        "the frame, ImageID 'c.jpg'); split.rare_classes keep or drop goes on",
    ]


A, BAC = LabelsAs(classes=("a",)), LabelsAs(classes=("b", "a", "c"))


def test_labels_alone() -> None:
    matrix = np.array([[1, 0, 1], [0, 0, 1]])
    dataset = dataset_of_arrays(matrix, labels_as=BAC, ids=["r", "s"], test_rows=2)
    assert dataset.classes == ("b", "a", "c") and dataset.labels.tolist() == matrix.tolist()
    assert dataset.train.ids == ("r", "s") and dataset.train.images is None
    assert dataset.test is not None and dataset.test.ids == ("test_0", "test_1")
    assert dataset_of_arrays(matrix > 0).classes == ("0", "1", "2")
    frame = pd.DataFrame(matrix, columns=["x", "y", "z"])
    assert dataset_of_arrays(frame).classes == ("x", "y", "z")
    lists = dataset_of_arrays([["b", "c"], ["c"]], labels_as=BAC, ids=["r", "s"])
    assert lists.labels.tolist() == matrix.tolist()
    assert lists.fingerprint == dataset.fingerprint
    assert dataset_of_arrays([["b", "c"], ["c"]]).classes == ("b", "c")


@pytest.mark.parametrize(
    ("labels", "options", "expected"),
    [
        ([["a"], ["b"]], {"labels_as": A}, ["row 1 of labels: the label 'b' is not among the "]),
        (np.eye(2), {"labels_as": A}, ["there are 1 classes, but the labels have 2 columns"]),
        (np.eye(2), {"ids": ["a"]}, ["there are 1 ids, but 2 rows of labels"]),
        (np.eye(2), {"ids": ["a", "a"]}, ["row 1 of labels: ImageID 'a' is on row 0 of labels"]),
        (np.ones(3), {}, ["the labels have shape [3], but must be [rows, classes]"]),
        (np.zeros((2, 2)), {}, ["no row has a label"]),
        (np.full((1, 1), 0.5), {}, ["row 0 of labels: class '0' is 0.5, but must be 0 or 1"]),
        ([], {}, ["there are no labels, but must be some of one row at least"]),
    ],
)
def test_labels_alone_that_are_refused(
    labels: object, options: dict[str, object], expected: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        dataset_of_arrays(labels, **options)  # type: ignore[arg-type]
    assert len(caught.value.problems) == len(expected)
    for problem, start in zip(caught.value.problems, expected, strict=True):
        assert problem.startswith(start)


def test_frames_that_only_count_their_rows() -> None:
    """Both begin at 0, which says nothing of their rows; names that repeat are refused."""
    frame = pd.DataFrame({"text": ["x", "y"], "labels": ["a", "b"]})
    test = pd.DataFrame({"text": ["z"], "labels": [None], "width": [3]})
    dataset = dataset_of_frame(frame, test=test, images="ignore")
    assert dataset.train.ids == ("0", "1") and dataset.test is not None
    assert dataset.test.ids == ("0",) and dataset.test_labels is None
    frame.index, test.index = pd.Index(["p", "q"]), pd.Index(["q"])
    assert problems_of(frame, test=test) == [
        "row 0 of the test frame: ImageID 'q' is on row 1 of the frame already"
    ]


def test_columns_of_a_frame_that_are_not_read() -> None:
    frame = pd.DataFrame({"Captoin": ["x"], "labels": ["a"], "width": [3]})
    dataset = dataset_of_frame(frame, images="ignore")
    assert [(note.doubtful, str(note)) for note in dataset.notes[:2]] == [
        (
            True,
            "the frame: 'Captoin' isn't read, but may be the column of captions; say it with "
            "columns={'caption': 'Captoin'}, or rename it",
        ),
        (False, "the frame: 2 columns aren't read: 'Captoin', 'width'"),
    ]


def test_columns_of_the_test_frame_are_told_of_as_well() -> None:
    test = pd.DataFrame({"ImageID": ["d.jpg"], "Caption": ["d"], "tags": ["x"]})
    frame = frame_of(["x", "y", "x"], Caption=["a", "b", "c"])
    dataset = dataset_of_frame(frame, test=test, images="ignore")
    assert [(note.doubtful, str(note)) for note in dataset.notes] == [
        (False, "the test frame: 1 column isn't read: 'tags'"),
        (
            True,
            "the test frame: 'tags' isn't read, but may be the column of labels, which is called "
            "'Labels' elsewhere; name it so, or delete it",
        ),
    ]
    assert problems_of(frame, test=test.assign(Split="train")) == [
        "row 0 of the test frame: Split is 'train', but the rows of the test frame are 'test'; "
        "delete the column, or put all rows into one table"
    ]


def test_a_picture_in_memory_is_refused_in_one_line() -> None:
    frame = pd.DataFrame({"image": [np.zeros((9, 9, 3), np.uint8)], "labels": ["a"]})
    with pytest.raises(InputError) as caught:
        dataset_of_frame(frame)
    (problem,) = caught.value.problems
    assert problem.startswith("row 0 of the frame: the image is array([[[0, 0, 0], [0, 0, 0], [0")
    assert problem.endswith("..., but must be a path") and "\n" not in problem
