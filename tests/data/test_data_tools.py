"""What annotation tools and well-known data sets write."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hpo.data import ReadOptions, load_dataset
from hpo.errors import InputError

ROWS = 6


def pictures(folder: Path, prefix: str = "") -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{prefix}{row}.jpg" for row in range(ROWS)]
    for row, name in enumerate(names):
        Image.new("RGB", (4, 4), (row, 0, 0)).save(folder / name)
    return names


def classes_of(folder: Path, **columns: Any) -> tuple[tuple[str, ...], list[list[int]]]:
    data = load_dataset(folder, options=ReadOptions(columns=columns))
    return data.classes, data.labels.tolist()


def test_tables_that_roboflow_puts_beside_the_images_of_each_part(tmp_path: Path) -> None:
    for part, cat in (("train", 1), ("valid", 0), ("test", 1)):
        names = pictures(tmp_path / part, part)
        lines = [f"{name}, {cat}, {row % 2}" for row, name in enumerate(names)]
        (tmp_path / part / "_classes.csv").write_text("\n".join(["filename, cat, dog", *lines]))
    data = load_dataset(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.labels.tolist() == [[1, row % 2] for row in range(ROWS)] + [
        [0, row % 2] for row in range(ROWS)
    ]
    assert data.test_labels is not None
    assert data.test_labels.tolist() == [[1, row % 2] for row in range(ROWS)]
    assert data.split_column == ("train",) * ROWS + ("val",) * ROWS


@pytest.mark.parametrize("as_text", [False, True])
def test_choices_of_label_studio_are_lists_and_a_text_beside_them_is_one_label(
    tmp_path: Path, as_text: bool
) -> None:
    names = pictures(tmp_path)
    several = {"choices": ["dark red", "blue"]}
    cells = [json.dumps(several) if as_text else several, "dark red", "blue", "", "blue", "blue"]
    table = pd.DataFrame({"image": names, "choice": cells})
    if as_text:
        table.to_csv(tmp_path / "project.csv", index=False)
    else:
        table.to_json(tmp_path / "project.json", orient="records")
    classes, labels = classes_of(tmp_path, labels="choice")
    assert classes == ("blue", "dark red")
    assert labels == [[1, 1], [0, 1], [1, 0], [0, 0], [1, 0], [1, 0]]


def signs(folder: Path, last: int) -> None:
    names = pictures(folder)
    bald = [1, -1, -1, -1, 1, last]
    table = pd.DataFrame({"image_id": names, "Bald": bald, "Young": [-1, 1, 1, -1, -1, 1]})
    table.to_csv(folder / "list_attr_celeba.csv", index=False)


def test_ones_of_both_signs_where_the_columns_are_named(tmp_path: Path) -> None:
    signs(tmp_path, -1)
    data = load_dataset(tmp_path, options=ReadOptions(columns={"labels": "*"}))
    assert data.labels.tolist() == [[1, 0], [0, 1], [0, 1], [0, 0], [1, 0], [0, 1]]
    (note,) = [note for note in data.notes if "-1" in note.text]
    assert note.text == "-1 in the 2 columns of labels is read as 0: no label"
    assert note.doubtful
    with pytest.raises(InputError, match="has no column of labels"):
        load_dataset(tmp_path)


def test_minus_one_beside_zero_may_mean_something_else(tmp_path: Path) -> None:
    signs(tmp_path, 0)
    with pytest.raises(InputError, match="line 3: class 'Bald' is '-1', but must be 0 or 1"):
        classes_of(tmp_path, labels=["Bald", "Young"])


def test_yes_and_no_where_the_columns_are_named(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    cat = np.where(np.arange(ROWS) % 2, "Yes", "no")
    pd.DataFrame({"image": names, "cat": cat, "dog": "yes"}).to_csv(
        tmp_path / "train.csv", index=False
    )
    assert classes_of(tmp_path, labels=["cat", "dog"]) == (
        ("cat", "dog"),
        [[row % 2, 1] for row in range(ROWS)],
    )


def test_annotations_of_coco_get_the_command_that_reads_them(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2017.json").write_text("{}")
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path)
    assert str(caught.value).endswith(
        "there is no file train.csv, but 'annotations/instances_train2017.json'; hpo coco makes a "
        "data folder of COCO's annotations"
    )
