"""What ``clip-retrieval inference`` writes, as embeddings of our rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from order_samples import CAPTIONS, IDS, NAMES, SORTED, doubts, refused, take, vectors

from hpo.features import read_embeddings
from hpo.notes import Note


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
        "its metadata/, or with the ImageIDs in ids.txt, one a line"
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


def test_names_beside_shards_that_have_no_metadata(tmp_path: Path) -> None:
    shard(tmp_path, 0, vectors()[SORTED])
    (tmp_path / "ids.txt").write_text("\n".join(NAMES))
    features = take(tmp_path)
    np.testing.assert_array_equal(features.train["image"], vectors())
    assert doubts(features) == []
    (tmp_path / "ids.txt").unlink()
    pd.DataFrame({"image_path": NAMES}).to_csv(tmp_path / "metadata" / "metadata_0.csv")
    assert refused(tmp_path) == [
        "metadata/ has metadata_0.csv, but only metadata_0.parquet and such are read; write the "
        "ImageIDs into ids.txt instead, one a line, or move it away"
    ]


@pytest.mark.parametrize("place", [".", "output"])
def test_shards_beside_arrays(tmp_path: Path, place: str) -> None:
    """Those of another modality are taken; those of the same, or below, are passed over, aloud."""
    names = {"image_path": NAMES}
    shard(tmp_path / place, 0, vectors(seed=1)[SORTED], "img_emb", **names)
    shard(tmp_path / place, 0, vectors(seed=2)[SORTED], "text_emb", **names)
    np.save(tmp_path / "text.npy", vectors())
    features = take(tmp_path)
    assert list(features.train) == (["image", "text"] if place == "." else ["text"])
    np.testing.assert_array_equal(features.train["text"], vectors())
    if place == ".":
        np.testing.assert_array_equal(features.train["image"], vectors(seed=1))
    inner = "" if place == "." else "output/"
    assert doubts(features)[1:] == [f"{inner}text_emb/ isn't read, as text.npy is there"]


def test_keys_that_captions_contradict(tmp_path: Path) -> None:
    """img2dataset counts rows in the order of its downloads, which isn't that of the table."""
    columns = {"key": ["000000000", "000000002", "000000007", "000000010"]}
    columns["caption"] = [CAPTIONS[row] for row in (0, 1, 2, 3)]
    shard(tmp_path, 0, vectors(), **columns)
    assert refused(tmp_path) == [
        "metadata/ has 'key' and 'caption', which put the rows in different orders; remove the one "
        "that is wrong"
    ]
    columns = {"key": [f"{row:09d}" for row in range(4)], "url": [f"https://x/{n}" for n in NAMES]}
    shard(tmp_path, 0, vectors()[SORTED], **columns)  # which only counts them
    np.testing.assert_array_equal(take(tmp_path).train["image"], vectors())


def test_shards_are_read_to_predict(tmp_path: Path) -> None:
    shard(tmp_path, 0, vectors(6)[[5, *SORTED][:2]], image_path=["x.jpg", NAMES[0]])
    shard(tmp_path, 1, vectors(6)[[*SORTED[1:], 4]], image_path=[*NAMES[1:], "y.jpg"])
    notes: list[Note] = []
    found = read_embeddings(tmp_path, "test.csv", 4, {"image": 3}, ids=IDS, notes=notes)
    np.testing.assert_array_equal(found["image"], vectors(6)[:4])
    assert [str(note) for note in notes] == [
        "img_emb/: 2 rows are none of test.csv, and not used",
        "img_emb/: in the order of test.csv by metadata/",
    ]
