"""Embeddings in all formats of files, and what else is in such files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from order_samples import IDS, NAMES, SORTED, doubts, refused, take, vectors
from safetensors.numpy import save_file

from hpo.features import import_features

FORMATS = [
    ("image.npz", lambda path, x, ids: np.savez(path, emb=x, ids=np.array(ids))),
    (
        "embeddings.npz",
        lambda path, x, ids: np.savez_compressed(path, image=x, names=np.array(ids)),
    ),
    (
        "image.npy",
        lambda path, x, ids: (
            np.savez(path.with_suffix(".npz"), x),
            path.with_suffix(".npz").rename(path),
        ),
    ),
    ("image.pt", lambda path, x, ids: torch.save(torch.tensor(x), path)),
    (
        "image.pt",
        lambda path, x, ids: torch.save({"features": torch.tensor(x).bfloat16(), "ids": ids}, path),
    ),
    (
        "image.pt",
        lambda path, x, ids: torch.save(
            {i: torch.tensor(row) for i, row in zip(ids, x, strict=True)}, path
        ),
    ),
    (
        "image.pt",
        lambda path, x, ids: torch.save(
            list(torch.tensor(x)), path, _use_new_zipfile_serialization=False
        ),
    ),
    ("image.safetensors", lambda path, x, ids: save_file({"x": x}, path, {"ids": json.dumps(ids)})),
    (
        "embeddings.parquet",
        lambda path, x, ids: pd.DataFrame(
            {"id": ids, "image": list(x.astype("float32"))}
        ).to_parquet(path),
    ),
    (
        "image.parquet",
        lambda path, x, ids: (
            pd.DataFrame(x.astype("float32"), index=pd.Index(ids, name="id"))
            .rename(columns=str)
            .to_parquet(path)
        ),
    ),
]


@pytest.mark.parametrize(("file", "write"), FORMATS)
def test_formats(file: str, write: Any, tmp_path: Path) -> None:
    image = torch.tensor(vectors()).bfloat16().to(torch.float16).numpy()
    write(tmp_path / file, image[SORTED], NAMES)
    (tmp_path / "ids.txt").write_text("\n".join(NAMES))  # where there are none in the file
    features = take(tmp_path)
    assert list(features.train) == ["image"]
    np.testing.assert_array_equal(features.train["image"], image)
    assert doubts(features) == []


def test_types_that_are_converted_are_said(tmp_path: Path) -> None:
    image = (np.arange(12).reshape(4, 3) * 20 - 128).astype(np.int8)
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "text.npy", vectors().astype(np.float64))
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    features = take(tmp_path)
    np.testing.assert_array_equal(features.train["image"], image)
    np.testing.assert_array_equal(features.train["text"], vectors())
    assert [(str(note), note.doubtful) for note in features.notes[1:]] == [
        (
            "image.npy is int8, and taken as embeddings that were quantised with one factor for "
            "all values; float16 or float32 make it certain",
            True,
        ),
        ("text.npy is float64, and kept as float16", False),
    ]


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "image.pt"))
    assert refused(tmp_path) == [
        "image.pt is a TorchScript archive, which is a program and no array"
    ]
    torch.save({"x": vectors()}, tmp_path / "image.pt")
    assert refused(tmp_path) == [
        "image.pt holds Python objects, which could run code when they are read, so it isn't; "
        "save the tensors alone instead"
    ]
    (tmp_path / "image.pt").unlink()
    np.savez(tmp_path / "image.npz", x=vectors(), ids=np.array(IDS, dtype=object))
    assert refused(tmp_path) == [
        "image.npz has an array 'ids' that holds Python objects, which could run code when they "
        "are read, so it isn't; save it as numbers or as texts (dtype=str) instead"
    ]
    (tmp_path / "image.npz").unlink()
    np.save(tmp_path / "image.npy", vectors())
    whole = (tmp_path / "image.npy").read_bytes()
    (tmp_path / "image.npy").write_bytes(whole[:-5])
    assert refused(tmp_path) == ["image.npy is cut off: it has 19 bytes of the 24 of its array"]
    (tmp_path / "image.npy").write_bytes(whole.replace(b"(4, 3), ", b"(-1, 3),"))
    assert refused(tmp_path) == [
        "image.npy has a header that says shape [-1, 3], which no array has"
    ]
    (tmp_path / "image.npy").write_bytes(b"")
    assert refused(tmp_path) == ["image.npy can't be read: it is empty"]


def test_numbers_beside_embeddings(tmp_path: Path) -> None:
    image = vectors()
    np.savez(tmp_path / "image.npz", image=image, ids=np.array(IDS), norms=np.ones(4), scale=2.0)
    features = take(tmp_path)
    np.testing.assert_array_equal(features.train["image"], image)
    assert ("image.npz: norms, scale beside it aren't read", False) in [
        (str(note), note.doubtful) for note in features.notes
    ]
    whole = (image * 10).astype(np.int8)
    np.savez(tmp_path / "image.npz", image=whole, ids=np.array(IDS), scale=np.ones(4))
    assert refused(tmp_path) == [
        "image.npz has scale beside int8 embeddings; if these are to be multiplied by it, do that, "
        "and save float16 or float32"
    ]


def test_several_arrays_in_a_file(tmp_path: Path) -> None:
    image = vectors()
    np.savez(tmp_path / "image.npz", train=image, test=image[:2])
    found = import_features(tmp_path, 4, 2, tmp_path / "store", ids=IDS, test_ids=["a", "b"])
    np.testing.assert_array_equal(found.train["image"], image)
    np.testing.assert_array_equal(found.test["image"], image[:2])
    (tmp_path / "image.npz").unlink()
    np.savez(tmp_path / "embeddings.npz", image, image)
    assert refused(tmp_path) == [
        "embeddings.npz has 2 arrays without names (arr_0, arr_1); name them, as in "
        "np.savez(path, image=…, text=…)"
    ]
    np.savez(tmp_path / "embeddings.npz", image=image, labels=np.eye(4))
    assert refused(tmp_path) == [
        "embeddings.npz (labels): 'labels' can't name a modality, as it stands for labels; rename "
        "it or leave it out: --modalities image"
    ]


def test_tensors_in_other_forms(tmp_path: Path) -> None:
    image = vectors().astype(np.float32)
    torch.save((torch.tensor(image[SORTED]), NAMES), tmp_path / "image.pt")
    np.testing.assert_array_equal(take(tmp_path).train["image"], image)
    rows = {name: torch.tensor(row)[None] for name, row in zip(IDS, image, strict=True)}
    torch.save(rows, tmp_path / "image.pt")
    np.testing.assert_array_equal(take(tmp_path).train["image"], image)
    torch.save({"features": {"image": torch.tensor(image)}}, tmp_path / "image.pt")
    assert refused(tmp_path) == [
        "image.pt holds dictionaries in a dictionary, but must hold a tensor [rows, D] for each "
        "modality, or a dictionary of names to vectors"
    ]


def test_rows_of_zeros_are_doubtful(tmp_path: Path) -> None:
    image = vectors()
    image[2] = 0
    np.save(tmp_path / "image.npy", image)
    (tmp_path / "ids.txt").write_text("\n".join([*IDS, "", ""]))
    assert doubts(take(tmp_path)) == [
        "image.npy has only zeros in row 2 (counted from 0), as where nothing could be encoded"
    ]


def test_files_of_other_formats_are_named(tmp_path: Path) -> None:
    (tmp_path / "image.h5").touch()
    assert refused(tmp_path) == [
        "there is neither image.npy nor text.npy, nor img_emb/ or text_emb/; there are image.h5, "
        "but only .npy, .npz, .pt, .pth, .safetensors, .parquet in the folder itself are read"
    ]
