"""What an embeddings folder has that isn't read is said, or refused where it was surely meant."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from order_samples import IDS, NAMES, SORTED, doubts, refused, take, vectors

from hpo.errors import InputError
from hpo.features import import_features, load_data

ONLY = "only .npy, .npz, .pt, .pth, .safetensors, .parquet in the folder itself are"


@pytest.mark.parametrize("file", ["image.pkl", "image.h5", "image.npy.gz", "Image.mat"])
def test_a_modality_in_a_format_that_is_not_read(tmp_path: Path, file: str) -> None:
    np.save(tmp_path / "text.npy", vectors())
    (tmp_path / file).write_bytes(b"\x89HDF")
    assert refused(tmp_path) == [
        f"{file} is called as image embeddings are, but isn't read: {ONLY}; save it as image.npy, "
        "or move it away"
    ]
    assert list(take(tmp_path, modalities=["text"]).train) == ["text"]
    np.save(tmp_path / "image.npy", vectors())
    assert list(take(tmp_path).train) == ["image", "text"]


def files_in(folder: Path) -> None:
    folder.mkdir()
    np.save(folder / "0.npy", vectors()[0])


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("image_list.pkl", lambda path: pd.to_pickle(NAMES, path)),
        ("index.faiss", lambda path: path.write_bytes(b"IxFI")),
        ("image.csv", lambda path: pd.DataFrame(vectors(), index=IDS).to_csv(path)),
        ("features.txt", lambda path: np.savetxt(path, vectors())),
        ("image/", files_in),
    ],
)
def test_what_is_not_read_is_said(
    tmp_path: Path, file: str, write: Callable[[Path], object]
) -> None:
    np.save(tmp_path / "text.npy", vectors())
    write(tmp_path / file)
    assert doubts(take(tmp_path))[1:] == [f"{file} is not read: {ONLY}"]


def test_what_has_nothing_to_do_with_rows_is_not_said(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", vectors())
    for name in ("README.md", "config.json", "image.png", ".cache.pkl", "log.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "pictures").mkdir()
    assert len(take(tmp_path).notes) == 1


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", vectors())
    assert refused(tmp_path / "image.npy") == [
        f"it is a file; give the folder that it is in: {tmp_path}"
    ]


def test_a_file_for_each_row(tmp_path: Path) -> None:
    for number in range(20):
        np.save(tmp_path / f"{number}.npy", vectors()[0])
    first, more = refused(tmp_path)
    assert first.startswith("0.npy: '0' can't name a modality")
    assert more == (
        "19 more names are like that; if these are one row each, save all of a modality as one "
        "array [rows, width], such as image.npy, with the names in ids.txt, one a line"
    )


def test_names_of_another_array_are_not_taken(tmp_path: Path) -> None:
    """Whoever saved ``text.npy`` needn't have had the order of ``image.parquet``."""
    frame = pd.DataFrame({"ImageID": NAMES, "vector": vectors()[SORTED].tolist()})
    frame.to_parquet(tmp_path / "image.parquet")
    np.save(tmp_path / "text.npy", vectors(seed=1))
    features = take(tmp_path)
    np.testing.assert_array_equal(features.train["image"], vectors())
    np.testing.assert_array_equal(features.train["text"], vectors(seed=1))
    assert [doubt.partition(":")[0] for doubt in doubts(features)] == ["text.npy"]


@pytest.mark.parametrize("names", [("train_image", "test_image"), ("image_train", "image_test")])
def test_parts_by_what_their_names_begin_or_end_with(tmp_path: Path, names: Any) -> None:
    np.save(tmp_path / f"{names[0]}.npy", vectors())
    np.save(tmp_path / f"{names[1]}.npy", vectors(seed=1))
    features = import_features(tmp_path, 4, 4, tmp_path / "store")
    np.testing.assert_array_equal(features.train["image"], vectors())
    np.testing.assert_array_equal(features.test["image"], vectors(seed=1))


def test_parts_that_are_scaled_otherwise(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.full((4, 4), 5.0))
    np.save(tmp_path / "image_test.npy", np.full((4, 4), 0.5))
    features = import_features(tmp_path, 4, 4, tmp_path / "store")
    assert (
        "image.npy has vectors of length 10 in the mean, but image_test.npy of 1; a model takes "
        "them for scaled alike"
    ) in doubts(features)


def test_values_that_float16_would_lose(tmp_path: Path) -> None:
    values = np.full((4, 3), 1e-5, np.float32)
    values[1:3] = 1e-7
    np.save(tmp_path / "image.npy", values)
    assert refused(tmp_path) == [
        "image.npy has values too small for float16, which would change by more than 1%, in rows "
        "1, 2 (counted from 0); multiply all embeddings by one factor"
    ]


def test_a_caption_names_no_row_that_has_several(tmp_path: Path) -> None:
    """The embedding of the first one would stand for their mean."""
    (tmp_path / "data").mkdir()
    rows = [f"{IDS[n // 2]},x,caption {n}\n" for n in range(8)]
    (tmp_path / "data" / "train.csv").write_text("ImageID,Labels,Caption\n" + "".join(rows))
    folder = tmp_path / "embeddings"
    folder.mkdir()
    np.save(folder / "text.npy", vectors(8))
    (folder / "captions.txt").write_text("".join(f"caption {n}\n" for n in range(8)))
    with pytest.raises(InputError) as caught:
        load_data(tmp_path / "data", features=folder, captions="mean", cache=tmp_path)
    assert (
        "captions.txt names rows by captions, but rows of train.csv have several, whose mean is "
        "asked for; write the ImageIDs beside the array, or take --captions first or each"
    ) in caught.value.problems
    data = load_data(tmp_path / "data", features=folder, captions="first", cache=tmp_path)
    np.testing.assert_array_equal(data.features.train["text"], vectors(8)[::2])
