"""COCO annotation files become a data folder that ``load_dataset`` takes."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from hpo.data import convert_coco, load_dataset
from hpo.data.coco import main
from hpo.errors import InputError

INSTANCES: dict[str, Any] = {
    "images": [
        {"id": 30, "file_name": "c.jpg"},
        {"id": 10, "file_name": "a.jpg"},
        {"id": 20, "file_name": "b.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 10, "category_id": 10},
        {"id": 2, "image_id": 10, "category_id": 1},
        {"id": 3, "image_id": 10, "category_id": 1, "iscrowd": 1},
        {"id": 4, "image_id": 30, "category_id": 3},
    ],
    "categories": [
        {"id": 10, "name": "traffic light"},
        {"id": 3, "name": "car"},
        {"id": 1, "name": "person"},
    ],
}
CAPTIONS: dict[str, Any] = {
    "images": INSTANCES["images"],
    "annotations": [
        {"id": 9, "image_id": 10, "caption": "the later one"},
        {"id": 2, "image_id": 10, "caption": 'a "sign", read\nwhole'},
        {"id": 3, "image_id": 30, "caption": "a car"},
    ],
}
TEST_CAPTIONS: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "t.jpg"}],
    "annotations": [{"id": 1, "image_id": 1, "caption": "unlabelled"}],
}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    folder = tmp_path / "coco"
    (folder / "photos").mkdir(parents=True)
    for name, content in (("i", INSTANCES), ("c", CAPTIONS), ("t", TEST_CAPTIONS)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    for name in "abct":
        Image.new("RGB", (8, 8)).save(folder / "photos" / f"{name}.jpg")
    return folder


def test_the_folder_is_read_back(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    photos = coco / "photos"
    summary = convert_coco(
        coco / "i.json", coco / "c.json", out, images=photos, test_captions=coco / "t.json"
    )
    dataset = load_dataset(out)
    assert dataset.train.ids == ("c.jpg", "a.jpg", "b.jpg")
    assert dataset.train.captions == ("a car", 'a "sign", read\nwhole', "")
    assert dataset.classes == ("car", "person", "traffic_light")
    assert dataset.labels.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert dataset.test is not None
    assert dataset.test.captions == ("unlabelled",)
    assert (out / "data" / "a.jpg").readlink() == photos / "a.jpg"
    assert summary.classes == ("person", "car", "traffic_light")
    assert (summary.train_rows, summary.test_rows, summary.images) == (3, 1, 4)
    assert (summary.without_label, summary.without_caption) == (1, 1)


def test_categories_by_name_or_id_and_labels_as_ids(coco: Path, tmp_path: Path) -> None:
    convert_coco(
        coco / "i.json",
        coco / "c.json",
        tmp_path / "out",
        categories=["traffic light", "3"],
        label_as="id",
        only_labelled=True,
    )
    dataset = load_dataset(tmp_path / "out", images="ignore")
    assert dataset.train.ids == ("c.jpg", "a.jpg")
    assert dataset.classes == ("3", "10")
    assert dataset.labels.tolist() == [[1, 0], [0, 1]]


def test_converting_again_and_copying_over_links(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for place in ("link", "link", "copy", "copy"):
        convert_coco(
            coco / "i.json",
            coco / "c.json",
            out,
            images=coco / "photos",
            place=place,  # type: ignore[arg-type]
        )
        load_dataset(out)
        assert (out / "data" / "a.jpg").is_symlink() == (place == "link")
    assert (coco / "photos" / "a.jpg").is_file()


def test_images_that_lie_in_the_folder_already_stay(coco: Path) -> None:
    (coco / "photos").rename(coco / "data")
    convert_coco(coco / "i.json", coco / "c.json", coco, images=coco / "data")
    assert not (coco / "data" / "a.jpg").is_symlink()
    load_dataset(coco)


def test_everything_wrong_is_listed_and_nothing_written(coco: Path, tmp_path: Path) -> None:
    (coco / "photos" / "b.jpg").unlink()
    instances = json.loads((coco / "i.json").read_text())
    instances["annotations"] += [{"image_id": 99, "category_id": 7}]
    (coco / "i.json").write_text(json.dumps(instances))
    with pytest.raises(InputError) as caught:
        convert_coco(
            coco / "i.json",
            coco / "c.json",
            tmp_path / "out",
            categories=["persn", "car"],
            images=coco / "photos",
            test_captions=coco / "c.json",
        )
    assert caught.value.problems == [
        "category 'persn' is not in the instances file (did you mean 'person'?)",
        "i.json: an annotation has the image_id 99, which is not among the images",
        "i.json: an annotation has the category_id 7, which is not among the categories",
        "image 'a.jpg' is in the training and the test part",
        "image 'b.jpg' is in the training and the test part",
        "image 'c.jpg' is in the training and the test part",
        f"image 'b.jpg' is not in '{coco / 'photos'}'",
    ]
    assert not (tmp_path / "out").exists()


def test_files_of_another_form_are_refused(coco: Path, tmp_path: Path) -> None:
    (coco / "i.json").write_text("{")
    (coco / "c.json").write_text(
        json.dumps({"image": [], "annotations": [{"image_id": [1], "id": 1, "caption": "x"}]})
    )
    with pytest.raises(InputError) as caught:
        convert_coco(coco / "i.json", coco / "c.json", tmp_path, test_captions=coco / "gone")
    first, *others = caught.value.problems
    assert first.startswith(f"'{coco / 'i.json'}' is not JSON: ")
    assert others == [
        f"'{coco / 'c.json'}' has no list 'images' (did you mean 'image'?)",
        f"'{coco / 'c.json'}': annotations[0] must be an object with image_id (int or str), "
        "id (int), caption (str)",
        f"'{coco / 'gone'}' can't be read: No such file or directory",
    ]


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", ""])
def test_file_names_stay_inside_the_folder(coco: Path, tmp_path: Path, name: str) -> None:
    instances = {**INSTANCES, "images": [{"id": 10, "file_name": name}, *INSTANCES["images"][::2]]}
    (coco / "i.json").write_text(json.dumps(instances))
    with pytest.raises(InputError, match=f"file_name '{name}' must be a path inside the images"):
        convert_coco(coco / "i.json", coco / "c.json", tmp_path / "out")


def test_images_are_copied_where_windows_makes_no_links(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, target: Path) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    files = (coco / "i.json", coco / "c.json")
    with pytest.raises(OSError, match="privilege"):
        convert_coco(*files, tmp_path / "out", images=coco / "photos")
    monkeypatch.setattr("hpo.data._coco.os", SimpleNamespace(name="nt"))
    assert convert_coco(*files, tmp_path / "out", images=coco / "photos").images == 3
    assert not any(path.is_symlink() for path in (tmp_path / "out" / "data").iterdir())


def test_the_command_line(coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(coco / "i.json"), str(coco / "c.json"), str(tmp_path / "out")]
    assert main([*files, "--categories", "traffic light,person", "--images", f"{coco}/photos"]) == 0
    assert "2 classes, 3 images placed" in capsys.readouterr().out
    assert load_dataset(tmp_path / "out").classes == ("person", "traffic_light")
    assert main([*files, "--categories", "boat"]) == 2
    assert capsys.readouterr().err == (
        "error: The COCO files can't be converted:\n"
        "  category 'boat' is not in the instances file\n"
        "  no image has any of the categories, but train.csv needs a label\n"
    )
