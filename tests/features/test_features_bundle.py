"""Bundles: what is saved comes back, and damage is named."""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.data import Dataset, Split
from hpo.errors import InputError
from hpo.features import Bundle, Features, import_features, load_bundle, save_bundle

MakeDataset = Callable[..., Dataset]


@pytest.fixture
def dataset(make_dataset: MakeDataset) -> Dataset:
    dataset: Dataset = make_dataset(train=6, test=3)
    return dataset


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def features(tmp_path: Path, store: Path) -> Features:
    rng = np.random.default_rng(0)
    folder = tmp_path / "embeddings"
    folder.mkdir()
    for name, rows, width in (
        ("image", 6, 4),
        ("text", 6, 3),
        ("image_test", 3, 4),
        ("text_test", 3, 3),
    ):
        np.save(folder / f"{name}.npy", rng.normal(size=(rows, width)).astype(np.float16))
    return import_features(folder, 6, 3, store)


SPLIT = Split(train=np.array([0, 1, 2, 4]), val=np.array([3, 5]))


def test_round_trip(dataset: Dataset, store: Path, features: Features) -> None:
    saved = save_bundle(store, dataset, features, SPLIT)
    # The store is one thing that can be moved.
    moved = store.rename(store.parent / "elsewhere")
    loaded = load_bundle(moved / "bundles" / saved.key)
    assert dataset.test is not None
    for bundle in (saved, loaded):
        assert bundle.key == saved.key
        assert bundle.features.key == features.key
        assert bundle.features.info == features.info
        assert bundle.classes == ("1", "2")
        assert bundle.ids == dataset.train.ids
        assert bundle.test_ids == dataset.test.ids
        assert bundle.dataset_fingerprint == dataset.fingerprint
        assert bundle.labels.dtype == np.uint8
        np.testing.assert_array_equal(bundle.labels, dataset.labels)
        assert bundle.split == SPLIT
        np.testing.assert_array_equal(bundle.labels_of("val"), dataset.labels[[3, 5]])
        for modality in ("image", "text"):
            np.testing.assert_array_equal(bundle.features.train[modality], features.train[modality])
            assert isinstance(bundle.features.train[modality], np.memmap)
            assert not bundle.features.train[modality].flags.writeable


def test_saving_again_changes_nothing(dataset: Dataset, store: Path, features: Features) -> None:
    first = save_bundle(store, dataset, features, SPLIT)
    folder = store / "bundles" / first.key
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert save_bundle(store, dataset, features, SPLIT).key == first.key
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    assert [path.name for path in (store / "bundles").iterdir()] == [first.key]


def test_everything_in_it_is_in_the_key(dataset: Dataset, store: Path, features: Features) -> None:
    labels = dataset.labels.copy()
    labels[0] = 1
    bundles = [
        save_bundle(store, changed, features, split)
        for changed, split in (
            (dataset, SPLIT),
            (dataset, Split(train=SPLIT["train"][:3], val=SPLIT["val"])),
            (dataset, Split(**SPLIT, test=[])),
            (replace(dataset, labels=labels), SPLIT),
            (replace(dataset, classes=("1", "3")), SPLIT),
            (replace(dataset, fingerprint="0" * 64), SPLIT),
            (replace(dataset, train=replace(dataset.train, ids=tuple("abcdef"))), SPLIT),
        )
    ]
    assert len({bundle.key for bundle in bundles}) == len(bundles)


def test_embeddings_without_a_test_part(dataset: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "text.npy", np.ones((6, 2), np.float16))
    features = import_features(tmp_path, 6, 0, tmp_path / "store")
    with pytest.raises(InputError, match="the text features have 0 test rows, but there are 3"):
        save_bundle(tmp_path / "store", dataset, features, SPLIT)
    alone = replace(dataset, test=None)
    assert save_bundle(tmp_path / "store", alone, features, SPLIT).test_ids == ()


def test_what_does_not_belong_together(
    dataset: Dataset, store: Path, features: Features, tmp_path: Path
) -> None:
    split = Split(train=np.array([0, 1, 6]), val=np.array([-1, 1]))
    fewer = replace(dataset, labels=dataset.labels[:5])
    with pytest.raises(InputError) as caught:
        save_bundle(tmp_path / "empty", fewer, replace(features, key="abc"), split)
    assert caught.value.problems == [
        "the labels are [5, 2], but must be [6, 2]: 6 rows, 2 classes",
        "the training part has row 6, but rows go from 0 to 5",
        "the validation part has row -1, but rows go from 0 to 5",
        "row 1 is in the training and in the validation part",
        f"the features 'abc' are not in the store '{tmp_path / 'empty'}'",
    ]
    rows = replace(dataset.train, ids=dataset.train.ids[:5])
    with pytest.raises(InputError, match="image features have 6 labelled rows, but there are 5"):
        save_bundle(store, replace(fewer, train=rows), features, SPLIT)


def test_another_part_is_one_more_name(dataset: Dataset, store: Path, features: Features) -> None:
    split = Split(train=[0, 1, 4], val=[3, 5], test=[2], empty=[])
    bundle = save_bundle(store, dataset, features, split)
    folder = store / "bundles" / bundle.key
    assert sorted(path.name for path in folder.glob("split_*")) == [
        "split_empty.npy",
        "split_test.npy",
        "split_train.npy",
        "split_val.npy",
    ]
    loaded = load_bundle(folder)
    assert loaded.split == split and list(loaded.split) == list(split)
    np.testing.assert_array_equal(loaded.labels_of("test"), dataset.labels[[2]])
    assert len(loaded.labels_of("empty")) == 0
    with pytest.raises(InputError) as caught:
        save_bundle(store, dataset, features, Split(val=[0, 3], test=[3, 8]))
    assert caught.value.problems == [
        "the split has the parts val, test, but must have 'train'",
        "the test part has row 8, but rows go from 0 to 5",
        "row 3 is in the validation and in the test part",
    ]


def saved_folder(store: Path, bundle: Bundle) -> Path:
    return store / "bundles" / bundle.key


def test_damage_is_named_and_mended(dataset: Dataset, store: Path, features: Features) -> None:
    bundle = save_bundle(store, dataset, features, SPLIT)
    folder = saved_folder(store, bundle)
    content = bytearray((folder / "labels.npy").read_bytes())
    content[-1] ^= 1
    (folder / "labels.npy").write_bytes(content)
    (folder / "rows.json").unlink()
    array = store / "features" / features.key / "train_image.npy"
    whole = array.read_bytes()
    array.write_bytes(whole[:-1])
    with pytest.raises(InputError) as caught:
        load_bundle(folder)
    lines = str(caught.value).splitlines()
    assert lines[:3] == [
        f"The bundle '{folder}' can't be used:",
        "  labels.npy is damaged: its SHA-256 is not the one in bundle.json",
        "  there is no file rows.json",
    ]
    assert lines[3].startswith("  The features folder '")
    assert lines[4].startswith("    train_image.npy is damaged: ")
    array.write_bytes(whole)
    again = save_bundle(store, dataset, features, SPLIT)
    assert again.key == bundle.key
    np.testing.assert_array_equal(again.labels, dataset.labels)


def equal(one: Bundle, other: Bundle) -> bool:
    arrays = [
        (one.labels, other.labels),
        *((one.split[part], other.split[part]) for part in ("train", "val")),
        *((one.features.train[m], other.features.train[m]) for m in ("image", "text")),
        *((one.features.test[m], other.features.test[m]) for m in ("image", "text")),
    ]
    names = (one.classes, one.ids, one.test_ids, one.key, one.dataset_fingerprint)
    return names == (
        *(other.classes, other.ids, other.test_ids, other.key, other.dataset_fingerprint),
    ) and all(np.array_equal(a, b) for a, b in arrays)


def test_a_changed_byte_is_never_used(dataset: Dataset, store: Path, features: Features) -> None:
    folder = saved_folder(store, save_bundle(store, dataset, features, SPLIT))
    whole_bundle = load_bundle(folder)
    paths = [*folder.iterdir(), *(store / "features" / features.key).iterdir()]
    assert len(paths) == 10
    for path in paths:
        whole = path.read_bytes()
        step = 1 if path.suffix == ".json" else 5
        for place in range(0, len(whole), step):
            changed = bytearray(whole)
            changed[place] ^= 0x04
            # replaced, as arrays that are mapped would change with the file
            path.unlink()
            path.write_bytes(changed)
            with contextlib.suppress(InputError):
                # such as a blank that becomes a line break; nothing of what is used has changed
                assert equal(load_bundle(folder), whole_bundle), (path.name, place)
        path.unlink()
        path.write_bytes(whole)
    assert equal(load_bundle(folder), whole_bundle)


def test_damaged_features_are_imported_again(
    dataset: Dataset, store: Path, features: Features, tmp_path: Path
) -> None:
    path = store / "features" / features.key / "train_image.npy"
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 0x40]))
    with pytest.raises(InputError, match=r"train_image\.npy is damaged: its checksum is wrong"):
        load_bundle(saved_folder(store, save_bundle(store, dataset, features, SPLIT)))
    assert import_features(tmp_path / "embeddings", 6, 3, store).key == features.key
    assert path.read_bytes() == whole


def test_a_store_of_earlier_versions_is_read(
    dataset: Dataset, store: Path, features: Features
) -> None:
    folder = saved_folder(store, save_bundle(store, dataset, features, SPLIT))
    path = store / "features" / features.key / "info.json"
    about = json.loads(path.read_text())
    for name in ("checksum", "crc32"):
        del about[name]
    path.write_text(json.dumps(about))
    assert load_bundle(folder).key


def test_bundle_json_damaged(dataset: Dataset, store: Path, features: Features) -> None:
    folder = saved_folder(store, save_bundle(store, dataset, features, SPLIT))
    about = json.loads((folder / "bundle.json").read_text())

    def fails(text: str, match: str) -> None:
        (folder / "bundle.json").write_text(text)
        with pytest.raises(InputError, match=match):
            load_bundle(folder)

    fails("{", "bundle.json is damaged: JSONDecodeError")
    fails("[]", "bundle.json is damaged: TypeError")
    fails(json.dumps({**about, "format": 9}), "has format 9, but this version reads 1")
    del about["classes"], about["sha256"]["rows.json"]
    fails(json.dumps(about), r"bundle\.json lacks classes, rows\.json$")


def test_missing_folders(dataset: Dataset, store: Path, features: Features) -> None:
    with pytest.raises(InputError, match=r"there is no file bundle\.json$"):
        load_bundle(store / "bundles" / "no")
    folder = saved_folder(store, save_bundle(store, dataset, features, SPLIT))
    shutil.rmtree(store / "features" / features.key)
    with pytest.raises(InputError, match=r"there is no file info\.json$"):
        load_bundle(folder)


def test_what_has_the_content_of_another_one_is_not_taken_for_it(
    dataset: Dataset, store: Path, features: Features, tmp_path: Path
) -> None:
    mine = saved_folder(store, save_bundle(store, dataset, features, SPLIT))
    for path in (tmp_path / "embeddings").iterdir():
        np.save(path, np.load(path) * 2)
    others = import_features(tmp_path / "embeddings", 6, 3, store)
    other = saved_folder(store, save_bundle(store, dataset, others, SPLIT))
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    with pytest.raises(InputError) as caught:
        load_bundle(mine)
    assert str(caught.value).splitlines() == [
        f"The bundle '{mine}' can't be used:",
        f"  it has the content of another one, {other.name}",
    ]
    # what is damaged is made again
    assert save_bundle(store, dataset, features, SPLIT).key == mine.name
    here = store / "features" / others.key
    shutil.rmtree(here)
    shutil.copytree(store / "features" / features.key, here)
    with pytest.raises(InputError, match=f"it has the content of another one, {features.key}$"):
        load_bundle(other)
    again = import_features(tmp_path / "embeddings", 6, 3, store)
    assert again.key == others.key
    np.testing.assert_array_equal(
        again.train["image"], np.load(tmp_path / "embeddings" / "image.npy")
    )
