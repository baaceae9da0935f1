"""What ``clip-retrieval inference`` writes, as embeddings of our rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from order_samples import CAPTIONS, NAMES, SORTED, doubts, refused, take, vectors


def shard(
    folder: Path, number: int, rows: np.ndarray, stem: str = "img_emb", **columns: Any
) -> None:
    for place in (folder / stem, folder / "metadata"):
        place.mkdir(parents=True, exist_ok=True)
    np.save(folder / stem / f"{stem}_{number}.npy", rows)
    if columns:
        pd.DataFrame(columns).to_parquet(folder / "metadata" / f"metadata_{number}.parquet")


def test_clip_retrieval_by_key_with_skipped_rows(tmp_path: Path) -> None:
    rows = vectors(3)
    keys = {"image_path": ["000000007", "000000000", "000000010"], "width": [2, 3, 4]}
    shard(tmp_path, 0, rows[:2], **{name: value[:2] for name, value in keys.items()})
    shard(tmp_path, 1, rows[2:], **{name: value[2:] for name, value in keys.items()})
    assert refused(tmp_path) == [
        "metadata/ has no row for the ImageIDs '2.jpg'; --skip-bad-images leaves rows without "
        "embeddings out"
    ]
    features = take(tmp_path, skip_absent=True)
    np.testing.assert_array_equal(features.train["image"], rows[[2, 0, 1]])
    assert list(features.left_out["train"]) == [1]


def test_clip_retrieval_by_caption_and_from_several_folders(tmp_path: Path) -> None:
    rows = vectors()
    captions = [CAPTIONS[row] for row in SORTED]
    shard(tmp_path / "part_2", 0, rows[SORTED][:1], "text_emb", caption=captions[:1])
    shard(tmp_path / "part_10", 0, rows[SORTED][1:], "text_emb", caption=captions[1:])
    features = take(tmp_path)
    np.testing.assert_array_equal(features.train["text"], rows)
    assert doubts(features) == []


def test_clip_retrieval_without_metadata_is_on_trust(tmp_path: Path) -> None:
    shard(tmp_path, 0, vectors())
    assert doubts(take(tmp_path)) == [
        "img_emb/: the order was taken on trust to be that of train.csv; it would be certain with "
        "its metadata/"
    ]
    shard(tmp_path, 1, vectors(1), image_path=["x.jpg"])
    assert refused(tmp_path) == [
        "img_emb/img_emb_0.npy has no metadata, but other shards have",
        "img_emb/ has 5 rows, but train.csv has 4",
    ]


def test_metadata_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard(tmp_path, 0, vectors(), image_path=NAMES)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    assert refused(tmp_path)[0] == (
        "metadata/metadata_0.parquet is a Parquet file, which takes pyarrow to read; install it: "
        "pip install pyarrow"
    )


def test_metadata_out_of_step(tmp_path: Path) -> None:
    shard(tmp_path, 0, vectors(), image_path=NAMES[:3])
    assert refused(tmp_path)[0] == "img_emb/img_emb_0.npy has 4 rows, but metadata/ has 3 of it"
    shard(tmp_path, 0, vectors(), image_path=np.array([], dtype=float))
    assert refused(tmp_path) == ["img_emb/img_emb_0.npy has 4 rows, but metadata/ has 0 of it"]
    shard(tmp_path, 0, vectors(), width=[8, 8, 8, 8])  # which names no row
    assert len(doubts(take(tmp_path))) == 1


@pytest.mark.parametrize("rows", [3, 5])
def test_embeddings_and_metadata_of_other_numbers(tmp_path: Path, rows: int) -> None:
    shard(tmp_path, 0, vectors(rows), image_path=NAMES)
    assert refused(tmp_path) == [
        f"img_emb/img_emb_0.npy has {rows} rows, but metadata/ has 4 of it",
        f"img_emb/ has {rows} rows, but train.csv has 4",
    ]
