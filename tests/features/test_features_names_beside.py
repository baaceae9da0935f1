"""Names of rows in whatever programs write them, and tensors of every kind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from order_samples import CAPTIONS, IDS, NAMES, SORTED, doubts, refused, take, vectors
from safetensors.torch import save_file

from hpo.errors import InputError
from hpo.features import import_arrays, load_data

NUMBERS = [float(name.removesuffix(".jpg")) for name in NAMES]
SHUFFLED = vectors()[SORTED]


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("ids.json", lambda path: path.write_text(json.dumps(NUMBERS))),
        ("ids.json", lambda path: path.write_text(json.dumps(dict(enumerate(NAMES))))),
        ("ids.jsonl", lambda path: path.write_text(lines([{"id": n} for n in NUMBERS]))),
        ("metadata.json", lambda path: pd.DataFrame({"file": NAMES}).to_json(path)),
        ("metadata.parquet", lambda path: pd.DataFrame({"id": NUMBERS}).to_parquet(path)),
        (
            "metadata.parquet",
            lambda path: pd.DataFrame({"id": pd.Categorical(NAMES)}).to_parquet(path),
        ),
        (
            "metadata.parquet",
            lambda path: pd.DataFrame({"id": [n.encode() for n in NAMES]}).to_parquet(path),
        ),
    ],
)
def test_names_beside_an_array(tmp_path: Path, file: str, write: Callable[[Path], Any]) -> None:
    np.save(tmp_path / "image.npy", SHUFFLED)
    write(tmp_path / file)
    features = take(tmp_path)
    assert np.array_equal(features.train["image"], vectors())
    assert not doubts(features)


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("image.npz", lambda path: np.savez(path, a=SHUFFLED, ids=NUMBERS)),
        (
            "image.pt",
            lambda path: torch.save(
                {"a": torch.tensor(SHUFFLED), "ids": torch.tensor(NUMBERS)}, path
            ),
        ),
        (
            "image.parquet",
            lambda path: pd.DataFrame({"id": NUMBERS, "a": SHUFFLED.tolist()}).to_parquet(path),
        ),
    ],
)
def test_whole_floats_are_names_in_the_same_file(
    tmp_path: Path, file: str, write: Callable[[Path], Any]
) -> None:
    write(tmp_path / file)
    assert np.array_equal(take(tmp_path).train["image"], vectors())


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("filenames.npy", lambda path: np.save(path, np.array(NAMES)[:, None])),
        ("names.npz", lambda path: np.savez(path, np.array(NAMES))),
        ("ids.pt", lambda path: torch.save(NAMES, path)),
    ],
)
def test_names_alone_in_formats_of_arrays(
    tmp_path: Path, file: str, write: Callable[[Path], Any]
) -> None:
    np.save(tmp_path / "image.npy", SHUFFLED)
    write(tmp_path / file)
    features = take(tmp_path)
    assert list(features.train) == ["image"] and not doubts(features)
    assert np.array_equal(features.train["image"], vectors())


def test_each_array_has_names_of_its_own(tmp_path: Path) -> None:
    """What is called after images is of them, where the texts have their own."""
    np.save(tmp_path / "image.npy", SHUFFLED)
    np.save(tmp_path / "text.npy", vectors(seed=1)[::-1])
    (tmp_path / "image_ids.txt").write_text("\n".join(NAMES))
    (tmp_path / "text_ids.txt").write_text("\n".join(IDS[::-1]))
    features = take(tmp_path)
    assert np.array_equal(features.train["image"], vectors())
    assert np.array_equal(features.train["text"], vectors(seed=1))
    (tmp_path / "text_ids.txt").unlink()
    (tmp_path / "text_captions.txt").write_text("\n".join(CAPTIONS[::-1]))
    assert np.array_equal(take(tmp_path).train["text"], vectors(seed=1))


def test_pairs_and_what_transformers_gives_out(tmp_path: Path) -> None:
    pairs = [(n, torch.tensor(row)) for n, row in zip(NAMES, SHUFFLED, strict=True)]
    torch.save(pairs, tmp_path / "image.pt")
    assert np.array_equal(take(tmp_path).train["image"], vectors())
    torch.save([*pairs, pairs[0]], tmp_path / "image.pt")
    assert refused(tmp_path) == ["image.pt has two vectors of one name, but must have one for each"]
    (tmp_path / "image.pt").unlink()
    outputs = {"image_embeds": torch.tensor(vectors()), "logits_per_image": torch.ones(4, 4)}
    torch.save(outputs, tmp_path / "clip.pt")
    features = take(tmp_path)
    assert list(features.train) == ["image_embeds"]
    said = [note.text for note in features.notes]
    assert "clip.pt: logits_per_image beside it isn't read" in said


@pytest.mark.parametrize("text", [json.dumps(NAMES), "\n".join(NAMES), ",".join(NAMES), "x,y"])
def test_names_in_the_metadata_of_safetensors(tmp_path: Path, text: str) -> None:
    path = tmp_path / "image.safetensors"
    save_file({"a": torch.tensor(SHUFFLED)}, path, {"ids": text, "name": "mine"})
    if text == "x,y":
        assert refused(tmp_path) == [
            f"{path.name} has ids in its metadata that can't be read; write them as a list in JSON"
        ]
    else:
        assert np.array_equal(take(tmp_path).train["image"], vectors())


def test_safetensors_that_begin_as_pickles_do(tmp_path: Path) -> None:
    """The file begins with the length of its header, of which the first byte may be any."""
    path = tmp_path / "image.safetensors"
    for length in range(0, 256, 8):
        about = {"ids": json.dumps(NAMES), "about": "x" * length}
        save_file({"a": torch.tensor(SHUFFLED)}, path, about)
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert np.array_equal(take(tmp_path).train["image"], vectors())


def test_names_that_are_there_and_can_not_be_read(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", SHUFFLED)
    pd.to_pickle(NAMES, tmp_path / "ids.pkl")
    assert refused(tmp_path) == [
        "ids.pkl names rows, but isn't read; write one a line into ids.txt, or move it away"
    ]
    (tmp_path / "ids.pkl").rename(tmp_path / "x.bin")
    (tmp_path / "ids.json").write_text(json.dumps([[name] for name in NAMES]))
    assert refused(tmp_path) == [
        "ids.json has no ids that can be read; write one a line into ids.txt"
    ]
    (tmp_path / "ids.json").write_text('{"a.jpg": 0, "a.jpg": 1}')
    assert refused(tmp_path) == ["ids.json can't be read: an object has the key 'a.jpg' twice"]
    (tmp_path / "ids.json").unlink()
    (tmp_path / "ids.jsonl").write_text(lines([{"id": n} for n in NAMES[:3]] + [{"x": 1}]))
    (problem,) = refused(tmp_path)
    assert problem.startswith(f"ids.jsonl has no row for the ImageIDs '{NAMES[3]}'; --skip-bad")


def test_two_shards_of_one_number(tmp_path: Path) -> None:
    for kind in ("img_emb", "metadata"):
        (tmp_path / kind).mkdir()
    for name in ("img_emb_0", "img_emb_00"):
        np.save(tmp_path / f"img_emb/{name}.npy", SHUFFLED)
    frame = pd.DataFrame({"image_path": NAMES, "caption": [CAPTIONS[row] for row in SORTED]})
    frame.to_parquet(tmp_path / "metadata/metadata_0.parquet")
    assert refused(tmp_path)[0] == (
        "img_emb/ has img_emb_0.npy and img_emb_00.npy, which both have the number 0; remove the "
        "one that is wrong"
    )


def test_columns_of_floats_that_are_one_vector_are_told(tmp_path: Path) -> None:
    frame = pd.DataFrame(vectors(), columns=["f0", "f1", "f2"]).assign(id=IDS)
    frame.to_parquet(tmp_path / "image.parquet")
    text = "image.parquet: its 3 columns of floats, 'f0' to 'f2', are one vector"
    features = take(tmp_path)
    assert text in [note.text for note in features.notes] and not doubts(features)
    frame.assign(score=1.5).to_parquet(tmp_path / "image.parquet")
    assert doubts(take(tmp_path)) == [text.replace("3", "4").replace("f2", "score")]


def test_embeddings_of_rows_that_are_not_there_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", vectors())
    np.save(tmp_path / "image_test.npy", vectors())
    said = [note.text for note in take(tmp_path).notes]
    assert "image_test.npy isn't read, as there are no rows to predict" in said


@pytest.mark.parametrize(
    "kind",
    [
        lambda x: x.clone().requires_grad_(),
        lambda x: x.bfloat16(),
        lambda x: x.to(torch.float8_e4m3fn),
        lambda x: x.to_sparse(),
        lambda x: list(x.requires_grad_()),
        lambda x: pd.Series([row.tolist() for row in x]),
        lambda x: pd.DataFrame(x.numpy()).astype("Float32"),
        lambda x: x.tolist(),
        lambda x: pa.Table.from_pandas(pd.DataFrame(x.numpy())),
    ],
    ids=["grad", "bfloat16", "float8", "sparse", "list", "Series", "nullable", "lists", "arrow"],
)
def test_arrays_in_memory_of_every_kind(tmp_path: Path, kind: Callable[[Any], Any]) -> None:
    values = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [-1, -2, -4]], dtype=np.float32)
    found = import_arrays({"image": kind(torch.tensor(values))}, 4, tmp_path)
    assert np.array_equal(found.train["image"], values)


def test_tensors_in_files_of_every_kind(tmp_path: Path) -> None:
    values = torch.arange(12.0).reshape(4, 3)
    for tensor in (values.to_sparse(), values.to(torch.float8_e5m2).float().bfloat16()):
        torch.save(tensor, tmp_path / "image.pt")
        assert take(tmp_path).train["image"].shape == (4, 3)
    torch.save(values.to(torch.complex64).conj(), tmp_path / "image.pt")
    assert refused(tmp_path) == [
        "image.pt is complex64, but must be float16, float32, float64 or int8"
    ]


def test_what_is_masked_or_ragged_is_refused(tmp_path: Path) -> None:
    for values, said in [
        (np.ma.masked_array(vectors(), vectors() > 1), "has NaN or infinity in row"),
        ([[1.0, 2.0], [1.0]] * 2, "can't be made an array [rows, width]; its rows must be numbers"),
    ]:
        with pytest.raises(InputError) as caught:
            import_arrays({"image": values}, 4, tmp_path)
        assert said in str(caught.value)


def test_what_names_its_rows_otherwise_is_refused_with_the_way_on(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ImageID": IDS, "labels": list("abab")})
    by_name = dict(zip(IDS, vectors(), strict=True))
    with pytest.raises(InputError) as caught:
        load_data(frame, features={"image": by_name}, cache=tmp_path)
    assert caught.value.problems == [
        "features['image'] has a vector for each name of a row, but must be an array or a "
        "DataFrame: pd.DataFrame.from_dict(features['image'], orient='index')"
    ]
    with pytest.raises(InputError) as caught:
        load_data(frame, features={"image": pd.DataFrame(vectors()).assign(ImageID=IDS)})
    assert caught.value.problems == [
        "features['image'] has the column 'ImageID', which has no numbers; if it names the rows, "
        "make it the index: set_index('ImageID')"
    ]


def test_the_index_of_labels_is_compared_with_that_of_embeddings(tmp_path: Path) -> None:
    labels = pd.DataFrame({"cat": [1, 0, 1, 0], "dog": [0, 1, 1, 1]}, index=IDS)
    image = pd.DataFrame(SHUFFLED, index=NAMES)
    data = load_data(features={"image": image}, labels=labels, cache=tmp_path, progress=False)
    assert np.array_equal(data.features.train["image"], vectors())
    assert data.dataset.train.ids == tuple(IDS)
    test = pd.DataFrame(vectors()[:2], index=["t1", "t0"])
    both = load_data(features={"image": image}, labels=labels, test={"image": test}, cache=tmp_path)
    assert both.dataset.test is not None and both.dataset.test.ids == ("t1", "t0")
    with pytest.raises(InputError, match="the same names in different orders; leave ids out"):
        load_data(features={"image": image}, labels=labels, ids=NAMES, cache=tmp_path)


def test_an_index_that_was_turned_round_names_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ImageID": [f"{n}.jpg" for n in range(4)], "labels": list("abab")})
    image = pd.DataFrame(vectors()).iloc[::-1]
    data = load_data(frame, features={"image": image}, cache=tmp_path, progress=False)
    assert np.array_equal(data.features.train["image"], vectors())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"labels": {"a": ["x"]}}, "labels is a mapping, but must have one entry a row, in order"),
        ({"labels": "a b c d"}, "labels is of type str, but must have one entry a row, in order"),
        ({"ids": "abcd"}, "ids is of type str, but must be a list with a name for each row"),
        ({"classes": {"x", "y"}}, "classes is of type set, but must be a list of names, in order"),
        ({"classes": {0: "x"}}, "classes is of type dict, but must be a list of names, in order"),
        ({"modalities": "image"}, "modalities is of type str, but must be a list of names"),
        ({"columns": "labels"}, "columns is of type str, but must be a mapping such as "),
        ({"features": {1: vectors()}}, "features has the key 1, but must have names of modalities"),
    ],
)
def test_what_has_no_order_is_refused(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    whole = {"features": {"image": vectors()}, "labels": [["x"], ["y"], [], ["x"]], **given}
    with pytest.raises(InputError) as caught:
        load_data(cache=tmp_path, **whole)
    assert said in str(caught.value)


def test_captions_alone_ask_for_no_images(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ImageID": IDS, "caption": CAPTIONS, "labels": list("abab")})
    data = load_data(frame, encoder="demo", modalities=["text"], cache=tmp_path, progress=False)
    assert data.modalities == ("text",)
