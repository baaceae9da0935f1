"""Keys of what is stored: a store of an older version must be found by this one.

The values were computed by the version before modalities and parts of a split went by name. One
that changes makes every stored study of that version begin again.
"""

from pathlib import Path

import numpy as np
import pytest
from features_samples import parts_of
from PIL import Image

from hpo.data import Dataset, Split, StratifiedSplit, TailSplit, load_dataset, make_split
from hpo.features import extract_features, import_features, resolve_encoder, save_bundle

ROWS, TEST_ROWS = 12, 4


def array(rows: int, width: int, start: int) -> np.ndarray:
    values = (np.arange(rows * width).reshape(rows, width) + start) % 17 / 8
    return np.asarray(values.astype(np.float32))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    lines = [f"{i}.png,{1 + i % 3} {1 + (i + 1) % 3},caption {i}\n" for i in range(ROWS)]
    (folder / "train.csv").write_bytes(("ImageID,Labels,Caption\n" + "".join(lines)).encode())
    lines = [f"t{i}.png,test {i}\n" for i in range(TEST_ROWS)]
    (folder / "test.csv").write_bytes(("ImageID,Caption\n" + "".join(lines)).encode())
    names = [*(f"{i}.png" for i in range(ROWS)), *(f"t{i}.png" for i in range(TEST_ROWS))]
    for number, name in enumerate(names, start=1):
        pixels = (np.arange(20 * 24 * 3).reshape(20, 24, 3) * number % 256).astype(np.uint8)
        # BMP has no compressor, whose version could change the bytes.
        Image.fromarray(pixels).save(folder / "images" / name, format="bmp")
    return folder


@pytest.fixture
def embeddings(tmp_path: Path) -> Path:
    folder = tmp_path / "embeddings"
    folder.mkdir()
    np.save(folder / "image.npy", array(ROWS, 5, 0))
    np.save(folder / "text.npy", array(ROWS, 3, 1))
    np.save(folder / "image_test.npy", array(TEST_ROWS, 5, 2))
    np.save(folder / "text_test.npy", array(TEST_ROWS, 3, 3))
    return folder


def tail(dataset: Dataset) -> Split:
    return make_split(dataset, TailSplit(kind="tail", val_rows=4))


def test_imported(data: Path, embeddings: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    dataset = load_dataset(data, images="ignore")
    features = import_features(embeddings, ROWS, TEST_ROWS, store, ids=dataset.train.ids)
    assert features.key == "0ce9c54aeeb39e6d6323"
    bundle = save_bundle(store, dataset, features, tail(dataset))
    assert bundle.key == "23577b40262fa4c15ab8"
    assert {path.name for path in (store / "bundles" / bundle.key).iterdir()} == {
        "bundle.json",
        "labels.npy",
        "rows.json",
        "split_train.npy",
        "split_val.npy",
    }
    for name in ("image", "image_test", "text_test"):
        (embeddings / f"{name}.npy").unlink()
    assert import_features(embeddings, ROWS, 0, store).key == "cc2c1a49047455a26003"


def test_imported_from_clip_retrieval(tmp_path: Path) -> None:
    for name, width in (("img_emb", 5), ("text_emb", 3)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / f"{name}_0.npy", array(ROWS + TEST_ROWS, width, 0))
    features = import_features(tmp_path, ROWS, TEST_ROWS, tmp_path / "store")
    assert features.key == "0863e5d7cf665532aaae"


def test_extracted(data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    encoder = resolve_encoder("demo", store)
    assert encoder.key("float32") == "614c67bb8dfdd12c4b69"
    assert encoder.key("float16") == "d8f34eaee383bb99cea9"
    dataset = load_dataset(data)
    features = extract_features(parts_of(dataset), "demo", store)
    assert features.key == "6bd1a231e22be6631d57"
    assert save_bundle(store, dataset, features, tail(dataset)).key == "3bc6eae47e61e546762b"
    spec = StratifiedSplit(kind="stratified", val_fraction=0.25, seed=3)
    stratified = save_bundle(store, dataset, features, make_split(dataset, spec, 5))
    assert stratified.key == "33037d42b4b735928f2d"
