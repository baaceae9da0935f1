"""Embeddings in pieces, or in a folder below: what to do is said."""

from pathlib import Path

import numpy as np
from order_samples import refused, take, vectors


def test_pieces_of_one_array(tmp_path: Path) -> None:
    np.save(tmp_path / "image_0.npy", vectors()[:1])
    np.save(tmp_path / "image_1.npy", vectors()[1:])
    assert refused(tmp_path) == [
        "image_0 to image_1 have 4 rows together; if they are pieces of one array, put them into "
        "image.npy in their order (np.concatenate)",
        "image_0.npy has 1 rows, but train.csv has 4",
        "image_1.npy has 3 rows, but train.csv has 4",
    ]


def test_numbered_modalities_are_modalities(tmp_path: Path) -> None:
    for number in (1, 2):
        np.save(tmp_path / f"image_{number}.npy", vectors(seed=number))
    assert list(take(tmp_path).train) == ["image_1", "image_2"]


def test_arrays_in_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    np.save(tmp_path / "train" / "image.npy", vectors())
    (problem,) = refused(tmp_path)
    assert problem.endswith(
        f"are read; there is train/image.npy, so perhaps {tmp_path}/train is meant"
    )
