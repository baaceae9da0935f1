"""Imported embeddings: what is taken, what is refused and in which words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpo.errors import InputError
from hpo.features import import_arrays, import_features, modality_names

SHARED = Path(__file__).resolve().parents[3] / "shared"


def values(rows: int, width: int, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(dtype)


def write(path: Path, array: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return array


def metadata(folder: Path, number: int = 0, **columns: list[str]) -> None:
    """Write what clip-retrieval says of the rows of a shard."""
    (folder / "metadata").mkdir(exist_ok=True)
    pd.DataFrame(columns).to_parquet(folder / "metadata" / f"metadata_{number}.parquet")


def problems(folder: Path, store: Path, train: int = 6, test: int = 2) -> list[str]:
    with pytest.raises(InputError) as caught:
        import_features(folder, train, test, store)
    assert str(caught.value).startswith(f"The embeddings folder '{folder}' can't be used:\n")
    assert not (store / "features").exists()
    return caught.value.problems


def test_plain_arrays(tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "store"
    image = write(folder / "image.npy", values(6, 5))
    text = write(folder / "text.npy", values(6, 3, 1, "float16"))
    image_test = write(folder / "image_test.npy", values(2, 5, 2, ">f4"))
    text_test = write(folder / "text_test.npy", np.asfortranarray(values(2, 3, 3, "float16")))
    features = import_features(folder, 6, 2, store)
    np.testing.assert_array_equal(features.train["image"], image.astype(np.float16))
    np.testing.assert_array_equal(features.train["text"], text)
    np.testing.assert_array_equal(features.test["image"], image_test.astype(np.float16))
    np.testing.assert_array_equal(features.test["text"], text_test)
    assert all(a.dtype == np.float16 for a in (*features.train.values(), *features.test.values()))
    assert features.info.source == "import" and features.info.widths == {"image": 5, "text": 3}
    # The key is the content's: float16 copies elsewhere have the same one, another value doesn't.
    other = tmp_path / "other"
    for name in ("image", "text", "image_test", "text_test"):
        write(other / f"{name}.npy", np.load(folder / f"{name}.npy").astype(np.float16))
    assert import_features(other, 6, 2, store).key == features.key
    image[0, 0] += 1
    write(other / "image.npy", image)
    assert import_features(other, 6, 2, store).key != features.key


def test_damaged_copy_is_made_again(tmp_path: Path) -> None:
    text = write(tmp_path / "in" / "text.npy", values(6, 3))
    features = import_features(tmp_path / "in", 6, 0, tmp_path)
    path = tmp_path / "features" / features.key / "train_text.npy"
    path.write_bytes(path.read_bytes()[:-1])
    again = import_features(tmp_path / "in", 6, 0, tmp_path)
    np.testing.assert_array_equal(again.train["text"], text.astype(np.float16))


def test_absent_modality_and_absent_test_part(tmp_path: Path) -> None:
    write(tmp_path / "in" / "text.npy", values(6, 3))
    features = import_features(tmp_path / "in", 6, 0, tmp_path / "store")
    assert list(features.train) == ["text"]
    assert features.test["text"].shape == (0, 3)


def test_test_part_without_test_csv_is_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "in" / "text.npy", values(6, 3))
    write(tmp_path / "in" / "text_test.npy", values(9, 4))
    assert import_features(tmp_path / "in", 6, 0, tmp_path).test["text"].shape == (0, 3)


def test_all_problems_are_listed(tmp_path: Path) -> None:
    image = values(6, 5)
    image[1, 2], image[4, 0] = np.nan, -np.inf
    image[3, 3] = 65520.0  # the smallest float32 that rounds to infinity
    image[5, 3] = -65519.0
    write(tmp_path / "in" / "image.npy", image)
    write(tmp_path / "in" / "text.npy", values(7, 3))
    write(tmp_path / "in" / "image_test.npy", values(2, 5).astype(np.int16))
    write(tmp_path / "in" / "text_test.npy", values(2, 3)[0])
    assert problems(tmp_path / "in", tmp_path) == [
        "image_test.npy is int16, but must be float16, float32, float64 or int8",
        "image.npy has NaN or infinity in rows 1, 4 (counted from 0)",
        "image.npy has values beyond ±65504, the largest of float16, in row 3 (counted from 0)",
        "text_test.npy has shape [3], but must be [rows, width]",
        "text.npy has 7 rows, but train.csv has 6",
    ]


def test_many_bad_rows_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "in" / "text.npy", np.full((9, 2), np.nan, np.float16))
    assert problems(tmp_path / "in", tmp_path, 9, 0) == [
        "text.npy has NaN or infinity in rows 0, 1, 2, 3, 4 and 4 more (counted from 0); "
        "--skip-bad-images leaves out rows that are NaN as a whole"
    ]


def test_parts_that_do_not_match(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder / "image.npy", values(6, 5))
    write(folder / "text_test.npy", values(2, 3))
    assert problems(folder, tmp_path) == [
        "there are image embeddings for train.csv, but none for test.csv, which has others",
        "there are text embeddings for test.csv, but none for train.csv",
    ]
    write(folder / "text.npy", values(6, 4))
    write(folder / "image_test.npy", values(2, 5))
    assert problems(folder, tmp_path) == [
        "text_test.npy is 3 wide, but text.npy is 4 wide",
        "mend text or leave it out: --modalities image",
    ]


def test_pickles_and_rubbish_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    np.save(folder / "image.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    (folder / "text.npy").write_bytes(b"not an array")
    assert problems(folder, tmp_path) == [
        "image.npy holds Python objects, which could run code when they are read, so it isn't; "
        "save one array of numbers, or of texts (dtype=str) instead",
        "text.npy can't be read: it is none of .npy, .npz, .safetensors, .parquet, or tensors in "
        ".pt",
    ]


def test_nothing_to_import(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert problems(tmp_path / "in", tmp_path) == [
        "there is neither image.npy nor text.npy, nor img_emb/ or text_emb/"
    ]
    assert problems(tmp_path / "no", tmp_path) == ["there is no such folder"]


@pytest.mark.parametrize("digits", [1, 2])
def test_clip_retrieval_shards(digits: int, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    image, text = values(25, 5, 0, "float16"), values(25, 3, 1, "float16")
    for shard in range(12):  # with one digit, the order by name would be wrong
        rows = slice(2 * shard, 2 * shard + 2 if shard < 11 else None)
        write(folder / "img_emb" / f"img_emb_{shard:0{digits}}.npy", image[rows])
        write(folder / "text_emb" / f"text_emb_{shard:0{digits}}.npy", text[rows])
    features = import_features(folder, 20, 5, tmp_path)
    np.testing.assert_array_equal(features.train["image"], image[:20])
    np.testing.assert_array_equal(features.test["text"], text[20:])
    only_train = import_features(folder, 25, 0, tmp_path)
    np.testing.assert_array_equal(only_train.train["text"], text)
    assert only_train.test["image"].shape == (0, 5)


def test_clip_retrieval_problems(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for shard in (0, 3):
        write(folder / "img_emb" / f"img_emb_{shard}.npy", values(2, 5))
    write(folder / "text_emb" / "text_emb_0.npy", values(2, 5))
    write(folder / "text_emb" / "text_emb_1.npy", values(2, 4))
    assert problems(folder, tmp_path) == [
        "img_emb/ has img_emb_3.npy, but lacks img_emb_1.npy, img_emb_2.npy",
        "text_emb/text_emb_1.npy is 4 wide, but the files before are 5",
        "img_emb/ has 4 rows, but train.csv has 6 or, with test.csv, 8",
        "text_emb/ has 2 rows, but train.csv has 6 or, with test.csv, 8",
    ]


def test_clip_retrieval_alignment(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    image = write(folder / "img_emb" / "img_emb_0.npy", values(5, 3, 0, "float16"))
    names = ["x/c.jpg", "x/a.jpg", "x/extra.jpg", "x/t.jpg", "x/b.jpg"]

    def take(ids: list[str], test_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
        metadata(folder, image_path=names)
        features = import_features(
            folder, len(ids), len(test_ids), tmp_path, ids=ids, test_ids=test_ids
        )
        return features.train["image"], features.test["image"]

    train, test = take(["a.jpg", "b", "c.jpg"], ["t"])
    np.testing.assert_array_equal(train, image[[1, 4, 0]])
    np.testing.assert_array_equal(test, image[[3]])
    with pytest.raises(
        InputError, match=r"test\.csv has 1 rows to predict, but there are no embed"
    ):
        take(["a.jpg"], ["nowhere"])
    with pytest.raises(InputError, match=r"metadata/ has no row for the ImageIDs 'd', 'e'; --skip"):
        take(["a", "d", "e"], [])
    names[2] = "y/a.jpg"
    with pytest.raises(InputError, match=r"has 'a\.jpg' on the rows 1 and 2, but needs one row"):
        take(["a.jpg", "b"], [])


def test_clip_retrieval_metadata_that_is_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder / "img_emb" / "img_emb_0.npy", values(3, 3, 0, "float16"))
    metadata(folder, image_path=["/d/c.jpg", "/d/a.jpg", "/d/b.jpg"])
    (folder / "metadata" / "metadata_0.parquet").write_bytes(b"rubbish")
    with pytest.raises(
        InputError, match=r"metadata/metadata_0\.parquet can't be read as Parquet: "
    ):
        import_features(folder, 3, 0, tmp_path, ids=["a.jpg", "b.jpg", "c.jpg"])


def test_any_name_is_a_modality(tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "store"
    arrays = {}
    for seed, (name, width) in enumerate({"text": 3, "ocr": 2, "image": 5, "audio": 4}.items()):
        arrays[name] = write(folder / f"{name}.npy", values(6, width, seed, "float16"))
        write(folder / f"{name}_test.npy", values(2, width, seed + 9))
    (folder / "._image.npy").write_bytes(b"what macOS leaves beside a file")
    assert modality_names(folder) == ("image", "text", "audio", "ocr")
    features = import_features(folder, 6, 2, store)
    assert list(features.train) == list(features.test) == ["image", "text", "audio", "ocr"]
    assert features.info.widths == {"image": 5, "text": 3, "audio": 4, "ocr": 2}
    for name, array in arrays.items():
        np.testing.assert_array_equal(features.train[name], array)
    some = import_features(folder, 6, 2, store, modalities=["ocr", "text"])
    assert list(some.train) == ["text", "ocr"] and some.key != features.key
    # It is the same as where the others never were.
    for name in ("image", "audio"):
        (folder / f"{name}.npy").unlink()
        (folder / f"{name}_test.npy").unlink()
    assert import_features(folder, 6, 2, store).key == some.key


def test_a_modality_beside_what_clip_retrieval_writes(tmp_path: Path) -> None:
    image = write(tmp_path / "in" / "img_emb" / "img_emb_0.npy", values(8, 5, 0, "float16"))
    (tmp_path / "in" / "text_emb").mkdir()
    audio = write(tmp_path / "in" / "audio.npy", values(6, 4, 1, "float16"))
    write(tmp_path / "in" / "audio_test.npy", values(2, 4, 2))
    assert modality_names(tmp_path / "in") == ("image", "audio")
    features = import_features(tmp_path / "in", 6, 2, tmp_path)
    np.testing.assert_array_equal(features.train["image"], image[:6])
    np.testing.assert_array_equal(features.test["image"], image[6:])
    np.testing.assert_array_equal(features.train["audio"], audio)


def test_names_that_stand_for_something_else(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder / "image.npy", values(6, 5))
    write(folder / "audio.npy", values(6, 2))
    for name in ("labels", "y_test", "concat", "Audio", "a-b", "2d"):
        write(folder / f"{name}.npy", values(3, 2))
    way_on = "; rename it or leave it out: --modalities image,audio"
    rule = (
        "can't name a modality, as a name must be lower-case letters, digits and '_', beginning "
        "with a letter and not ending with '_test'"
    )
    expected = [
        f"2d.npy: '2d' {rule}{way_on}",
        f"Audio.npy: 'Audio' {rule}{way_on}",
        f"a-b.npy: 'a-b' {rule}{way_on}",
        "concat.npy: 'concat' can't name a modality, as it stands for a way to fuse modalities"
        + way_on,
        f"labels.npy: 'labels' can't name a modality, as it stands for labels{way_on}",
        f"y.npy: 'y' can't name a modality, as it stands for labels{way_on}",
    ]
    assert problems(folder, tmp_path, 6, 0) == expected
    with pytest.raises(InputError) as caught:
        modality_names(folder)
    assert caught.value.problems == expected
    features = import_features(folder, 6, 0, tmp_path, modalities=("image", "audio"))
    assert list(features.train) == ["image", "audio"]
    with pytest.raises(InputError) as caught:
        import_features(folder, 6, 0, tmp_path, modalities=("labels", "audoi"))
    assert caught.value.problems == [
        "there is no modality 'labels'; there are: image, audio",
        "there is no modality 'audoi' (did you mean 'audio'?); there are: image, audio",
    ]


@pytest.mark.parametrize("name", ["labels", "targets", "y", "ids", "index", "split", "train"])
@pytest.mark.parametrize("also", ["val", "test", "all", "outputs", "meta", "sum", "mixed_joint"])
def test_reserved_names(name: str, also: str, tmp_path: Path) -> None:
    arrays = {name: values(6, 2), also: values(6, 2)}
    with pytest.raises(InputError) as caught:
        import_arrays(arrays, 6, tmp_path)
    starts = [f"features['{one}']: '{one}' can't name a modality, as it " for one in (name, also)]
    for problem, start in zip(caught.value.problems, starts, strict=True):
        assert problem.startswith(start)


def test_a_file_that_can_not_be_a_modality(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder / "image.npy", values(6, 5))
    write(folder / "text.npy", values(6, 3))
    write(folder / "audio.npy", values(6, 2).astype(np.uint8))
    write(folder / "ocr.npy", values(5, 2))
    write(folder / "mask.npy", values(6, 2)[None])
    assert problems(folder, tmp_path, 6, 0) == [
        "audio.npy is uint8, but must be float16, float32, float64 or int8; packed bits aren't "
        "read",
        "mask.npy has shape [1, 6, 2], but must be [rows, width]",
        "ocr.npy has 5 rows, but train.csv has 6",
        "mend audio, mask, ocr or leave it out: --modalities image,text",
    ]
    taken = import_features(folder, 6, 0, tmp_path, modalities=("image", "text"))
    assert list(taken.train) == ["image", "text"]


def test_arrays_are_like_files(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    image = write(folder / "image.npy", values(6, 5))
    image_test = write(folder / "image_test.npy", values(2, 5, 1))
    from_files = import_features(folder, 6, 2, tmp_path)
    for dtype in ("float32", "float64"):
        features = import_arrays(
            {"image": image.astype(dtype)},
            6,
            tmp_path,
            test_arrays={"image": image_test.astype(dtype)},
            test_rows=2,
        )
        assert features.key == from_files.key
    with pytest.raises(InputError) as caught:
        import_arrays(
            {"image": values(7, 5), "text": np.full((6, 2), 1e300), "ocr": values(6, 2)},
            6,
            tmp_path,
            test_arrays={"image": values(2, 5), "text": values(2, 2, dtype="int64")},
            test_rows=2,
            tables=("the frame", "the test frame"),
        )
    assert str(caught.value).splitlines() == [
        "The embeddings given can't be used:",
        "  features['image'] has 7 rows, but the frame has 6",
        "  test['text'] is int64, but must be float16, float32, float64 or int8",
        "  features['text'] has NaN or infinity in rows 0, 1, 2, 3, 4 and 1 more (counted from 0)",
        "  mend image, text or leave it out: modalities=['ocr']",
    ]


@pytest.mark.parametrize(
    ("arrays", "modalities", "problem"),
    [
        ({}, None, "features has no arrays, but must have one at least"),
        ({"a": [[1.0]]}, "a", "modalities is the text 'a', but must be a list of names"),
        ({"a": [[1.0]]}, [], "no modality is asked for, but must be one at least; there are: a"),
        ({"a": 1.0}, None, "features['a'] has shape [], but must be [rows, width]"),
        ({"a": np.ones((1, 0))}, None, "features['a'] is 0 wide, but must be at least 1"),
    ],
)
def test_arrays_that_are_none(
    arrays: dict[str, np.ndarray], modalities: list[str] | None, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        import_arrays(arrays, 1, tmp_path, modalities=modalities)
    assert caught.value.problems == [problem]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the COMP5329 data set is not here")
def test_real_embeddings(tmp_path: Path) -> None:
    folder = SHARED / "datasets" / "comp5329" / "features"
    features = import_features(folder, 30_000, 10_000, tmp_path)
    for modality in ("image", "text"):
        np.testing.assert_array_equal(
            features.train[modality], np.load(folder / f"{modality}.npy", mmap_mode="r")
        )
        assert features.test[modality].shape == (10_000, 768)
