"""Good embeddings, or the names beside them, damaged at random: no row gets another row's vector.

What no reader can know is left out: that values within an array were changed into other values, and
that two names were put in one another's place. Otherwise there must be the right result, an error
or a note.
"""

import json
import random
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from damage import DAMAGE, Damage
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.errors import InputError
from hpo.features import Features, import_features

COUNT, WIDTH = 12, 4
IDS = [f"picture{n}.jpg" for n in (5, 3, 11, 0, 7, 1, 9, 2, 10, 4, 8, 6)]
CAPTIONS = [f"caption of {name}" for name in IDS]
SORTED = sorted(range(COUNT), key=lambda row: IDS[row])
NAMES = [IDS[row] for row in SORTED]
VECTORS = np.arange(1, COUNT * WIDTH + 1, dtype=np.float16).reshape(COUNT, WIDTH)


def beside(name: str, write: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return what writes the array, and a file beside it."""

    def both(folder: Path) -> None:
        np.save(folder / "image.npy", VECTORS[SORTED])
        write(folder / name)

    return both


def lines(path: Path) -> None:
    path.write_text("".join(json.dumps({"file_name": name}) + "\n" for name in NAMES))


def parquet(folder: Path) -> None:
    vectors = VECTORS[SORTED].astype(float).tolist()
    table = pd.DataFrame({"image": NAMES, "embedding": vectors})
    table.to_parquet(folder / "image.parquet", write_page_checksum=True)


def clip_retrieval(folder: Path) -> None:
    for number, rows in enumerate((SORTED[:7], SORTED[7:])):
        for place in ("img_emb", "metadata"):
            (folder / place).mkdir(exist_ok=True)
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", VECTORS[rows])
        paths = pd.DataFrame({"image_path": [f"/d/{IDS[row]}" for row in rows]})
        metadata = folder / "metadata" / f"metadata_{number}.parquet"
        paths.to_parquet(metadata, write_page_checksum=True)


WRITERS: dict[str, Callable[[Path], None]] = {
    "ids.txt": beside("ids.txt", lambda path: path.write_text("\n".join(NAMES) + "\n")),
    "ids.npy": beside("image_ids.npy", lambda path: np.save(path, np.array(NAMES))),
    "names.json": beside("names.json", lambda path: path.write_text(json.dumps(NAMES))),
    "csv": beside(
        "image.csv",
        lambda path: pd.DataFrame({"filename": NAMES, "w": 9}).to_csv(path, index=False),
    ),
    "jsonl": beside("metadata.jsonl", lines),
    "captions": beside(
        "captions.txt", lambda path: path.write_text("".join(f"{CAPTIONS[r]}\n" for r in SORTED))
    ),
    "npz": lambda folder: np.savez(folder / "image.npz", emb=VECTORS[SORTED], ids=np.array(NAMES)),
    "parquet": parquet,
    "clip-retrieval": clip_retrieval,
}


@pytest.fixture(scope="module")
def good() -> dict[str, tuple[Path, set[str]]]:
    """A folder of each kind, and what is said of it."""
    root = Path(tempfile.mkdtemp())
    found = {}
    for kind, write in WRITERS.items():
        (root / kind).mkdir()
        write(root / kind)
        features = take(root / kind)
        np.testing.assert_array_equal(features.train["image"], VECTORS)
        found[kind] = (root / kind, {note.text for note in features.notes})
    return found


def take(folder: Path) -> Features:
    store = Path(tempfile.mkdtemp())
    try:
        return import_features(folder, COUNT, 0, store, ids=IDS, captions=CAPTIONS)
    finally:
        shutil.rmtree(store)


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(sorted(WRITERS)), damage=st.sampled_from(DAMAGE), seed=st.integers(0))
def test_damaged_embeddings(
    good: dict[str, tuple[Path, set[str]]], kind: str, damage: Damage, seed: int
) -> None:
    folder, usual = good[kind]
    rng = random.Random(seed)
    file = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    content = file.read_bytes()
    file.write_bytes(damage(content, rng))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what libraries say is for their developers
            features = take(folder)
    except InputError:
        return
    finally:
        file.write_bytes(content)
    if {note.text for note in features.notes} - usual:
        return
    found = np.array(features.train["image"])
    same = (found[:, None] == VECTORS[None]).all(axis=2)
    assert not (same & ~np.eye(COUNT, dtype=bool)).any()


def test_several_arrays_in_one_file(tmp_path: Path) -> None:
    with (tmp_path / "image.npy").open("wb") as file:
        np.save(file, VECTORS)
        np.save(file, VECTORS)
    with pytest.raises(InputError, match=r"image\.npy has 224 bytes more than the 96 of its array"):
        take(tmp_path)
