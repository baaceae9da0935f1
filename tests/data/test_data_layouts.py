"""Each layout of docs/data.md, from a file of that shape: the same rows come out of all of them."""

import io
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from hpo.data import Dataset, ReadOptions, kinds_there, load_dataset, parse_columns
from hpo.errors import InputError
from hpo.notes import Note

NAMES = ("0.png", "1.png", "2.png", "3.png")
CAPTIONS = ('a "red" ball', "two, or three", "été\tat sea", "last")
LABELS = (["cat", "dog"], ["dog"], ["bird"], [])
CLASSES = ("bird", "cat", "dog")
MATRIX = [[0, 1, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]]
Write = Callable[[Path], None]


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write_images(folder: Path, names: Sequence[str] = NAMES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for shade, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(shade))


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns or {"image": NAMES, "caption": CAPTIONS, "labels": LABELS})


def one_hot() -> pd.DataFrame:
    bits = {name: [row[k] for row in MATRIX] for k, name in enumerate(CLASSES)}
    return pd.DataFrame({"filename": NAMES, "text": CAPTIONS, **bits})


def texts(labels: Sequence[Sequence[str]] = LABELS) -> list[str]:
    return [" ".join(row) for row in labels]


def tsv_by_pandas(folder: Path) -> None:
    frame(image=NAMES, caption=CAPTIONS, labels=texts()).to_csv(
        folder / "train.tsv", sep="\t", index=False
    )


def tsv_by_hand(folder: Path) -> None:
    captions = [caption.replace("\t", " ") for caption in CAPTIONS]
    lines = ["\t".join(row) for row in zip(NAMES, texts(), captions, strict=True)]
    (folder / "train.tsv").write_text("\n".join(["ImageID\tLabels\tCaption", *lines, ""]))


def semicolons(folder: Path) -> None:
    frame(Image=NAMES, Caption=CAPTIONS, Labels=texts()).to_csv(
        folder / "train.csv", sep=";", index=False
    )


def one_hot_csv(folder: Path) -> None:
    one_hot().to_csv(folder / "train.csv")  # with the index of pandas


def one_hot_named_freely(folder: Path) -> None:
    one_hot().to_csv(folder / "animals.tsv", sep="\t", index=False)


def json_records(folder: Path) -> None:
    frame().to_json(folder / "train.json", orient="records")


def json_columns(folder: Path) -> None:
    frame().to_json(folder / "train.json")


def json_wrapped(folder: Path) -> None:
    rows = frame().to_dict(orient="records")
    (folder / "train.json").write_text(json.dumps({"data": rows}))


def json_lines(folder: Path) -> None:
    frame().to_json(folder / "train.jsonl", orient="records", lines=True)


def json_lines_misnamed(folder: Path) -> None:
    frame().to_json(folder / "train.json", orient="records", lines=True)


def parquet_file(folder: Path) -> None:
    frame().to_parquet(folder / "train.parquet")


def parquet_one_hot(folder: Path) -> None:
    one_hot().to_parquet(folder / "train.parquet")


def parquet_shards(folder: Path) -> None:
    for number, rows in enumerate((slice(0, 3), slice(3, 4))):
        (folder / "data").mkdir(exist_ok=True)
        frame().iloc[rows].to_parquet(folder / "data" / f"train-0000{number}-of-00002.parquet")


def metadata_beside_images(folder: Path) -> None:
    frame(file_name=NAMES, text=CAPTIONS, labels=texts()).to_csv(
        folder / "train" / "metadata.csv", index=False
    )


LAYOUTS: dict[str, tuple[Write, str]] = {
    "TSV": (tsv_by_pandas, "images"),
    "TSV without quotes": (tsv_by_hand, "images"),
    "CSV with semicolons": (semicolons, "images"),
    "one-hot CSV": (one_hot_csv, "images"),
    "one-hot TSV of any name": (one_hot_named_freely, "."),
    "JSON records": (json_records, "images"),
    "JSON columns": (json_columns, "images"),
    "JSON in an object": (json_wrapped, "images"),
    "JSON lines": (json_lines, "data"),
    "JSON lines in .json": (json_lines_misnamed, "data"),
    "Parquet": (parquet_file, "train"),
    "one-hot Parquet": (parquet_one_hot, "images/train"),
    "Parquet shards": (parquet_shards, "images"),
    "metadata beside images": (metadata_beside_images, "train"),
    "images in other folders": (json_lines, "pictures/2024"),
}


def read(folder: Path, columns: str = "", **options: Any) -> Dataset:
    given = parse_columns(columns) if columns else {}
    reading = ReadOptions(columns=given, unpack=folder / "cache", **options)
    return load_dataset(folder, options=reading)


def problems_of(folder: Path, columns: str = "", **options: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(folder, columns, **options)
    return caught.value.problems


def said(dataset: Dataset) -> list[Note]:
    """The notes, but for those about classes."""
    about = ("have no label", "is on every row", "more classes (")
    return [note for note in dataset.notes if not any(text in str(note) for text in about)]


def notes(dataset: Dataset) -> list[str]:
    return [str(note) for note in said(dataset)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows(layout: str, tmp_path: Path) -> None:
    write, place = LAYOUTS[layout]
    write_images(tmp_path / place)
    write(tmp_path)
    dataset = read(tmp_path)
    assert dataset.train.ids == NAMES
    captions = [text.replace("\t", " ") for text in dataset.train.captions]
    assert captions == [text.replace("\t", " ") for text in CAPTIONS]
    assert dataset.classes == CLASSES
    assert dataset.labels.tolist() == MATRIX
    assert dataset.train.images == tuple(tmp_path / place / name for name in NAMES)
    assert dataset.has == ("images", "captions") == kinds_there(tmp_path)
    assert dataset.test is None and dataset.test_labels is None
    assert not any(note.doubtful for note in dataset.notes)


# --- datasets of Hugging Face


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


# --- img2dataset


def test_what_img2dataset_downloaded(tmp_path: Path) -> None:
    for shard, keys in enumerate((("000000000", "000000001"), ("000010000", "000010001"))):
        name = f"{shard:05d}"
        write_images(tmp_path / name, [f"{key}.jpg" for key in keys[: 2 - shard]])
        pd.DataFrame(
            {
                "url": [f"https://example.org/{key}" for key in keys],
                "caption": [f"caption {key}" for key in keys],
                "labels": ["a b", "b"],
                "key": keys,
                "status": ["success", "failed_to_download" if shard else "success"],
                "error_message": [None, "404" if shard else None],
                "width": [8, 8],
            }
        ).to_parquet(tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}_stats.json").write_text("{}")
    dataset = read(tmp_path)
    assert dataset.train.ids == (
        "00000/000000000.jpg",
        "00000/000000001.jpg",
        "00001/000010000.jpg",
    )
    assert dataset.train.captions[2] == "caption 000010000"
    assert dataset.labels.tolist() == [[1, 1], [0, 1], [1, 1]]
    (note,) = said(dataset)
    assert note.doubtful
    assert str(note) == (f"{tmp_path.name}: 1 of 4 rows are left out, which weren't downloaded")
    (tmp_path / "00002.tar").touch()
    pd.DataFrame({"key": ["1"], "status": ["success"]}).to_parquet(tmp_path / "00002.parquet")
    assert problems_of(tmp_path)[0] == (
        "00002.tar is an archive, but images must be files; give img2dataset --output_format "
        "files, or unpack it: mkdir 00002; tar -xf 00002.tar -C 00002"
    )


# --- columns


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
        "train.csv line 4: class 'cat' is nan, but must be 0 or 1",
        "train.csv line 5: class 'cat' is nan, but must be 0 or 1",
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


# --- images


def test_urls_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("url,labels\nhttps://example.org/a.jpg,x\n")
    assert problems_of(tmp_path) == [
        "train.csv line 2: ImageID 'https://example.org/a.jpg' is a URL, but images must be files; "
        "download them with img2dataset (--output_format files), whose output folder can be read "
        "as it is"
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
        "name, which no other file has"
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


# --- parts and modalities


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


# --- several captions


def several(folder: Path) -> None:
    (folder / "train.csv").write_text(
        "ImageID,Labels,Caption\na.png,x,one\na.png,x,two\nb.png,y,three\na.png,x,four\n"
    )
    write_images(folder / "images", ("a.png", "b.png"))


def test_a_picture_on_several_rows_asks_what_that_means(tmp_path: Path) -> None:
    several(tmp_path)
    assert problems_of(tmp_path) == [
        "train.csv: 1 pictures are on several rows with different captions; say what that means "
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


# --- what is doubtful or refused


def test_a_separator_on_some_rows_alone_is_doubtful(tmp_path: Path) -> None:
    cells = ("cat;dog", "cat dog", "owl cat", "dog", "owl")
    rows = "".join(f"{cell},{number}\n" for number, cell in enumerate(cells))
    (tmp_path / "train.csv").write_text("Labels,Caption\n" + rows)
    dataset = read(tmp_path)
    assert [(note.doubtful, str(note)) for note in dataset.notes] == [
        (
            True,
            "the class 'cat dog' (and 1 such classes more) is made of the classes 'cat' and 'dog'; "
            "if it is no name, see whether one separator stands on all rows (--labels-as, from "
            "Python labels_as='…')",
        )
    ]


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


#: The tests of the layouts that have no entry in LAYOUTS of their own.
TESTED = {
    "CSV": "test_what_several_captions_can_mean",
    "CSV with blanks after commas": "test_blanks_after_commas_leave_no_quotes_in_the_text",
    "Hugging Face `datasets` on disk": "test_a_data_set_saved_by_datasets",
    "img2dataset": "test_what_img2dataset_downloaded",
    "validation rows in a table of their own": "test_a_data_set_saved_by_datasets",
    "labelled rows to predict": "test_labelled_rows_to_predict_are_the_untouched_part",
    "several captions a picture": "test_what_several_captions_can_mean",
    "one modality": "test_one_modality_needs_no_empty_column",
}
FORMS = {
    "CSV with `;`, `\\|` or tabs": ("CSV with semicolons",),
    "TSV": ("TSV", "TSV without quotes"),
    "JSON": ("JSON records", "JSON columns", "JSON in an object"),
    "JSON lines": ("JSON lines", "JSON lines in .json"),
    "Parquet": ("Parquet", "Parquet shards"),
    "metadata beside images": ("metadata beside images",),
    "one-hot columns": ("one-hot CSV", "one-hot Parquet"),
    "one table of any name": ("one-hot TSV of any name",),
}


def test_every_layout_of_the_page_has_a_test() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "data.md"
    table = page.read_text().split("## Layouts")[1].split("## Columns")[0]
    rows = re.findall(r"(?m)^\| (.+?) \| ", table.replace("\\|", "\0"))
    listed = [row.replace("\0", "\\|") for row in rows if row not in ("layout", "---")]
    assert sorted(listed) == sorted([*TESTED, *FORMS])
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f"def {name}(" in tests for name in TESTED.values())
    assert {form for forms in FORMS.values() for form in forms} <= LAYOUTS.keys()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("train.json", "{", "train.json is not JSON: "),
        ("train.json", "[]", "train.json has no rows"),
        ("train.json", "3", "train.json must be a list of objects, one a row, or an object of"),
        ("train.json", '{"images": [], "annotations": []}', "train.json has annotations of COCO"),
        ("train.json", "[3]", "train.json row 0: 3 is no object, but each row must be one"),
        ("train.jsonl", '{"a": 1, "a": 2}\n', "train.jsonl line 1: not JSON: an object has the "),
        ("train.jsonl", '{"a": 1}\n{"a"', "train.jsonl line 2: not JSON: "),
        ("train.parquet", "no parquet", "train.parquet can't be read: "),
        ("train.tsv", "ImageID\tLabels\na\n", "train.tsv line 2: 1 fields, but the header has 2"),
    ],
)
def test_files_that_can_not_be_read(tmp_path: Path, name: str, content: str, problem: str) -> None:
    (tmp_path / name).write_text(content)
    assert problems_of(tmp_path)[0].startswith(problem)


def test_keys_that_some_rows_lack_are_doubtful(tmp_path: Path) -> None:
    rows = [{"image": "0.png", "labels": ["x"]}, {"image": "1.png"}]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write_images(tmp_path)
    dataset = read(tmp_path)
    assert np.array_equal(dataset.labels, [[1], [0]])
    assert [(note.doubtful, str(note)) for note in said(dataset)] == [
        (True, "train.jsonl: 1 of 2 rows have no 'labels'")
    ]


def test_a_second_table_of_a_part_is_doubtful(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Labels,Caption\nx,one\n")
    (tmp_path / "train.json").write_text("[]")
    assert notes(read(tmp_path)) == [
        "train.json is there too and isn't read, but train.csv is; move one"
    ]
