"""Where the images of rows are found."""

import json
import shutil
from pathlib import Path

import pytest
from data_samples import NAMES, notes, problems_of, read, said, write_images

from hpo.data import load_dataset


def test_urls_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("url,labels\nhttps://example.org/a.jpg,x\n")
    assert problems_of(tmp_path) == [
        "train.csv line 2: ImageID 'https://example.org/a.jpg' is a URL, but images must be files; "
        "download them with img2dataset, whose output folder can be read as it is"
    ]


@pytest.mark.parametrize("name", ["../0.png", "/etc/passwd", "a/../../0.png", "..\\0.png"])
def test_no_image_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    write_images(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_text(f"ImageID,Labels\n{name},x\n")
    assert problems_of(folder) == [
        f"train.csv line 2: ImageID '{name}' must be a file's path inside the data folder"
    ]


def test_absolute_paths_inside_the_folder_are_taken(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    path = tmp_path / "images" / "0.png"
    (tmp_path / "train.csv").write_text(f"ImageID,Labels\n{path},x\n")
    assert read(tmp_path).train.images == (path,)


def test_names_in_different_folders(tmp_path: Path) -> None:
    names = ("cats/1.png", "dogs/1.png", "dogs\\2.png")
    write_images(tmp_path / "images", ("cats/1.png", "dogs/1.png", "dogs/2.png"))
    (tmp_path / "train.csv").write_text(
        "ImageID,Labels\n" + "".join(f"{name},{name[:4]}\n" for name in names)
    )
    dataset = read(tmp_path)
    places = ("cats/1.png", "dogs/1.png", "dogs/2.png")
    assert dataset.train.images == tuple(tmp_path / "images" / name for name in places)
    (tmp_path / "train.csv").write_text("ImageID,Labels\n1.png,x\n2.png,y\n")
    assert problems_of(tmp_path) == [
        "train.csv line 2: image '1.png' may be 'images/cats/1.png' and 'images/dogs/1.png'; write "
        "the folder in the ImageID"
    ]
    (tmp_path / "train.csv").write_text("ImageID,Labels\n2,y\n")
    dataset = read(tmp_path)
    assert dataset.train.images == (tmp_path / "images" / "dogs" / "2.png",)
    assert notes(dataset) == [
        "train.csv: 1 images are in other folders than data/ and images/, and were found by their "
        "path's end, which no other file has"
    ]


def test_paths_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the one above the data folder, or from one in it."""
    folder = tmp_path / "set"
    write_images(folder / "pics", ("a/1.png", "b/1.png"))
    for start in ("", "pics/", "set/pics/", "set\\pics\\"):
        cells = f"{start}a/1.png,x\n{start}b/1,y\n"
        (folder / "train.csv").write_text("ImageID,Labels\n" + cells)
        for place in (folder, Path("set")):
            monkeypatch.chdir(tmp_path)
            assert read(place).train.images == (place / "pics/a/1.png", place / "pics/b/1.png")
    (folder / "train.csv").write_text("ImageID,Labels\nelse/pics/a/1.png,x\n")
    assert problems_of(folder) == [
        "train.csv line 2: image 'else/pics/a/1.png' is not in data/, images/ or the data folder "
        "itself"
    ]
    (folder / "train.csv").write_text("ImageID,Labels\na/1.png,x\n")
    write_images(folder / "more", ("a/1.png",))
    assert problems_of(folder) == [
        "train.csv line 2: image 'a/1.png' may be 'more/a/1.png' and 'pics/a/1.png'; write the "
        "folder in the ImageID"
    ]


def test_names_that_repeat_between_parts(tmp_path: Path) -> None:
    for part, head in (("train", "ImageID,Labels,Caption"), ("test", "ImageID,Caption")):
        cells = ",x," if part == "train" else ","
        text = "".join(f"{name}{cells}c\n" for name in NAMES[:2])
        (tmp_path / f"{part}.csv").write_text(f"{head}\n{text}")
        write_images(tmp_path / part, NAMES[:2])
    dataset = read(tmp_path)
    assert dataset.test is not None
    assert dataset.train.images == (tmp_path / "train" / "0.png", tmp_path / "train" / "1.png")
    assert dataset.test.images == (tmp_path / "test" / "0.png", tmp_path / "test" / "1.png")
    assert notes(dataset) == [
        "2 ImageIDs are in test.csv and in another table; their images are different files"
    ]
    assert load_dataset(tmp_path, images="ignore").test is not None
    (tmp_path / "train").rename(tmp_path / "images")
    shutil.rmtree(tmp_path / "test")
    assert problems_of(tmp_path) == [
        f"test.csv line {line}: ImageID '{name}' is on train.csv line {line} already"
        for line, name in ((2, "0.png"), (3, "1.png"))
    ]


def test_an_image_in_two_places_is_doubtful(tmp_path: Path) -> None:
    write_images(tmp_path / "data", NAMES[:1])
    write_images(tmp_path / "images", NAMES[:2])
    (tmp_path / "train.csv").write_text("ImageID,Labels\n0.png,x\n1.png,y\n")
    dataset = read(tmp_path)
    assert dataset.train.images == (tmp_path / "data" / "0.png", tmp_path / "images" / "1.png")
    (note,) = said(dataset)
    assert note.doubtful and str(note).startswith(
        "train.csv: 1 ImageIDs, such as '0.png', are in more than one of data/, images/ or the data"
    )


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("a.PNG", "a.png"),
        ("/kaggle/input/a.png", "a.png"),
        ("C:\\d\\a.png", "a.png"),
        ("my%20cat.png", "my cat.png"),
        ("12.0", "12.png"),
        ("12.png", "00012.png"),
        ("'a.png'", "a.png"),
        ("a.jpg", "a.png"),
    ],
)
def test_the_file_that_was_perhaps_meant_is_named(tmp_path: Path, written: str, there: str) -> None:
    write_images(tmp_path / "images", (there, "other.png"))
    (tmp_path / "train.csv").write_text(f"ImageID,Labels\n{written},x\nother.png,y\n")
    (problem,) = problems_of(tmp_path)
    assert problem.endswith(f"; there is 'images/{there}'")


def test_accents_that_look_alike_are_told(tmp_path: Path) -> None:
    write_images(tmp_path / "images", ("cafe\u0301.png", "other.png"))
    (tmp_path / "train.csv").write_text("ImageID,Labels\ncaf\u00e9.png,x\nother.png,y\n")
    (problem,) = problems_of(tmp_path)
    assert problem.endswith("cafe\u0301.png', whose accents are other characters (NFC and NFD)")


def test_all_formats_that_are_read_are_found_without_a_suffix(tmp_path: Path) -> None:
    write_images(tmp_path / "images", ("0.jfif", "1.avif", "2.ppm"))
    (tmp_path / "train.csv").write_text("ImageID,Labels\n0,x\n1,y\n2,x\n")
    paths = read(tmp_path).train.images
    assert paths is not None and [path.name for path in paths] == ["0.jfif", "1.avif", "2.ppm"]


def test_an_image_on_several_rows_is_doubtful(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    rows = ["id,image,labels", "a,0.png,x", "b,./0.png,y", "c,0.png,x", "d,1,y", "e,1.png,y", ""]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    (tmp_path / "test.csv").write_text("id,image\nf,images/2.png\n")
    assert [str(note) for note in read(tmp_path).notes if note.doubtful] == [
        "2 image files are on several rows, '0.png' among them (first on train.csv line 2); rows "
        "of one picture may come into different parts of a split"
    ]
    (tmp_path / "train.csv").write_text("image,labels\n2.png,x\n3.png,y\n")
    assert [str(note) for note in read(tmp_path).notes if note.doubtful] == [
        "1 image file is on several rows, '2.png' (first on train.csv line 2); rows of one picture "
        "may come into different parts of a split"
    ]


def test_the_captions_of_a_picture_are_one_picture(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    (tmp_path / "train.csv").write_text("image,caption,labels\n0.png,a,x\n0.png,b,x\n1.png,c,y\n")
    dataset = read(tmp_path, captions="each")
    assert len(dataset.train) == 3
    assert not any(note.doubtful for note in dataset.notes)


def test_a_row_for_each_label_of_a_picture(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    (tmp_path / "train.csv").write_text("image,labels\n0.png,x\n0.png,y\n1.png,y\n1.png,y\n")
    assert problems_of(tmp_path) == [
        "train.csv line 3: ImageID '0.png' is on train.csv line 2 already",
        "train.csv line 5: ImageID '1.png' is on train.csv line 4 already",
        "train.csv: 1 picture has different labels on several rows; write all labels of a picture "
        "on one row, with ';' between them",
    ]


def test_images_that_are_text(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(f"image,labels\ndata:image/png;base64{'A' * 999},x\n")
    assert problems_of(tmp_path) == [
        "train.csv line 2: ImageID 'data:image/png;base64AAAAAAAAAAAAAAAAAAA…' is an image as "
        "text, but images must be files; write it into one"
    ]


def test_lists_of_images(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    rows = [{"images": ["0.png"], "labels": "x"}, {"images": ["1.png"], "labels": "y"}]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    assert read(tmp_path).train.ids == ("0.png", "1.png")
    rows[1]["images"] = ["1.png", "2.png"]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    assert problems_of(tmp_path) == [
        "row 1 of train.json: the image is ['1.png', '2.png'], but must be a path"
    ]
