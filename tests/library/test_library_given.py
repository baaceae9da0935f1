"""What is given in Python is what is used: names of rows and classes, and arguments of any kind."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from library_samples import CLASSES, CONFIG, array_data, arrays

import hpo

NAMES = [f"{index}.jpg" for index in range(160)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> hpo.Model:
    return hpo.fit(array_data(tmp_path_factory.mktemp("given") / "cache"), CONFIG)


def load(labels: Any, cache: Path, **given: Any) -> hpo.Data:
    embeddings, _ = arrays()
    features = {"image": embeddings["image"].astype(np.float32)}
    return hpo.load_data(
        features=features, labels=labels, cache=cache, **{"progress": False} | given
    )


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(hpo.InputError) as caught:
        call()
    return str(caught.value)


def test_embeddings_to_predict_are_paired_by_their_indexes(model: hpo.Model) -> None:
    embeddings, _ = arrays()
    image = pd.DataFrame(embeddings["image"], index=NAMES)
    text = pd.DataFrame(embeddings["text"], index=NAMES)
    plain = model.predict_proba(**embeddings).to_numpy()
    found = model.predict_proba(image=image, text=text[::-1])
    assert found.index.tolist() == NAMES
    np.testing.assert_allclose(found.to_numpy(), plain, atol=1e-6)
    found = model.predict_proba(image=image[::-1], text=text)
    assert found.index.tolist() == NAMES[::-1]
    np.testing.assert_allclose(found.loc[NAMES].to_numpy(), plain, atol=1e-6)  # batches differ
    # A Series of vectors, and an index beside an array, which is in the order of the rows.
    series = pd.Series(list(embeddings["text"]), index=NAMES)
    assert (model.predict_proba(image=embeddings["image"], text=series) == plain).all(axis=None)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ([f"t{n}" for n in range(160)], "text has a row 't0' by its index, but that of image has"),
        (["0.jpg", *NAMES[:-1]], "text has 160 rows by its index, but that of image has 160; both"),
    ],
)
def test_indexes_that_name_other_rows(model: hpo.Model, index: list[str], said: str) -> None:
    embeddings, _ = arrays()
    image = pd.DataFrame(embeddings["image"], index=NAMES)
    text = pd.DataFrame(embeddings["text"], index=index)
    assert said in refused(lambda: model.predict(image=image, text=text))


def test_a_name_on_two_rows_in_another_order(model: hpo.Model) -> None:
    embeddings, _ = arrays(3)
    image = pd.DataFrame(embeddings["image"], index=["a", "a", "b"])
    text = pd.DataFrame(embeddings["text"], index=["a", "b", "a"])
    assert "text has 'a' on several rows of its index" in refused(
        lambda: model.predict(image=image, text=text)
    )


def test_embeddings_of_any_kind_of_array(model: hpo.Model) -> None:
    embeddings, _ = arrays(4)
    plain = model.predict_proba(**embeddings)
    text = torch.tensor(embeddings["text"], requires_grad=True)
    assert model.predict_proba(image=embeddings["image"], text=text).equals(plain)
    rows = [torch.tensor(row) for row in embeddings["image"]]
    assert model.predict_proba(image=rows, text=embeddings["text"]).equals(plain)
    half = torch.tensor(embeddings["text"]).bfloat16()
    assert model.predict_proba(image=rows, text=half).shape == (4, 3)
    assert model.predict_proba(image=np.zeros((0, 6)), text=np.zeros((0, 4))).shape == (0, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image": [[1.0], [1.0, 2.0]]}, "image can't be made an array [rows, width]; its rows m"),
        ({"image": None}, "there are no image embeddings, but the model reads them; give rows of"),
        ({"image": {"a": [1.0] * 6}}, "image is a mapping, but must be an array [rows, 6]; of a v"),
    ],
)
def test_embeddings_that_are_no_array(model: hpo.Model, given: dict[str, Any], said: str) -> None:
    assert said in refused(lambda: model.predict(**{"text": np.zeros((2, 4)), **given}))


@pytest.mark.parametrize(
    ("scaling", "said"), [("auto", True), ("standard", True), ("l2", False), ("none", False)]
)
def test_embeddings_of_another_length_than_at_training(
    scaling: str, said: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What ``l2`` makes of them is the same; ``none`` keeps nothing that tells it."""
    model = hpo.fit(array_data(tmp_path), CONFIG.replace(feature_scaling=scaling, epochs=1))
    embeddings, _ = arrays()
    model.predict(**embeddings)
    assert not caplog.text
    model.predict(image=3 * embeddings["image"], text=embeddings["text"])
    assert ("the image embeddings are 3 times as long as those that the" in caplog.text) == said
    assert "the text embeddings" not in caplog.text


def test_images_and_captions_are_lists(model: hpo.Model) -> None:
    assert refused(lambda: model.predict(images="a.jpg")) == (
        "images is 'a.jpg', but must be a list of paths"
    )
    assert refused(lambda: model.predict(captions="a dog")) == (
        "captions is 'a dog', but must be a list of texts"
    )
    assert refused(lambda: model.predict(images=[np.zeros(3)])) == (  # type: ignore[list-item]
        "images[0] is of type ndarray, but images must have paths, or None where there is none"
    )


def test_classes_of_named_columns(tmp_path: Path) -> None:
    _, hot = arrays()
    frame = pd.DataFrame(hot, columns=CLASSES)
    data = load(frame, tmp_path, classes=["fish", "dog", "cat"])
    assert data.classes == ("fish", "dog", "cat")
    assert (data.dataset.labels == hot[:, ::-1]).all()
    assert load(frame.to_numpy(), tmp_path, classes=["x", "y", "z"]).classes == ("x", "y", "z")
    assert load(pd.DataFrame(hot), tmp_path, classes=["x", "y", "z"]).classes == ("x", "y", "z")
    said = refused(lambda: load(frame, tmp_path, classes=["x", "y", "z"]))
    assert "the classes are 'x', 'y', 'z', but the columns of labels are called 'cat', 'do" in said
    several = frame.set_axis(pd.MultiIndex.from_product([["a"], CLASSES]), axis=1)
    assert "have 2 levels of names, such as ('a', 'cat'), but must have one" in refused(
        lambda: load(several, tmp_path)
    )


def test_labels_as_text_and_as_tensors(tmp_path: Path) -> None:
    _, hot = arrays()
    frame = pd.DataFrame(hot, columns=CLASSES)
    assert (load(frame.astype(str), tmp_path).dataset.labels == hot).all()
    said = refused(lambda: load(frame.assign(id=NAMES), tmp_path))
    assert "the column 'id' of labels has text, such as '0.jpg', but must have 0 or 1; nam" in said
    tensors = list(torch.tensor(hot))
    assert (load(tensors, tmp_path, classes=CLASSES).dataset.labels == hot).all()
    ids = torch.arange(160)
    assert load(frame, tmp_path, ids=ids).dataset.train.ids[:2] == ("0", "1")


def test_labels_with_names_and_an_array_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, hot = arrays()
    frame = pd.DataFrame(hot, columns=CLASSES, index=NAMES)
    data = load(frame, tmp_path)
    assert data.dataset.train.ids == tuple(NAMES)
    assert "the order was taken on trust to be that of labels" in caplog.text
    with pytest.raises(hpo.InputError, match="the order was taken on trust to be that of labels"):
        load(frame, tmp_path, strict=True)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load(hot, tmp_path, classes=CLASSES)  # nothing names rows, so nothing can be compared
        load(pd.concat([frame[:80]] * 2), tmp_path)  # names on two rows name none
    assert not caplog.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"strict": "no"}, "strict is 'no', but must be True or False."),
        ({"skip_bad_images": "no"}, "skip_bad_images is 'no', but must be True or False."),
        ({"progress": "no"}, "progress is 'no', but must be True, False or a function."),
        ({"device": None}, "device is None, but must be 'auto', 'cpu' or 'cuda:N'."),
    ],
)
def test_arguments_of_load_data(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    assert refused(lambda: load(arrays()[1], tmp_path, **given)) == said


def test_a_cache_that_is_no_folder() -> None:
    said = "cache is None, but must be the path of a folder."
    assert refused(lambda: load(arrays()[1], None)) == said  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"config": {"lr": 1}}, "config is a dict, but must be an hpo.Config."),
        ({"seed": "1"}, "seed is '1', but must be a whole number, 0 or above."),
        ({"seed": -1}, "seed is -1, but must be a whole number, 0 or above."),
        ({"threads": "2"}, "threads is '2', but must be a whole number above 0."),
        ({"memory_gb": "2"}, "memory_gb is '2', but must be a number above 0."),
        ({"device": torch.device("cpu")}, "device is a device, but must be 'auto', 'cpu' or 'c"),
    ],
)
def test_arguments_of_fit(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    data = array_data(tmp_path)
    assert refused(lambda: hpo.fit(data, **given)).startswith(said)
    assert refused(lambda: hpo.fit("demo", CONFIG)) == (  # type: ignore[arg-type]
        "data is 'demo', but must be what hpo.load_data returns."
    )


def test_a_split_in_our_words(tmp_path: Path) -> None:
    data = array_data(tmp_path)
    said = refused(lambda: hpo.train(data, split={"kind": "tail", "val_fraction": 0.2}))
    assert said.endswith(": val_rows must be there; val_fraction is no key of this kind.")
    assert refused(lambda: hpo.train(data, split={"val_rows": 3})).endswith(
        ": it must have a kind."
    )


def test_values_of_a_configuration_in_our_words() -> None:
    said = refused(lambda: hpo.Config(fusio="sum", hidden=64, lr=0, loss="fokal"))  # type: ignore[call-arg,arg-type]
    assert said.splitlines()[0] == "The configuration can't have these values:"
    assert sorted(said.splitlines()[1:]) == [
        "  hidden is 64, but must be a list",
        "  loss is 'fokal' (did you mean 'focal'?), but must be 'bce', 'focal', 'asl', 'two_way'",
        "  lr is 0, but must be greater than 0",
        f"  unknown name 'fusio' (did you mean 'fusion'?); there are: {', '.join(FIELDS)}",
    ]
    assert refused(lambda: hpo.Config("sum")) == (  # type: ignore[call-arg]
        "Config takes its values by name, such as lr=0.01."
    )
    said = refused(lambda: CONFIG.replace(lr_=1, epochs="x"))
    assert "unknown name 'lr_' (did you mean 'lr'?)" in said
    assert "epochs is 'x', but must be a whole number" in said


FIELDS = (
    *("fusion", "head", "hidden", "activation", "dropout", "feature_scaling", "loss", "optimizer"),
    *("lr", "weight_decay", "batch_size", "epochs", "ema_decay", "input_dropout"),
    *("modality_dropout", "encoder", "class_weight", "oversample"),
)


def test_a_space_by_its_name() -> None:
    assert hpo.load_space("best").name == "best"
    assert hpo.load_space("best", settings={"dropout": 0.6}).fixed.dropout == 0.6
    assert "no search space 'bst' (did you mean 'best'?)" in refused(lambda: hpo.load_space("bst"))
    assert refused(lambda: hpo.load_space(None)).startswith(  # type: ignore[arg-type]
        "space is None, but must be the name of a space, the path of a YAML file or a dictionary"
    )


def test_parts_without_a_name_and_parts_that_are_none() -> None:
    assert refused(lambda: hpo.register_loss(lambda *_: 0)) == (  # type: ignore[arg-type]
        'A loss needs a name, but got a function; write @hpo.register_loss("NAME") above it.'
    )
    assert refused(lambda: hpo.register_metric("three")(3)) == (  # type: ignore[type-var]
        "The metric 'three' is of type int, but must be a function or a class."
    )


def test_places_of_a_model(model: hpo.Model, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert refused(lambda: model.save(file)) == f"folder {file} is a file, but must be a folder"
    assert refused(lambda: model.export(tmp_path)) == (
        f"file {tmp_path} is a folder, but must be a file"
    )
    folder = model.save(tmp_path / "model")
    assert refused(lambda: hpo.load_model(None)) == (  # type: ignore[arg-type]
        "folder is None, but must be the path of a folder."
    )
    said = refused(lambda: hpo.load_model(folder, encoder="ViT-B-32/openai"))
    assert said.startswith("encoder is 'ViT-B-32/openai', but the model ")
    assert said.endswith(
        "was trained on imported embeddings, so it reads embeddings only; leave encoder out"
    )
