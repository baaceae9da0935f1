"""``hpo predict`` of images, folders of images and captions, instead of a data folder."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_predict import write_images, write_model

import hpo
from hpo._predict_rows import label_lines
from hpo.predict import main


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Runs the command in ``tmp_path`` and returns the lines that it prints, or its errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, status: int = 0) -> list[str]:
        shared = ["--model", "model", "--devices", "cpu", "--cache", "cache"]
        assert main([*shared, *arguments]) == status
        printed = capsys.readouterr()
        return (printed.err if status else printed.out).splitlines()

    return run


def expected(tmp_path: Path, **given: list[str]) -> list[str]:
    """The same from Python, without what the command adds."""
    model = hpo.load_model(tmp_path / "model", cache=tmp_path / "cache", device="cpu")
    names = {"images": None, "captions": None, **given}
    frame = model.predict_proba(**names)  # type: ignore[arg-type]
    ids = given.get("images") or given["captions"]
    return label_lines(ids, frame.to_numpy(), model.classes, model.trained.thresholds)


def test_images_one_by_one(tmp_path: Path, command: Callable[..., list[str]]) -> None:
    write_model(tmp_path / "model", "image", encoder="demo")
    write_images(tmp_path / "data", 3)
    paths = ["data/images/2.png", "data/images/0.png"]
    found = command("--images", *paths)
    assert found[:2] == expected(tmp_path, images=paths)
    assert found[2:] == ["predicted 2 rows of what was given, 3 classes"]
    assert not (tmp_path / "predictions.csv").exists()


def test_a_folder_of_images(tmp_path: Path, command: Callable[..., list[str]]) -> None:
    write_model(tmp_path / "model", "image", encoder="demo")
    write_images(tmp_path / "data", 3)
    (tmp_path / "data" / "images" / ".notes.txt").touch()
    (tmp_path / "data" / "images" / "more").mkdir()
    (tmp_path / "data" / "images" / "1.png").rename(tmp_path / "data/images/more/1.png")
    found = command("--images", "data/images")
    assert [line.split(":")[0] for line in found[:3]] == ["0.png", "2.png", "more/1.png"]
    assert found[3:] == ["predicted 3 rows of what was given, 3 classes", "  predictions.csv"]
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["ImageID"] for row in rows] == ["0.png", "2.png", "more/1.png"]
    (tmp_path / "data" / "images" / "0.png").write_bytes(b"damaged")
    (error,) = [line for line in command("--images", "data/images", status=2) if "0.png" in line]
    assert error.strip().startswith("0.png: image 'images/0.png' ")
    found = command("--images", "data/images", "--skip-bad-images")
    assert found[0] == "0.png: no labels, as its image can't be read"


def test_captions_and_images_together(tmp_path: Path, command: Callable[..., list[str]]) -> None:
    write_model(tmp_path / "model", "sum", encoder="demo")
    write_images(tmp_path / "data", 1)
    image, caption = "data/images/0.png", "a dog, running"
    both = command("--images", image, "--caption", caption, "--out", "p.csv")
    assert both[0] == expected(tmp_path, images=[image], captions=[caption])[0]
    assert (tmp_path / "p.csv").read_text().startswith("ImageID,Labels\ndata/images/0.png,")
    alone = command("--caption", caption)
    assert alone[0].startswith("a dog, running: ") and alone[0] != both[0]
    assert alone[1:] == [
        "predicted 1 row of what was given, 3 classes",
        "lacking image: 1 row, predicted without it",
    ]


def test_what_is_refused(tmp_path: Path, command: Callable[..., list[str]]) -> None:
    write_model(tmp_path / "model", "image", encoder="demo")
    (tmp_path / "empty").mkdir()
    assert command(status=2) == [
        "error: there is nothing to predict: give --data, --images or --caption"
    ]
    assert command("--data", "demo", "--images", "a.jpg", status=2) == [
        "error: --data and --images can't go together; give one of them"
    ]
    assert command("--caption", "a dog", status=2) == [
        "error: --caption is given, but the model reads image alone"
    ]
    gone = command("--images", "gone.jpg", "empty", "https://a.org/b.jpg", status=2)
    assert [line.removeprefix("error: ") for line in gone] == [
        "--images gone.jpg: there is no such file or folder",
        "--images empty: the folder has no images in it",
        "--images 'https://a.org/b.jpg' is a URL, but images must be files; download them with "
        "img2dataset, whose output folder can be read as it is",
    ]
    write_model(tmp_path / "model", "sum", encoder="demo")
    assert command("--images", "a.jpg", "b.jpg", "--caption", "x", status=2) == [
        "error: --images has 2 images and --caption 1 captions, but each image must have its "
        "caption; a data folder with test.csv can say which"
    ]


def test_lines_of_labels() -> None:
    probabilities = np.array([[0.9, 0.2, 0.5], [0.1, 0.3, 0.2]])
    lines = label_lines(["a", "b"], probabilities, ["cat", "dog", "bird"], [0.5, 0.5, 0.4])
    assert lines == ["a: cat 0.900, bird 0.500", "b: none (most likely dog 0.300)"]
    many = label_lines([str(n) for n in range(60)], np.ones((60, 1)), ["x"], [0.5])
    assert len(many) == 51 and many[-1] == "… and 10 more rows"


def test_what_is_done_to_rows_is_said(tmp_path: Path, command: Callable[..., list[str]]) -> None:
    write_model(tmp_path / "model", "image", encoder="demo")
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    Image.new("I;16", (8, 8), 40_000).save(folder / "images" / "0.png")
    (folder / "test.csv").write_text("where,size\n0.png,3\n")
    (folder / "hpo.yaml").write_text("columns: {image: where}\n")
    note = "note: 1 image is scaled to 8 bits a pixel, of 16 bits from 0 to 65535 ('0.png')"
    assert command("--data", "data")[:2] == [
        f"predicted 1 row of {Path('data/test.csv')}, 3 classes",
        note,
    ]
    assert command("--images", "data/images/0.png")[-1] == note
    found = command("--images", "data/images/0.png", "--strict", status=2)
    assert "error: The data is not read without doubt, as --strict asks:" in found


def test_labelled_rows_are_predicted_where_there_are_no_others(
    tmp_path: Path, command: Callable[..., list[str]]
) -> None:
    write_model(tmp_path / "model", "image", encoder="demo")
    write_images(tmp_path / "data", 2)
    (tmp_path / "data" / "train.csv").write_text("image,Labels\n0.png,a\n")
    (tmp_path / "data" / "val.csv").write_text("image,Labels\n1.png,a\n")
    command("--data", "data")
    assert (tmp_path / "predictions.csv").read_text().splitlines()[1].startswith("0.png,")


def test_names_that_a_terminal_can_t_print() -> None:
    probabilities = np.array([[0.9], [0.9]])
    assert label_lines(["a\nb", "\x1b[31mred"], probabilities, ["x"], [0.5]) == [
        "a\\nb: x 0.900",
        "\\x1b[31mred: x 0.900",
    ]


def test_files_that_are_passed_over_are_counted(
    tmp_path: Path, command: Callable[..., list[str]]
) -> None:
    write_model(tmp_path / "model", "image", encoder="demo")
    write_images(tmp_path / "data", 1)
    images = tmp_path / "data" / "images"
    for name in ("a.heic", "b", ".ipynb_checkpoints/0.png", "__MACOSX/._0.png", "._0.png"):
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(b"x")
    found = command("--images", "data/images")
    note = "--images data/images: 2 files are passed over, as the name is no image's: a.heic, b"
    assert found[1:3] == ["predicted 1 row of what was given, 3 classes", f"note: {note}"]
    assert command("--images", "data/images", "--strict", status=2)[-1].strip() == note


def test_links_in_a_folder(tmp_path: Path, command: Callable[..., list[str]]) -> None:
    write_model(tmp_path / "model", "image", encoder="demo")
    write_images(tmp_path / "data", 2)
    folder = tmp_path / "links"
    folder.mkdir()
    images = tmp_path / "data" / "images"
    for name, target in (("a.png", images / "0.png"), ("b.png", "nothing"), ("more", images)):
        (folder / name).symlink_to(target)
    found = command("--images", "links")
    assert found[1:3] == [
        "predicted 1 row of what was given, 3 classes",
        "note: --images links: 2 files are passed over, as the name is no image's, or as a link to "
        "a folder or to nothing: b.png, more",
    ]


def test_empty_arguments_are_refused(tmp_path: Path, command: Callable[..., list[str]]) -> None:
    write_model(tmp_path / "model", "sum", encoder="demo")
    said = command("--images", "", "--caption", " ", status=2)
    assert said[:2] == [
        "error: --images '' is empty, but must be a file or a folder",
        "--caption ' ' is empty, but must be a text",
    ]
