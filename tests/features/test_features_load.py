"""Data from Python: folders, DataFrames and arrays end as the same kind of object."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpo.data import Dataset, StratifiedSplit, TailSplit, make_split
from hpo.errors import InputError
from hpo.features import (
    Counts,
    Data,
    DataOptions,
    folder_defaults,
    load_bundle,
    load_data,
    prepare_data,
    read_embeddings,
)

MakeDataset = Callable[..., Dataset]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "datasets"
TAIL = TailSplit(kind="tail", val_rows=2)


def array(rows: int, width: int, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, width))
    return np.asarray(values.astype(dtype))


def frame_of(dataset: Dataset) -> pd.DataFrame:
    names = [[dataset.classes[k] for k in np.flatnonzero(row)] for row in dataset.labels]
    images = [str(path) for path in dataset.train.images or ()]
    return pd.DataFrame({"image": images, "caption": dataset.train.captions, "labels": names})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder without images, and embeddings of three modalities."""
    root = tmp_path / "data"
    (root / "embeddings").mkdir(parents=True)
    lines = [f"{row}.jpg,{1 + row % 2},caption {row}" for row in range(6)]
    (root / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *lines]))
    (root / "test.csv").write_text("ImageID,Caption\n8.jpg,x\n9.jpg,y\n")
    for seed, (name, width) in enumerate({"audio": 4, "image": 5, "text": 3}.items()):
        np.save(root / "embeddings" / f"{name}.npy", array(6, width, seed))
        np.save(root / "embeddings" / f"{name}_test.npy", array(2, width, 10 + seed))
    return root


def test_a_third_modality_goes_all_the_way(folder: Path, tmp_path: Path) -> None:
    embeddings = folder / "embeddings"
    data = load_data(folder, features=embeddings, cache=tmp_path / "cache")
    assert data.modalities == ("image", "text", "audio")
    assert data.widths == {"image": 5, "text": 3, "audio": 4}
    assert (data.rows, data.test_rows, data.classes) == (6, 2, ("1", "2"))
    assert repr(data) == (
        "Data(6 labelled rows, 2 to predict; 2 classes; image 5, text 3, audio 4)"
    )
    bundle = data.bundle(TAIL)
    loaded = load_bundle(tmp_path / "cache" / "bundles" / bundle.key)
    expected = np.load(embeddings / "audio.npy").astype(np.float16)
    np.testing.assert_array_equal(loaded.features.train["audio"], expected)
    assert loaded.test_ids == ("8.jpg", "9.jpg")
    read = read_embeddings(embeddings, "test.csv", 2, {"audio": 4, "image": 5})
    np.testing.assert_array_equal(read["audio"].astype(np.float16), loaded.features.test["audio"])
    with pytest.raises(InputError) as caught:
        read_embeddings(embeddings, "test.csv", 2, {"audio": 3, "ocr": 2})
    assert caught.value.problems == [
        "audio_test.npy is 4 wide, but the model reads 3",
        "there is no file ocr_test.npy, but the model reads ocr embeddings; the folder has "
        "image, text, audio",
    ]


def test_arrays_for_a_folder_are_as_its_files(folder: Path, tmp_path: Path) -> None:
    embeddings, cache = folder / "embeddings", tmp_path / "cache"
    (folder / "hpo.yaml").write_text("set: {scale.width: 0.25}")
    files = load_data(folder, features=embeddings, cache=cache)
    names = ("text", "audio", "image")
    data = load_data(
        folder,
        features={name: np.load(embeddings / f"{name}.npy") for name in names},
        test={name: np.load(embeddings / f"{name}_test.npy") for name in names},
        cache=cache,
    )
    assert data.features.key == files.features.key
    assert data.bundle(TAIL).key == files.bundle(TAIL).key
    assert data.settings == files.settings == {"scale.width": 0.25}
    assert files.description == {
        "data": str(folder),
        "encoder": str(embeddings),
        "train_csv_sha256": files.dataset.fingerprint,
        "skipped": 0,
    }
    some = load_data(folder, features=embeddings, cache=cache, modalities=["audio"])
    assert some.modalities == ("audio",) and some.test_rows == 2


def test_a_frame_is_encoded_as_a_folder_is(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = make_dataset(train=6, test=2)
    assert dataset.test is not None
    frame, cache, encoder = frame_of(dataset), tmp_path / "cache", str(checkpoint)
    test = pd.DataFrame(
        {"image": [str(p) for p in dataset.test.images or ()], "caption": dataset.test.captions}
    )
    options = {"encoder": encoder, "cache": cache, "device": "cpu", "progress": False}
    data = load_data(frame, test=test, **options)
    assert data.modalities == ("image", "text") and (data.rows, data.test_rows) == (6, 2)
    np.testing.assert_array_equal(data.dataset.labels, dataset.labels)
    assert data.features.counts == {"image": Counts(8, 0), "text": Counts(8, 0)}
    only_captions = load_data(frame.drop(columns="image"), **options)
    assert only_captions.modalities == ("text",)
    assert only_captions.features.counts == {"text": Counts(0, 6)}
    only_images = load_data(frame.drop(columns="caption"), **options)
    assert only_images.modalities == ("image",)
    with pytest.raises(InputError, match=r"^the frame has neither a column of images nor one of"):
        load_data(frame[["labels"]], **options)

    assert dataset.train.images is not None
    dataset.train.images[1].write_bytes(b"rubbish")
    with pytest.raises(InputError) as caught:
        load_data(frame, **options)
    assert caught.value.problems == [
        "row 1 of the frame: image 'images/train1.png' is not an image that Pillow can read "
        "(7 bytes)"
    ]
    kept = load_data(frame, skip_bad_images=True, **options)
    assert kept.dataset.skipped == (str(dataset.train.images[1]),)
    assert kept.rows == len(kept.features.train["text"]) == 5
    assert kept.description["skipped"] == 1
    assert repr(kept).startswith("Data(5 labelled rows, 0 to predict, 1 left out; 2 classes; ")
    np.testing.assert_array_equal(kept.features.train["text"][1], data.features.train["text"][2])


def test_a_frame_with_arrays(tmp_path: Path) -> None:
    frame = pd.DataFrame({"tags": ["a b", "b", "a", "b"], "caption": list("wxyz")})
    features = {"image": array(4, 5, dtype="float64"), "text": array(4, 3)}
    test = {"image": array(3, 5, 1), "text": array(3, 3, 1)}
    data = load_data(frame, features=features, test=test, cache=tmp_path)
    assert (data.rows, data.test_rows, data.classes) == (4, 3, ("a", "b"))
    assert data.dataset.train.captions == ("w", "x", "y", "z")
    assert data.bundle(TAIL).test_ids == ("test_0", "test_1", "test_2")
    with pytest.raises(InputError) as caught:
        load_data(frame[:3], features=features, cache=tmp_path, test=test)
    assert caught.value.problems == [
        "features['image'] has 4 rows, but the frame has 3",
        "features['text'] has 4 rows, but the frame has 3",
    ]
    np.save(tmp_path / "image.npy", features["image"].astype(np.float32))
    from_folder = load_data(frame, features=tmp_path, cache=tmp_path)
    assert from_folder.modalities == ("image",) and from_folder.test_rows == 0
    (tmp_path / "image.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"image\.npy can't be read"):
        load_data(frame, features=str(tmp_path), cache=tmp_path)


def test_arrays_alone(tmp_path: Path) -> None:
    labels = np.array([[1, 0], [0, 1], [1, 1], [1, 0], [0, 1]])
    features = {"audio": array(5, 4)}
    data = load_data(features=features, labels=labels, classes=["x", "y"], cache=tmp_path)
    lists = load_data(
        features=features, labels=[["x"], ["y"], ["x", "y"], ["x"], ["y"]], cache=tmp_path
    )
    assert data.classes == lists.classes == ("x", "y")
    assert data.bundle(TAIL).key == lists.bundle(TAIL).key
    assert data.description["data"] == "arrays" and data.settings == {}
    stratified = data.bundle(StratifiedSplit(kind="stratified", val_fraction=0.4), train_rows=2)
    assert len(stratified.split["train"]) == 2


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        (
            {},
            [
                "there is neither a source nor labels, but must be one of them",
                "labels without a source need features, a mapping of names to arrays",
            ],
        ),
        (
            {"source": "x", "labels": [1], "columns": {}, "test": pd.DataFrame()},
            [
                "labels can't go with a source, which has its own",
                "test is a DataFrame, which can't go with a folder",
            ],
        ),
        (
            {"labels": [1], "features": {"a": [[1.0]]}, "columns": {}, "captions": "all"},
            [
                "columns is about a table, so it needs a folder or a DataFrame as source",
                "captions is about a table, so it needs a folder or a DataFrame as source",
                "captions is 'all', but must be 'mean', 'first' or 'each'",
            ],
        ),
        (
            {"source": "x", "features": "y", "encoder": "demo"},
            [
                "features are embeddings that exist already, so they can't go with encoder",
            ],
        ),
        (
            {"source": 3, "features": [1], "test": 4},
            [
                "source is of type int, but must be a folder, 'demo', a DataFrame or None",
                "features is of type list, but must be a folder or a mapping of names to arrays",
                "test is of type int, but must be a DataFrame or a mapping of names to arrays",
            ],
        ),
        (
            {"source": pd.DataFrame(), "features": {"a": [[1.0]]}, "test": pd.DataFrame()},
            ["test is a DataFrame, which can't go with arrays as features; give arrays"],
        ),
        (
            {"source": "x", "test": {"a": [[1.0]]}},
            ["test has arrays, so features must have arrays too"],
        ),
        (
            {
                "source": "x",
                "features": {"image": [[1.0]]},
                "test": {"image": []},
                "skip_test": True,
            },
            [
                "skip_test leaves the rows to predict of a data folder alone, so it needs one, and "
                "no test"
            ],
        ),
    ],
)
def test_arguments_that_do_not_go_together(
    arguments: dict[str, object], problems: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        load_data(**arguments)  # type: ignore[arg-type]
    assert caught.value.title == "These arguments don't make data:"
    assert caught.value.problems == problems


def test_what_is_wrong_with_the_rows_is_said_before_encoding(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(dataset: Dataset) -> None:
        make_split(dataset, TailSplit(kind="tail", val_rows=6))

    monkeypatch.setattr("hpo.features._gather.extract_features", None)
    options = DataOptions(folder, None, "demo", tmp_path, "cpu", False, ("text",))
    with pytest.raises(InputError, match="val_rows is 6, but must be less than the 6 rows of"):
        prepare_data(options, folder_defaults(options), refuse)


def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.demo._folder.DEMO_TRAIN_ROWS", 30)
    monkeypatch.setattr("hpo.demo._folder.DEMO_TEST_ROWS", 5)
    calls: list[str] = []
    data = load_data(
        "demo", cache=tmp_path, device="cpu", progress=lambda label, *_: calls.append(label)
    )
    assert (data.rows, data.test_rows, data.widths) == (30, 5, {"image": 64, "text": 64})
    assert data.features.info.encoder == "demo" and data.settings["scale.width"] == 0.125
    assert {"encoding images", "encoding captions"} <= set(calls)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets are not here")
@pytest.mark.parametrize("name", ["comp5329", "movies"])
def test_real_embeddings(name: str, tmp_path: Path) -> None:
    folder = SHARED / name
    data = load_data(folder, features=folder / "features", cache=tmp_path)
    assert data.modalities == ("image", "text")
    assert data.rows == len(np.load(folder / "features" / "text.npy", mmap_mode="r"))
    assert data.test_rows == len(data.dataset.test or ())
    assert isinstance(data, Data)


def test_rows_that_sources_lack_are_left_out_of_all(tmp_path: Path) -> None:
    """Each source lacks another row: by its names, by NaN in a file, by NaN in memory."""
    frame = pd.DataFrame({"ImageID": list("abcdef"), "labels": ["x", "y"] * 3})
    first, second, third = (array(6, 3, seed) for seed in range(3))
    folder = tmp_path / "first"
    folder.mkdir()
    np.save(folder / "image.npy", first[[5, 4, 3, 2, 0]])
    (folder / "ids.txt").write_text("f\ne\nd\nc\na\n")
    second[2] = np.nan
    third[4] = np.nan
    sources = {
        "first": folder,
        "second": {"image": second},
        "third": {"image": pd.DataFrame(third, index=list("abcdef"))},
    }
    with pytest.raises(InputError, match=r"first: .*\n.*ids\.txt has no row for the ImageIDs 'b'"):
        load_data(frame, features=sources, cache=tmp_path)
    data = load_data(frame, features=sources, cache=tmp_path, skip_bad_images=True)
    assert data.dataset.train.ids == ("a", "d", "f")
    assert data.dataset.skipped == ("b", "c", "e")
    for name, values in (("first", first), ("second", second), ("third", third)):
        np.testing.assert_array_equal(
            data.named[name].train["image"], values[[0, 3, 5]].astype(np.float16)
        )
    assert [note.text for note in data.notes if note.doubtful] == [
        "features['image']: the order was taken on trust to be that of the frame; it would be "
        "certain with a DataFrame with the ImageIDs as its index"
    ]
    with pytest.raises(InputError, match="as --strict asks"):
        load_data(frame, features=sources, cache=tmp_path, skip_bad_images=True, strict=True)


def test_arrays_with_their_labels_are_in_order(tmp_path: Path) -> None:
    data = load_data(features={"image": array(4, 3)}, labels=[["a"], ["b"]] * 2, cache=tmp_path)
    assert data.notes == ()
