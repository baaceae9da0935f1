"""A model from Python: kept, loaded, and asked for labels as ``hpo predict`` is."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from library_samples import CONFIG, array_data, arrays

import hpo
from hpo.predict import main as predict


@pytest.fixture(scope="module")
def kept(model: hpo.Model, home: Path) -> Path:
    return model.save(home / "my-model")


@pytest.fixture(scope="module")
def test_rows(demo: hpo.Data, home: Path) -> tuple[list[Path], list[str]]:
    """Images and captions of the rows to predict of the demo."""
    with (home / ".hpo" / "demo" / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = [home / ".hpo" / "demo" / "images" / row["ImageID"] for row in rows]
    return images, [row["Caption"] for row in rows]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_loaded_predicts_what_was_kept(
    model: hpo.Model, kept: Path, home: Path, test_rows: tuple[list[Path], list[str]]
) -> None:
    images, captions = test_rows
    loaded = hpo.load_model(kept, cache=home / ".hpo")
    assert (loaded.config, loaded.classes) == (model.config, model.classes)
    assert repr(loaded) == repr(model)
    pd.testing.assert_frame_equal(
        loaded.predict_proba(images=images, captions=captions),
        model.predict_proba(images=images, captions=captions),
    )


def test_images_and_captions_get_what_the_command_gives(
    kept: Path, home: Path, tmp_path: Path, test_rows: tuple[list[Path], list[str]]
) -> None:
    out, table = tmp_path / "predictions.csv", tmp_path / "probabilities.csv"
    files = ["--out", str(out), "--probabilities", str(table), "--cache", str(home / ".hpo")]
    assert predict(["--model", str(kept), "--data", str(home / ".hpo" / "demo"), *files]) == 0
    images, captions = test_rows
    loaded = hpo.load_model(kept, cache=home / ".hpo")
    labels = loaded.predict(images=images, captions=captions)
    rows = read(out)
    assert [row["Labels"].split() for row in rows] == labels
    probabilities = loaded.predict_proba(images=images, captions=captions)
    assert list(probabilities.index) == [str(path) for path in images]
    assert probabilities.index.name == "image"
    assert list(probabilities.columns) == list(loaded.classes)
    cells = [list(row.values())[1:] for row in read(table)]
    np.testing.assert_array_equal(probabilities.to_numpy(), np.array(cells, dtype=np.float32))


def test_embeddings_get_the_same_as_what_they_are_of(
    demo: hpo.Data, model: hpo.Model, test_rows: tuple[list[Path], list[str]]
) -> None:
    images, captions = test_rows
    embeddings = {name: demo.features.test[name] for name in model.modalities}
    encoded = model.predict_proba(images=images, captions=captions).to_numpy()
    for kind in (np.float16, np.float32, np.float64):
        given = {name: np.asarray(array, dtype=kind) for name, array in embeddings.items()}
        frame = model.predict_proba(**given)
        np.testing.assert_array_equal(frame.to_numpy(), encoded)
        assert list(frame.index) == list(range(len(images)))
    assert model.predict(**embeddings) == model.predict(images=images, captions=captions)


def test_a_run_s_folder_is_a_model(study: hpo.Study, model: hpo.Model, tmp_path: Path) -> None:
    """``hpo run`` refits with the same seed, so that it writes the same weights."""
    from rich.console import Console

    from hpo.report import finish_study

    finish_study(study.stored, Console(quiet=True), tmp_path, "cpu", refit=True)
    written = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert written == (model.save(tmp_path / "mine") / "model.safetensors").read_bytes()
    assert hpo.load_model(tmp_path / "model").classes == model.classes


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    model = hpo.fit(array_data(tmp_path / "cache"), CONFIG)
    embeddings, _ = arrays()
    with pytest.raises(hpo.InputError) as caught:
        model.predict_proba(image=embeddings["image"][:, :5], txet=embeddings["text"])
    assert str(caught.value).splitlines() == [
        "The model can't read these embeddings:",
        "  txet embeddings are given, which the model doesn't read (did you mean 'text'?); it "
        "reads image, text",
        "  image has shape [160, 5], but must be [rows, 6]",
        "  there are no text embeddings, but the model reads them; give rows of NaN where there "
        "are none",
    ]
    wrong = {
        "different numbers of rows: image 160, text 3": {"text": embeddings["text"][:3]},
        "text is int64, but must be a float type": {"text": np.ones((160, 4), dtype=np.int64)},
        "text has NaN, infinity or values beyond": {"text": np.full((160, 4), np.inf)},
    }
    for said, change in wrong.items():
        with pytest.raises(hpo.InputError, match=said):
            model.predict(**{**embeddings, **change})
    with pytest.raises(hpo.InputError, match="either images and captions or embeddings, not both"):
        model.predict(images=["a.jpg"], **embeddings)
    with pytest.raises(hpo.InputError, match="trained on imported embeddings"):
        model.predict(images=["a.jpg"], captions=["a dog"])


def test_images_that_can_not_be_read_and_captions_that_lack(
    model: hpo.Model, tmp_path: Path
) -> None:
    if model.modalities == ("image", "text"):
        with pytest.raises(hpo.InputError, match="reads text embeddings, but no captions are giv"):
            model.predict(images=["a.jpg"])
        with pytest.raises(hpo.InputError, match="there are 1 images, but 2 captions"):
            model.predict(images=["a.jpg"], captions=["a dog", "a cat"])
        missing = tmp_path / "a.jpg"
        with pytest.raises(hpo.InputError, match=r"a\.jpg"):
            model.predict(images=[missing], captions=["a dog"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw.update(format=3), "has format 3, but this version reads 1 and 2"),
        (lambda raw: raw.pop("classes"), "is no model folder: 'classes'"),
        (lambda raw: raw["config"].update(hidden=[9]), "don't fit its config"),
        (lambda raw: raw["config"].update(head="nearest"), "There is no head 'nearest'"),
        (None, "is no model folder: its config.json is no JSON (line 1)"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change, said: str
) -> None:
    folder = hpo.fit(array_data(tmp_path / "cache"), CONFIG).save(tmp_path / "model")
    config = folder / "config.json"
    if change is None:
        config.write_text("")
    else:
        raw = json.loads(config.read_text())
        raw.pop("checksum")
        change(raw)
        config.write_text(json.dumps(raw))
    with pytest.raises(hpo.InputError) as caught:
        hpo.load_model(folder)
    assert said in str(caught.value)
    assert predict(["--model", str(folder), "--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {caught.value}\n"
    with pytest.raises(hpo.InputError, match=r"none is no model folder: .*No such file"):
        hpo.load_model(tmp_path / "none")
