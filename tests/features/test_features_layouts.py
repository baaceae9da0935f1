"""What layouts of a data folder become: embeddings, their means, and the parts of a bundle."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hpo.data import StratifiedSplit, TailSplit
from hpo.errors import InputError
from hpo.features import load_data


def test_a_folder_of_other_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame({"where": ["a.png", "b.png"], "cat": [1, 0], "dog": [1, 1]})
    frame.to_csv(tmp_path / "train.tsv", sep="\t", index=False)
    for number, name in enumerate(("a.png", "b.png")):
        Image.new("RGB", (32, 32), (200 * number, 0, 0)).save(tmp_path / name)
    data = load_data(tmp_path, columns={"image": "where"}, encoder="demo", cache=tmp_path)
    assert data.classes == ("cat", "dog") and data.modalities == ("image",)
    with pytest.raises(InputError, match=r"train\.tsv has no column of captions, but the modality"):
        load_data(
            tmp_path,
            columns={"image": "where"},
            encoder="demo",
            cache=tmp_path,
            modalities=["text"],
        )


def test_the_mean_of_several_captions(tmp_path: Path) -> None:
    """Against the embeddings of each caption alone, averaged here."""
    texts = {"a": ["a dog", "a red dog", "it runs"], "b": ["a cat"]}
    rows = [{"id": name, "captions": many, "labels": [name]} for name, many in texts.items()]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    mean = load_data(tmp_path, encoder="demo", cache=tmp_path / "c")
    each = load_data(tmp_path, encoder="demo", cache=tmp_path / "c", captions="each")
    first = load_data(tmp_path, encoder="demo", cache=tmp_path / "c", captions="first")
    assert mean.dataset.train.ids == ("a", "b") and len(each.dataset.train) == 4
    alone = each.features.train["text"].astype(np.float32)
    expected = np.stack([alone[:3].mean(axis=0), alone[3]])
    found = mean.features.train["text"].astype(np.float32)
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert np.array_equal(first.features.train["text"], each.features.train["text"][[0, 3]])
    assert len({data.features.key for data in (mean, each, first)}) == 3
    again = load_data(tmp_path, encoder="demo", cache=tmp_path / "c")
    assert np.array_equal(again.features.train["text"], mean.features.train["text"])


def test_a_split_keeps_the_rows_of_a_picture_together(tmp_path: Path) -> None:
    rows = [
        {"captions": [f"{n} {k}" for k in range(1 + n % 3)], "labels": ["x" if n % 2 else "y"]}
        for n in range(30)
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = load_data(tmp_path, encoder="demo", cache=tmp_path, captions="each")
    groups = np.array(data.dataset.groups)
    assert len(groups) == 60
    for spec in (
        TailSplit(kind="tail", val_rows=10),
        StratifiedSplit(kind="stratified", val_fraction=0.3),
    ):
        split = data.bundle(spec).split
        sets = [set(groups[rows]) for rows in split.values()]
        assert not sets[0] & sets[1] and sets[0] | sets[1] == set(range(30))
        assert len(sets[1]) == (10 if spec.kind == "tail" else 9)


def test_labelled_rows_to_predict_are_the_test_part(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        "Labels,Caption\n" + "".join(f"{'xy'[n % 2]},text {n}\n" for n in range(8))
    )
    (tmp_path / "test.csv").write_text("Labels,Caption\nx,text 8\nx y,text 9\n")
    data = load_data(tmp_path, encoder="demo", cache=tmp_path)
    bundle = data.bundle(TailSplit(kind="tail", val_rows=3))
    parts = {name: rows.tolist() for name, rows in bundle.split.items()}
    assert parts == {"train": [0, 1, 2, 3, 4], "val": [5, 6, 7], "test": [8, 9]}
    assert bundle.labels_of("test").tolist() == [[1, 0], [1, 1]]
    for name, array in bundle.features.train.items():
        assert np.array_equal(array[8:], data.features.test[name])
        assert np.array_equal(array[:8], data.features.train[name])
    assert bundle.test_ids == ("0", "1") and len(bundle.features.test["text"]) == 2
    assert data.bundle(TailSplit(kind="tail", val_rows=3)).key == bundle.key
    with pytest.raises(InputError, match="the tail split has a test part, but 2 rows to predict"):
        data.bundle(TailSplit(kind="tail", val_rows=3, test_rows=1))
    arrays = {"text": np.ones((8, 4), np.float32)}
    with pytest.raises(
        InputError, match=r"test\.csv has 2 rows to predict, but there are no embedd"
    ):
        load_data(tmp_path, features=arrays, cache=tmp_path)
    alone = load_data(tmp_path, features=arrays, cache=tmp_path, skip_test=True)
    assert set(alone.bundle(TailSplit(kind="tail", val_rows=3)).split) == {"train", "val"}
