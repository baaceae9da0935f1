"""Several captions of a picture."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_samples import NAMES, frame, notes, problems_of, read, said, texts, write_images


def several(folder: Path) -> None:
    (folder / "train.csv").write_text(
        "ImageID,Labels,Caption\na.png,x,one\na.png,x,two\nb.png,y,three\na.png,x,four\n"
    )
    write_images(folder / "images", ("a.png", "b.png"))


def test_a_picture_on_several_rows_asks_what_that_means(tmp_path: Path) -> None:
    several(tmp_path)
    assert problems_of(tmp_path) == [
        "train.csv: 1 picture is on several rows with different captions; say what that means "
        "with --captions mean, first or each",
        "train.csv line 3: ImageID 'a.png' is on train.csv line 2 already",
        "train.csv line 5: ImageID 'a.png' is on train.csv line 2 already",
    ]


def test_what_several_captions_can_mean(tmp_path: Path) -> None:
    several(tmp_path)
    mean = read(tmp_path, captions="mean")
    assert mean.train.ids == ("a.png", "b.png") and mean.train.captions == ("one", "three")
    assert mean.train.further == (("two", "four"), ())
    assert mean.train.lines == (2, 4) and mean.labels.tolist() == [[1, 0], [0, 1]]
    assert [(note.doubtful, str(note)) for note in said(mean)] == [
        (
            False,
            "train.csv: 1 of 2 pictures have several captions (4 in all), and the embeddings of a "
            "picture's captions are averaged (--captions mean)",
        )
    ]
    first = read(tmp_path, captions="first")
    assert first.train.captions == ("one", "three") and first.train.further == ()
    each = read(tmp_path, captions="each")
    assert each.train.ids == ("a.png#0", "a.png#1", "a.png#2", "b.png")
    assert each.train.captions == ("one", "two", "four", "three")
    assert each.groups == (0, 0, 0, 1)
    assert each.labels.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]
    assert each.train.images is not None and len(set(each.train.images)) == 2


def test_captions_in_one_cell_are_averaged_with_a_note(tmp_path: Path) -> None:
    rows = [{"image": "a.png", "labels": ["x"], "captions": ["one", "two", "one"]}]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write_images(tmp_path, ("a.png",))
    dataset = read(tmp_path)
    assert dataset.train.captions == ("one",) and dataset.train.further == (("two",),)
    (note,) = said(dataset)
    assert note.doubtful and str(note).endswith("averaged (--captions mean; or first, each)")


def test_the_rows_of_a_picture_must_agree(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("ImageID,Labels,Caption\na,x,one\na,y,two\n")
    write_images(tmp_path, ("a.png",))
    assert problems_of(tmp_path, captions="each") == [
        "train.csv line 3: the labels of 'a' are 'y', but 'x' on train.csv line 2; the rows of a "
        "picture must agree"
    ]


@pytest.mark.parametrize("spell", [str, json.dumps, lambda texts: str(np.array(texts))])
def test_lists_of_captions_as_text(tmp_path: Path, spell: Callable[[list[str]], str]) -> None:
    write_images(tmp_path)
    several = [["a cat", "it's a cat"], ["b"], ["c", "d"]]
    cells = [*map(spell, several), ""]
    frame(image=NAMES, caption=cells, labels=texts()).to_csv(tmp_path / "train.csv", index=False)
    dataset = read(tmp_path)
    assert dataset.train.captions == ("a cat", "b", "c", "")
    assert dataset.train.further == (("it's a cat",), (), ("d",), ())
    assert notes(dataset)[0] == "train.csv: the caption column has lists of captions as text"
    cells[3] = "none"
    frame(image=NAMES, caption=cells, labels=texts()).to_csv(tmp_path / "train.csv", index=False)
    dataset = read(tmp_path)
    assert dataset.train.captions == tuple(cells)
    assert notes(dataset)[0].startswith("train.csv: 3 captions look like values that a program pri")
