"""Each layout of docs/data.md, from a file of that shape: the same rows come out of all of them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_samples import (
    CAPTIONS,
    CLASSES,
    LABELS,
    MATRIX,
    NAMES,
    frame,
    notes,
    one_hot,
    problems_of,
    read,
    said,
    texts,
    write_images,
)

from hpo.data import kinds_there, load_dataset

Write = Callable[[Path], None]


def tsv_by_pandas(folder: Path) -> None:
    frame(image=NAMES, caption=CAPTIONS, labels=texts()).to_csv(
        folder / "train.tsv", sep="\t", index=False
    )


def tsv_by_hand(folder: Path) -> None:
    captions = [caption.replace("\t", " ") for caption in CAPTIONS]
    lines = ["\t".join(row) for row in zip(NAMES, texts(), captions, strict=True)]
    (folder / "train.tsv").write_text("\n".join(["ImageID\tLabels\tCaption", *lines, ""]))


def separated(mark: str) -> Write:
    def write(folder: Path) -> None:
        table = frame(Image=NAMES, Caption=CAPTIONS, Labels=texts())
        table.to_csv(folder / "train.csv", sep=mark, index=False)

    return write


def plain_csv(folder: Path) -> None:
    frame(ImageID=NAMES, Labels=texts(), Caption=CAPTIONS).to_csv(folder / "train.csv", index=False)


def blanks_after_commas(folder: Path) -> None:
    captions = [caption.replace('"', '""') for caption in CAPTIONS]
    rows = [f'{n}, {t}, "{c}"\n' for n, t, c in zip(NAMES, texts(), captions, strict=True)]
    (folder / "train.csv").write_text("ImageID, Labels, Caption\n" + "".join(rows))


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


def json_with_facts(folder: Path) -> None:
    rows = frame().to_dict(orient="records")
    about = {"dataset": "animals", "info": {"year": 2024}}
    (folder / "train.json").write_text(json.dumps({**about, "images": rows}))


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


def metadata_in_lines(folder: Path) -> None:
    table = frame(file_name=NAMES, text=CAPTIONS, labels=LABELS)
    table.to_json(folder / "train" / "metadata.jsonl", orient="records", lines=True)


def metadata_in_parquet(folder: Path) -> None:
    table = frame(file_name=NAMES, text=CAPTIONS, labels=LABELS)
    table.to_parquet(folder / "train" / "metadata.parquet")


def json_lines_called_ndjson(folder: Path) -> None:
    frame().to_json(folder / "train.ndjson", orient="records", lines=True)


LAYOUTS: dict[str, tuple[Write, str]] = {
    "TSV": (tsv_by_pandas, "images"),
    "TSV without quotes": (tsv_by_hand, "images"),
    "CSV": (plain_csv, "data"),
    "CSV with blanks after commas": (blanks_after_commas, "images"),
    "CSV with semicolons": (separated(";"), "images"),
    "CSV with bars": (separated("|"), "images"),
    "CSV with tabs": (separated("\t"), "images"),
    "one-hot CSV": (one_hot_csv, "images"),
    "one-hot TSV of any name": (one_hot_named_freely, "."),
    "JSON records": (json_records, "images"),
    "JSON columns": (json_columns, "images"),
    "JSON in an object": (json_wrapped, "images"),
    "JSON beside facts": (json_with_facts, "images"),
    "JSON lines": (json_lines, "data"),
    "JSON lines in .json": (json_lines_misnamed, "data"),
    "JSON lines in .ndjson": (json_lines_called_ndjson, "data"),
    "Parquet": (parquet_file, "train"),
    "one-hot Parquet": (parquet_one_hot, "images/train"),
    "Parquet shards": (parquet_shards, "images"),
    "metadata beside images": (metadata_beside_images, "train"),
    "metadata.jsonl": (metadata_in_lines, "train"),
    "metadata.parquet": (metadata_in_parquet, "train"),
    "images in other folders": (json_lines, "pictures/2024"),
}


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


#: The tests of the layouts that have no entry in LAYOUTS of their own.
TESTED = {
    "Hugging Face `datasets` on disk": "test_a_data_set_saved_by_datasets",
    "img2dataset": "test_what_img2dataset_downloaded",
    "webdataset": "test_archives_of_samples",
    "validation rows in a table of their own": (
        "test_columns_of_classes_may_have_another_order_in_each_table"
    ),
    "labelled rows to predict": "test_labelled_rows_to_predict_are_the_untouched_part",
    "several captions a picture": "test_what_several_captions_can_mean",
    "one modality": "test_one_modality_needs_no_empty_column",
}
FORMS = {
    "CSV": ("CSV",),
    "CSV with blanks after commas": ("CSV with blanks after commas",),
    "CSV with `;`, `\\|` or tabs": ("CSV with semicolons", "CSV with bars", "CSV with tabs"),
    "TSV": ("TSV", "TSV without quotes"),
    "JSON": ("JSON records", "JSON columns", "JSON in an object", "JSON beside facts"),
    "JSON lines": ("JSON lines", "JSON lines in .json", "JSON lines in .ndjson"),
    "Parquet": ("Parquet", "Parquet shards"),
    "metadata beside images": ("metadata beside images", "metadata.jsonl", "metadata.parquet"),
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
        ("train.json", "3", "train.json is a number, but must be a list of objects, one a row, or"),
        (
            "train.json",
            '{"a": [], "b": [1]}',
            "train.json is an object, with the keys 'a', 'b'",
        ),
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


@pytest.mark.parametrize("name", ["train.xlsx", "test.pkl", "valid.csv.gz"])
def test_parts_in_formats_that_are_not_read_are_refused(tmp_path: Path, name: str) -> None:
    if not name.startswith("train"):
        (tmp_path / "train.csv").write_text("Labels,Caption\nx,one\ny,two\n")
    (tmp_path / name).touch()
    assert problems_of(tmp_path) == [
        f"{name} is of a format that isn't read; save it as CSV (UTF-8), JSON or Parquet, or move "
        "it away"
    ]


def test_a_layout_beside_a_table_is_doubtful(tmp_path: Path) -> None:
    frame(image=NAMES, labels=texts()).to_csv(tmp_path / "train.csv", index=False)
    (tmp_path / "data").mkdir()
    frame().to_parquet(tmp_path / "data/train-00000-of-00001.parquet")
    dataset = load_dataset(tmp_path, images="ignore")
    assert [note.text for note in dataset.notes if note.doubtful] == [
        "train-*.parquet is there too and isn't read, but train.csv is; move one"
    ]
