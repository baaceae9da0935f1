"""``hpo data check``: what is printed of a folder, and that nothing else is read by a run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpo.check_data import main

TRAIN = (
    "file\tcaption\twidth\tcat\tdog\n"
    "a.png\ta red thing\t8\t1\t0\nb.png\tanother\t8\t0\t1\nc.png\t\t8\t1\t1\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "images").mkdir(parents=True)
    for number, name in enumerate("abcd"):
        Image.new("RGB", (8 + number, 8)).save(tmp_path / "data" / "images" / f"{name}.png")
    (tmp_path / "data" / "animals.tsv").write_text(TRAIN)
    (tmp_path / "data" / "test.tsv").write_text("file\tcaption\nd.png\tthe last\n")
    return tmp_path / "data"


@pytest.fixture
def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    def run(*arguments: str, status: int = 0) -> list[str]:
        assert main(["check", "data", *arguments]) == status
        printed = capsys.readouterr()
        return (printed.err if status else printed.out).splitlines()

    return run


def test_what_is_printed(folder: Path, check: Callable[..., list[str]]) -> None:
    (folder / "images" / "b.png").write_bytes(b"damaged")
    found = check("--columns", "labels=cat,dog")
    assert found == [
        "data data",
        "table animals.tsv: 3 rows (train); columns: image file, caption caption, labels cat + dog",
        "table test.tsv: 1 rows (test); columns: image file, caption caption",
        "labelled: 3 rows",
        "to predict: 1 rows",
        "classes: 2, with their rows",
        "  cat  2",
        "  dog  2",
        "animals.tsv line 2: a.png",
        "  labels: cat",
        "  caption: a red thing",
        "  image: data/images/a.png, 8 × 8 RGB",
        "animals.tsv line 3: b.png",
        "  labels: dog",
        "  caption: another",
        "  image: data/images/b.png, which is not an image that Pillow can read (7 bytes)",
        "animals.tsv line 4: c.png",
        "  labels: cat, dog",
        "  image: data/images/c.png, 10 × 8 RGB",
        "test.tsv line 2: d.png",
        "  caption: the last",
        "  image: data/images/d.png, 11 × 8 RGB",
        "note: animals.tsv is read, as it is the only table there",
        "note: animals.tsv: 1 column isn't read: 'width'",
        "note: animals.tsv: 1 of 3 rows have no caption",
        "doubtful: 1 of the 4 images above can't be read: 'b.png'; the others are opened when they "
        "are encoded",
        "1 doubtful, which --strict refuses",
    ]
    assert not (folder.parent / ".hpo").exists()


def test_what_is_wrong_or_doubtful(folder: Path, check: Callable[..., list[str]]) -> None:
    assert check(status=2) == [
        "error: The data folder 'data' has problems:",
        "  animals.tsv has no column of labels; say which it is with --columns labels=…; "
        "'cat', 'dog' have zeros and ones alone; its columns are 'file', 'caption', 'width', "
        "'cat', 'dog'",
    ]
    (folder / "a.png").write_bytes((folder / "images" / "b.png").read_bytes())
    found = check("--columns", "labels=cat,dog")
    assert found[-2].startswith("doubtful: animals.tsv: 1 ImageIDs, such as 'a.png', are in more")
    assert found[-1] == "1 doubtful, which --strict refuses"
    strict = check("--columns", "labels=cat,dog", "--strict", status=2)
    assert strict[0] == "error: The data is not read without doubt, as --strict asks:"


def test_embeddings_are_looked_at(folder: Path, check: Callable[..., list[str]]) -> None:
    (folder / "emb").mkdir()
    for name, rows in (("image", 3), ("image_test", 1)):
        np.save(folder / "emb" / f"{name}.npy", np.ones((rows, 4), np.float32))
    found = check("--columns", "labels=cat,dog", "--features", "data/emb")
    assert "features data/emb · image 4" in found
    np.save(folder / "emb" / "image.npy", np.ones((2, 4), np.float32))
    (error,) = check("--columns", "labels=cat,dog", "--features", "data/emb", status=2)[1:]
    assert error.strip() == "image.npy has 2 rows, but animals.tsv has 3"


def test_parts_and_pictures(folder: Path, check: Callable[..., list[str]]) -> None:
    for path in folder.glob("*.tsv"):
        path.unlink()
    (folder / "train.csv").write_text(
        "ImageID,Labels,Caption,Split\na.png,x,one,train\na.png,x,two,train\nb.png,y,three,val\n"
    )
    (folder / "test.csv").write_text("ImageID,Labels,Caption\nc.png,x,four\n")
    found = check("--captions", "each")
    assert found[3:8] == [
        "labelled: 3 rows (train 2, val 1)",
        "pictures: 2, each in one part of a split",
        "to predict: 1 rows, and to score at the end",
        "classes: 2, with their labelled rows and rows to predict",
        "  x  2 and 1",
    ]


def test_settings_of_a_folder_under_another_name(
    folder: Path, check: Callable[..., list[str]]
) -> None:
    (folder / "hpo.yml").write_text("columns: {labels: [cat, dog]}\n")
    assert check(status=2) == [
        "error: data/hpo.yml: isn't read, but must be called hpo.yaml; rename it"
    ]
