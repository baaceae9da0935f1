"""Extraction against open_clip itself, and what is encoded again when."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import open_clip
import pytest
import torch
from features_samples import parts_of, write_checkpoint, write_image
from opened_files import opened_files
from PIL import Image

from hpo.data import Dataset, Rows
from hpo.data._rows import take_rows
from hpo.errors import InputError
from hpo.features import (
    Counts,
    DataOptions,
    extract_features,
    folder_defaults,
    load_features,
    prepare_data,
)
from hpo.features._model import Model

SHARED = Path(__file__).resolve().parents[3] / "shared"

MakeDataset = Callable[..., Dataset]


def reference(checkpoint: Path, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Encode one row at a time with nothing but open_clip."""
    name = f"local-dir:{checkpoint}"
    model, preprocess = open_clip.create_model_from_pretrained(name)
    tokenize = open_clip.get_tokenizer(name)
    model.eval()
    assert rows.images is not None
    with torch.no_grad():
        images = [
            model.encode_image(preprocess(Image.open(path))[None], normalize=False)
            for path in rows.images
        ]
        texts = [model.encode_text(tokenize([c]), normalize=False) for c in rows.captions]
    return torch.cat(images).numpy(), torch.cat(texts).numpy()


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / lengths)


def test_equals_open_clip_called_directly(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = make_dataset(train=7, test=3)
    features = extract_features(
        parts_of(dataset), str(checkpoint), tmp_path / "store", batch_size=4
    )
    assert dataset.test is not None
    for rows, part in ((dataset.train, features.train), (dataset.test, features.test)):
        image, text = reference(checkpoint, rows)
        for got, expected in ((part["image"], image), (part["text"], text)):
            assert got.dtype == np.float16 and got.shape == expected.shape
            assert isinstance(got, np.memmap)
            assert cosines(got, expected).min() > 0.9999
            # Not normalised: the lengths agree too, to float16's precision.
            np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)
    assert features.info.source == "open_clip"
    assert features.info.encoder == str(checkpoint)
    assert features.info.widths == {"image": 16, "text": 16}
    assert "image size 32" in features.info.preprocessing
    assert "0.5,0.4,0.3" in features.info.preprocessing


def test_images_that_are_not_rgb(checkpoint: Path, tmp_path: Path) -> None:
    paths = tuple(
        write_image(tmp_path / name, 1, mode)
        for name, mode in (("l.png", "L"), ("p.png", "P"), ("a.png", "RGBA"), ("c.jpg", "CMYK"))
    )
    rows = Rows(("l", "p", "a", "c"), ("", "x", "y", "z"), paths)
    labels = np.ones((4, 1), np.uint8)
    dataset = Dataset(tmp_path, rows, None, ("1",), labels, None, "")
    features = extract_features(parts_of(dataset), str(checkpoint), tmp_path / "store")
    image, text = reference(checkpoint, rows)
    assert cosines(features.train["image"], image).min() > 0.9999
    assert cosines(features.train["text"], text).min() > 0.9999
    assert features.test["image"].shape == (0, 16)


def test_nothing_is_encoded_twice(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(train=6, test=3)
    store = tmp_path / "store"
    first = extract_features(parts_of(dataset), str(checkpoint), store)
    assert first.counts == {"image": Counts(9, 0), "text": Counts(9, 0)}

    with monkeypatch.context() as patch:
        # A second run must not even load the model.
        patch.setattr("hpo.features._model.Model.__init__", None)
        second = extract_features(parts_of(dataset), str(checkpoint), store)
    assert second.key == first.key
    assert second.counts == {"image": Counts(0, 9), "text": Counts(0, 9)}

    captions = (*dataset.train.captions[:-1], "something else")
    changed = replace(dataset, train=replace(dataset.train, captions=captions))
    third = extract_features(parts_of(changed), str(checkpoint), store)
    assert third.key != first.key
    assert third.counts == {"image": Counts(0, 9), "text": Counts(1, 8)}
    np.testing.assert_array_equal(third.train["text"][:-1], first.train["text"][:-1])
    assert not np.array_equal(third.train["text"][-1], first.train["text"][-1])

    assert dataset.train.images is not None
    write_image(dataset.train.images[2], seed=77)
    fourth = extract_features(parts_of(dataset), str(checkpoint), store)
    assert fourth.key not in (first.key, third.key)
    assert fourth.counts == {"image": Counts(1, 8), "text": Counts(0, 9)}
    unchanged = [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(fourth.train["image"][unchanged], first.train["image"][unchanged])
    assert not np.array_equal(fourth.train["image"][2], first.train["image"][2])


def test_equal_items_are_encoded_once(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = make_dataset(train=5, test=2)
    captions = ("same", "same", "other", "same", "other")
    train = replace(dataset.train, captions=captions)
    assert train.images is not None
    write_image(train.images[3], seed=0)  # a copy of the first
    features = extract_features(
        parts_of(replace(dataset, train=train)), str(checkpoint), tmp_path / "store"
    )
    assert features.counts == {"image": Counts(6, 0), "text": Counts(4, 0)}
    text, image = features.train["text"], features.train["image"]
    assert (text[[1, 3]] == text[0]).all() and (text[4] == text[2]).all()
    assert (text[0] != text[2]).any()
    assert (image[3] == image[0]).all() and (image[1] != image[0]).any()


def test_another_checkpoint_has_another_key(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset, store = make_dataset(train=2, test=0), tmp_path / "store"
    one = extract_features(parts_of(dataset), str(write_checkpoint(tmp_path / "one")), store)
    two = extract_features(
        parts_of(dataset), str(write_checkpoint(tmp_path / "two", seed=1)), store
    )
    assert one.key != two.key and one.info.weights_hash != two.info.weights_hash
    assert two.counts["image"] == Counts(2, 0)
    # The same files under another name are the same encoder.
    (tmp_path / "one").rename(tmp_path / "moved")
    moved = extract_features(parts_of(dataset), str(tmp_path / "moved"), store)
    assert moved.key == one.key and moved.counts["image"] == Counts(0, 2)
    # The preprocessing counts, even with equal weights.
    config = tmp_path / "moved" / "open_clip_config.json"
    config.write_text(config.read_text().replace("0.5", "0.25"))
    assert extract_features(parts_of(dataset), str(tmp_path / "moved"), store).key != one.key


def test_without_images_only_captions(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = make_dataset(train=3, test=1)
    assert dataset.test is not None
    dataset = replace(
        dataset,
        train=replace(dataset.train, images=None),
        test=replace(dataset.test, images=None),
    )
    features = extract_features(parts_of(dataset), str(checkpoint), tmp_path / "store")
    assert list(features.train) == list(features.test) == ["text"]


def test_same_numbers_whatever_is_missing(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = make_dataset(train=12, test=0)
    whole = extract_features(parts_of(dataset), str(checkpoint), tmp_path / "a", batch_size=12)
    rows = dataset.train
    assert rows.images is not None
    half = Rows(rows.ids[::2], rows.captions[::2], rows.images[::2])
    part = replace(dataset, train=half, labels=dataset.labels[::2])
    extract_features(parts_of(part), str(checkpoint), tmp_path / "b", batch_size=5)
    pieces = extract_features(parts_of(dataset), str(checkpoint), tmp_path / "b", batch_size=1)
    assert pieces.key == whole.key and pieces.counts["image"] == Counts(6, 6)
    for modality in ("image", "text"):
        np.testing.assert_allclose(
            pieces.train[modality], whole.train[modality], rtol=2e-3, atol=2e-4
        )


def test_goes_on_after_kill(checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset(train=60, test=4)
    script = tmp_path / "extract.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from hpo.data import Rows\n"
        "from hpo.features import _chunks, extract_features\n"
        "from hpo.features._model import Model\n"
        "_chunks.CHUNK_ITEMS = 8\n"
        "prepare = Model.prepare\n"
        "def slow(self, content):\n"
        "    time.sleep(0.05)\n"
        "    return prepare(self, content)\n"
        "Model.prepare = slow\n"
        "root, checkpoint, store = map(Path, sys.argv[1:])\n"
        "def rows(part, n):\n"
        "    ids = tuple(f'{part}{i}.png' for i in range(n))\n"
        "    captions = tuple(f'a {part} picture, number {i}' for i in range(n))\n"
        "    return Rows(ids, captions, tuple(root / i for i in ids))\n"
        "parts = {'train': rows('train', 60), 'test': rows('test', 4)}\n"
        "extract_features(parts, str(checkpoint), store, threads=1, batch_size=4)\n"
    )
    store = tmp_path / "store"
    process = subprocess.Popen(
        [sys.executable, str(script), str(dataset.root), str(checkpoint), str(store)],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    deadline = time.monotonic() + 60
    while len(list(store.glob("encoded/*/image/*.safetensors"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(store.glob("features/*/info.json"))

    features = extract_features(parts_of(dataset), str(checkpoint), store)
    assert features.counts["text"] == Counts(0, 64)
    assert 16 <= features.counts["image"].reused < 64
    assert sum(vars(features.counts["image"]).values()) == 64
    whole = extract_features(parts_of(dataset), str(checkpoint), tmp_path / "other")
    assert whole.key == features.key
    for part, other in ((features.train, whole.train), (features.test, whole.test)):
        for modality in ("image", "text"):
            np.testing.assert_allclose(part[modality], other[modality], rtol=2e-3, atol=2e-4)


def damage(dataset: Dataset) -> None:
    """One image with half of its bytes, one of rubbish twice, one that isn't there."""
    paths = dataset.train.images
    assert paths is not None
    paths[1].write_bytes(paths[1].read_bytes()[:50])
    paths[2].write_bytes(b"rubbish")
    paths[4].write_bytes(b"rubbish")
    assert dataset.test is not None and dataset.test.images is not None
    dataset.test.images[1].unlink()


def test_bad_images_are_all_named_and_the_rest_is_kept(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset, store = make_dataset(train=6, test=3), tmp_path / "store"
    train = replace(dataset.train, table="train.csv", lines=(2, 3, 4, 6, 7, 8))
    dataset = replace(dataset, train=train)
    damage(dataset)
    with pytest.raises(InputError) as caught:
        extract_features(parts_of(dataset), str(checkpoint), store, batch_size=2)
    assert caught.value.title == (
        "Images can't be encoded; mend them, or leave their rows out with --skip-bad-images:"
    )
    cut, *others = caught.value.problems
    assert re.match(r"train\.csv line 3: image 'images/train1\.png' can't be decoded: .", cut)
    assert others == [
        *(
            f"train.csv line {line}: image 'images/{name}' is not an image that Pillow can read "
            "(7 bytes)"
            for line, name in ((4, "train2.png"), (7, "train4.png"))
        ),
        "row 1 of the data: image 'images/test1.png' can't be read: No such file or directory",
    ]
    assert not (store / "features").exists()

    features = extract_features(parts_of(dataset), str(checkpoint), store, skip_bad_images=True)
    assert features.counts == {"image": Counts(0, 5), "text": Counts(0, 9)}
    assert {part: list(bad) for part, bad in features.left_out.items()} == {
        "train": [1, 2, 4],
        "test": [1],
    }
    assert features.left_out["test"][1] == others[2]
    assert [len(array) for array in features.train.values()] == [3, 3]
    assert [len(array) for array in features.test.values()] == [2, 2]
    image, text = reference(checkpoint, take_rows(train, np.array([1, 0, 0, 1, 0, 1], bool)))
    assert cosines(features.train["image"], image).min() > 0.9999
    assert cosines(features.train["text"], text).min() > 0.9999
    # They are the features of those rows, whatever stood between them.
    kept = {
        "train": take_rows(train, np.array([1, 0, 0, 1, 0, 1], bool)),
        "test": take_rows(parts_of(dataset)["test"], np.array([1, 0, 1], bool)),
    }
    again = extract_features(kept, str(checkpoint), store)
    assert again.key == features.key and again.left_out == {}


def test_no_image_to_read_at_all(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = make_dataset(train=2, test=1)
    for rows in parts_of(dataset).values():
        for path in rows.images or ():
            path.unlink()
    with pytest.raises(InputError) as caught:
        extract_features(parts_of(dataset), str(checkpoint), tmp_path / "s", skip_bad_images=True)
    assert caught.value.problems == [
        "none of the 2 rows of the data has an image to read",
        "none of the 1 rows of the data has an image to read",
    ]


def test_an_embedding_that_float16_cannot_hold(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, store = make_dataset(train=4, test=0), tmp_path / "store"
    encode = Model.encode_images

    def broken(model: Model, images: list[torch.Tensor]) -> np.ndarray:
        rows = encode(model, images)
        rows[0] = np.nan
        return rows

    monkeypatch.setattr(Model, "encode_images", broken)
    with pytest.raises(InputError) as caught:
        extract_features(parts_of(dataset), str(checkpoint), store, batch_size=3, threads=1)
    monkeypatch.undo()
    assert caught.value.problems == [
        f"row {row} of the data: image 'images/train{row}.png' has an embedding that is not finite "
        "in float16"
        for row in (0, 3)
    ]
    features = extract_features(parts_of(dataset), str(checkpoint), store)
    assert features.counts["image"] == Counts(2, 2)


@pytest.mark.parametrize("threads", [1, 4])
def test_each_image_is_opened_once(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path, threads: int
) -> None:
    dataset, store = make_dataset(train=30, test=7), tmp_path / "store"
    paths = [path for rows in parts_of(dataset).values() for path in rows.images or ()]
    shutil.copy(paths[0], paths[5])  # equal content is read, but not encoded again
    paths[6].write_bytes(b"rubbish")

    def opened(encoder: Path = checkpoint) -> dict[str, int]:
        with opened_files() as files, contextlib.suppress(InputError):
            extract_features(parts_of(dataset), str(encoder), store, threads=threads, batch_size=4)
        return {path: count for path, count in files.items() if path.endswith(".png")}

    assert opened() == {str(path): 1 for path in paths}
    assert opened() == {str(paths[6]): 1}, "only what is not encoded yet"
    write_image(paths[6], 500)
    assert opened() == {str(paths[6]): 1}
    assert opened() == {}
    os.utime(paths[9], (1, 1))
    with mock.patch("hpo.features._model.Model.__init__") as loading:
        assert opened() == {str(paths[9]): 1}, "touched, so it is hashed"
    assert not loading.called, "but not encoded"
    other = write_checkpoint(tmp_path / "other", seed=1)
    assert opened(other) == {str(path): 1 for path in paths}
    assert opened(other) == {}


def test_a_folder_by_the_command_opens_each_image_once(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset = make_dataset(train=4, test=0)
    lines = [f"{name},1,{name}" for name in dataset.train.ids]
    (tmp_path / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *lines]))
    options = DataOptions(tmp_path, None, str(checkpoint), tmp_path / "store", "cpu", False)
    with opened_files() as files:
        data = prepare_data(options, folder_defaults(options), progress=False)
    assert data.rows == 4
    assert {path: count for path, count in files.items() if path.endswith(".png")} == {
        str(path): 1 for path in dataset.train.images or ()
    }


def test_only_what_is_asked_for_is_encoded(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    parts, store = parts_of(make_dataset(train=3, test=1)), tmp_path / "store"
    text = extract_features(parts, str(checkpoint), store, modalities=["text"])
    assert list(text.train) == list(text.test) == ["text"]
    assert text.counts == {"text": Counts(4, 0)}
    image = extract_features(parts, str(checkpoint), store, modalities=("image",))
    assert list(image.train) == ["image"] and image.counts == {"image": Counts(4, 0)}
    both = extract_features(parts, str(checkpoint), store, modalities=("text", "image"))
    assert list(both.train) == ["image", "text"]
    assert both.key == extract_features(parts, str(checkpoint), store).key
    with pytest.raises(InputError) as caught:
        extract_features(parts, str(checkpoint), store, modalities=("audio", "txt"))
    assert caught.value.problems == [
        "there is no modality 'audio'; there are: image, text",
        "there is no modality 'txt' (did you mean 'text'?); there are: image, text",
    ]


def test_damaged_chunk_is_made_again(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset, store = make_dataset(train=5, test=0), tmp_path / "store"
    first = extract_features(parts_of(dataset), str(checkpoint), store)
    expected = np.array(first.train["image"])
    (chunk,) = store.glob("encoded/*/image/*.safetensors")
    content = bytearray(chunk.read_bytes())
    content[-3] ^= 1
    chunk.write_bytes(content)
    for path in (store / "features" / first.key).iterdir():
        path.unlink()
    again = extract_features(parts_of(dataset), str(checkpoint), store)
    assert again.counts == {"image": Counts(5, 0), "text": Counts(0, 5)}
    np.testing.assert_array_equal(again.train["image"], expected)


def test_damaged_features_folder(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    dataset, store = make_dataset(train=5, test=2), tmp_path / "store"
    first = extract_features(parts_of(dataset), str(checkpoint), store)
    folder = store / "features" / first.key
    (folder / "train_text.npy").unlink()
    path = folder / "test_image.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"there is no file train_text\.npy") as caught:
        load_features(folder)
    assert len(caught.value.problems) == 2
    assert caught.value.problems[1].startswith("test_image.npy is damaged: ")
    # The encoded items are still there, so the folder is put together again.
    again = extract_features(parts_of(dataset), str(checkpoint), store)
    assert again.counts == {"image": Counts(0, 7), "text": Counts(0, 7)}
    assert load_features(folder).train["text"].shape == (5, 16)


def test_progress_counts_items(checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    extract_features(
        parts_of(make_dataset(train=5, test=0)),
        str(checkpoint),
        tmp_path / "store",
        batch_size=2,
        progress=lambda *call: calls.append(call),
    )
    assert [call for call in calls if call[0] == "encoding images"] == [
        ("encoding images", done, 5) for done in (0, 2, 4, 5)
    ]


@pytest.mark.parametrize("name", ["threads", "batch_size"])
def test_numbers_below_one(name: str, make_dataset: MakeDataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{name} is 0, but must be at least 1$"):
        extract_features(parts_of(make_dataset(2, 0)), "demo", tmp_path, **{name: 0})  # type: ignore[arg-type]


def test_device_that_is_not_there(
    checkpoint: Path, make_dataset: MakeDataset, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"^the device 'cuda:99' can't be used here: "):
        extract_features(parts_of(make_dataset(2, 0)), str(checkpoint), tmp_path, device="cuda:99")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the COMP5329 data set is not here")
def test_real_images(checkpoint: Path, tmp_path: Path) -> None:
    paths = tuple(sorted((SHARED / "datasets" / "comp5329" / "data").glob("*.jpg"))[:12])
    rows = Rows(tuple(p.name for p in paths), tuple(f"picture {p.stem}" for p in paths), paths)
    dataset = Dataset(tmp_path, rows, None, ("1",), np.ones((12, 1), np.uint8), None, "")
    features = extract_features(parts_of(dataset), str(checkpoint), tmp_path / "store", threads=2)
    image, text = reference(checkpoint, rows)
    assert cosines(features.train["image"], image).min() > 0.9999
    assert cosines(features.train["text"], text).min() > 0.9999
