"""Tables in Parquet and Arrow, as Hugging Face's ``datasets`` has them, perhaps with images."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from data_samples import (
    CAPTIONS,
    CLASSES,
    LABELS,
    MATRIX,
    NAMES,
    frame,
    notes,
    png,
    problems_of,
    read,
)
from PIL import Image
from pyarrow import parquet

from hpo.data import load_dataset


def save_to_disk(folder: Path, table: pa.Table, features: dict[str, Any], files: int = 1) -> None:
    """Write what ``Dataset.save_to_disk`` of ``datasets`` writes."""
    folder.mkdir(parents=True)
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = table.replace_schema_metadata(metadata)
    rows = -(-len(table) // files)
    names = [f"data-{number:05d}-of-{files:05d}.arrow" for number in range(files)]
    for number, name in enumerate(names):
        with pa.OSFile(str(folder / name), "wb") as sink:
            part = table.slice(number * rows, rows)
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(part)
    state = {"_data_files": [{"filename": name} for name in names], "_split": folder.name}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def hugging_face_table(start: int = 0, paths: bool = True) -> pa.Table:
    images = [
        {"bytes": png(start + shade), "path": name if paths else None}
        for shade, name in enumerate(NAMES)
    ]
    numbers = [[CLASSES.index(label) for label in row] for row in LABELS]
    return pa.table({"image": images, "caption": list(CAPTIONS), "labels": numbers})


FEATURES = {
    "image": {"_type": "Image"},
    "caption": {"dtype": "string", "_type": "Value"},
    "labels": {"feature": {"names": list(CLASSES), "_type": "ClassLabel"}, "_type": "Sequence"},
}


def test_a_data_set_saved_by_datasets(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "train", hugging_face_table(), FEATURES, files=2)
    save_to_disk(tmp_path / "validation", hugging_face_table(10), FEATURES)
    save_to_disk(tmp_path / "test", hugging_face_table(20).drop_columns(["labels"]), {})
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
    (tmp_path / "validation" / "ids").touch()
    found = problems_of(tmp_path)
    assert found[0] == ("row 0 of validation: ImageID '0.png' is on row 0 of train already")
    renamed = hugging_face_table(10, paths=False)
    for path in (tmp_path / "validation").iterdir():
        path.unlink()
    (tmp_path / "validation").rmdir()
    save_to_disk(tmp_path / "validation", renamed.append_column("id", [list("abcd")]), FEATURES)
    dataset = read(tmp_path)
    assert dataset.train.ids == (*NAMES, "a", "b", "c", "d")
    assert dataset.classes == CLASSES and dataset.labels.tolist() == MATRIX * 2
    assert dataset.split_column == ("train",) * 4 + ("val",) * 4
    assert dataset.test is not None and dataset.test.ids == NAMES
    assert dataset.train.images is not None and dataset.test.images is not None
    shades = [Image.open(path).getpixel((0, 0))[0] for path in dataset.train.images]
    assert shades == [0, 1, 2, 3, 10, 11, 12, 13]
    assert [path.read_bytes() for path in dataset.test.images] == [png(20 + n) for n in range(4)]
    assert notes(dataset) == [
        "4 ImageIDs are in test and in another table; their images are different files"
    ]
    assert dataset.train.place(5) == "row 1 of validation"


def test_one_part_saved_by_datasets_with_numbers_for_names(tmp_path: Path) -> None:
    folder = tmp_path / "flowers"
    single = hugging_face_table(paths=False).drop_columns(["labels"])
    table = single.append_column("label", pa.array([0, 2, -1, 1]))
    save_to_disk(folder, table, {"label": {"names": list(CLASSES), "_type": "ClassLabel"}})
    dataset = read(folder)
    assert dataset.train.ids == ("0", "1", "2", "3")
    assert dataset.classes == CLASSES
    assert dataset.labels.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert dataset.train.images is not None
    assert all(path.is_relative_to(folder / "cache") for path in dataset.train.images)
    wrong = table.set_column(2, "label", pa.array([0, 2, 3, 1]))
    for path in folder.glob("*.*"):
        path.unlink()
    save_to_disk(tmp_path / "wrong", wrong, {"label": {"names": ["a"], "_type": "ClassLabel"}})
    assert problems_of(tmp_path / "wrong")[0] == (
        "row 1 of wrong: label has the class 2, but must have numbers from 0 to 0, of the classes "
        "'a'"
    )


def test_parquet_of_the_hub_with_images_in_it(tmp_path: Path) -> None:
    metadata = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}
    table = hugging_face_table().replace_schema_metadata(metadata)
    (tmp_path / "data").mkdir()
    parquet.write_table(table, tmp_path / "data" / "train-00000-of-00001-0a1b.parquet")
    dataset = read(tmp_path)
    assert dataset.train.ids == NAMES and dataset.labels.tolist() == MATRIX
    assert load_dataset(tmp_path, images="ignore").train.images is None
    parquet.write_table(table, tmp_path / "data" / "train-00001-of-00003.parquet")
    assert problems_of(tmp_path) == [
        "there is no file train-00002-of-00003.parquet, but there are others of it"
    ]


def labelled_parquet(folder: Path, part: str, numbers: list[int], names: list[str]) -> None:
    images = [{"bytes": png(n), "path": f"{part}{n}.png"} for n in range(len(numbers))]
    label = {"label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table({"image": images, "label": numbers}).replace_schema_metadata(
        {b"huggingface": json.dumps({"info": {"features": label if names else {}}}).encode()}
    )
    parquet.write_table(table, folder / f"{part}-00000-of-00001.parquet")


def test_each_table_has_its_own_numbers_of_classes(tmp_path: Path) -> None:
    labelled_parquet(tmp_path, "train", [0, 1], ["cat", "dog"])
    labelled_parquet(tmp_path, "validation", [0, 1], ["dog", "cat"])
    labelled_parquet(tmp_path, "test", [-1, -1], ["cat", "dog"])
    dataset = read(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
    assert dataset.test is not None and dataset.test_labels is None  # -1 is no class
    labelled_parquet(tmp_path, "validation", [0, 1], [])
    assert problems_of(tmp_path)[0] == (
        "validation-*.parquet has no names for the classes in label, but other tables have"
    )


def test_bytes_that_are_text(tmp_path: Path) -> None:
    table = frame(image=NAMES, caption=[c.encode() for c in CAPTIONS], labels=LABELS)
    table.to_parquet(tmp_path / "train.parquet")
    assert load_dataset(tmp_path, images="ignore").train.captions == CAPTIONS
