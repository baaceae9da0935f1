"""Rows to predict that lack an image or a caption, from Python."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from library_samples import CONFIG, array_data, arrays

import hpo

DROPPING = CONFIG.replace(fusion="gated", modality_dropout=0.3)


@pytest.fixture(scope="module")
def on_arrays(tmp_path_factory: pytest.TempPathFactory) -> hpo.Model:
    return hpo.fit(array_data(tmp_path_factory.mktemp("cache")), DROPPING)


@pytest.fixture(scope="module")
def on_demo(demo: hpo.Data) -> hpo.Model:
    return hpo.fit(demo, DROPPING.replace(epochs=2))


def test_nan_stands_for_zero_after_scaling(on_arrays: hpo.Model) -> None:
    embeddings, _ = arrays()
    half = {name: array.astype(np.float16) for name, array in embeddings.items()}
    text = half["text"].copy()
    text[3:5] = np.nan
    frame = on_arrays.predict_proba(image=half["image"], text=text)
    assert frame.attrs["lacking"] == {"text": 2}
    whole = on_arrays.predict_proba(**half)
    assert whole.attrs["lacking"] == {}
    others = np.delete(np.arange(160), [3, 4])
    np.testing.assert_array_equal(frame.to_numpy()[others], whole.to_numpy()[others])
    module = on_arrays.trained.module
    scaled = {n: module.scaling[n](torch.from_numpy(array)) for n, array in half.items()}
    scaled["text"][3:5] = 0
    with torch.no_grad():
        expected = module.heads["gated"](scaled).sigmoid().numpy()
    np.testing.assert_allclose(frame.to_numpy(), expected, atol=1e-6)
    assert (frame.to_numpy()[3:5] != whole.to_numpy()[3:5]).any()
    labels = on_arrays.predict(image=half["image"], text=text)
    assert labels == [
        [c for c, given in zip(on_arrays.classes, row, strict=True) if given]
        for row in expected > 0.5
    ]


def test_rows_that_lack_everything_are_named(on_arrays: hpo.Model) -> None:
    embeddings, _ = arrays()
    for array in embeddings.values():
        array[[2, 7]] = np.nan
    embeddings["text"][1] = np.nan
    with pytest.raises(hpo.InputError) as caught:
        on_arrays.predict(**embeddings)
    assert str(caught.value).splitlines() == [
        "Rows can't be predicted:",
        "  row 2 of what was given lacks all that the model reads (image, text), but must have "
        "some of it",
        "  row 7 of what was given lacks all that the model reads (image, text), but must have "
        "some of it",
    ]


def test_a_row_that_is_nan_in_part_is_an_error(on_arrays: hpo.Model) -> None:
    embeddings, _ = arrays()
    for place in (0, 2):
        embeddings["text"][5] = 1
        embeddings["text"][5, place] = np.nan
        with pytest.raises(hpo.InputError, match=r"text has NaN, infinity or values beyond"):
            on_arrays.predict(**embeddings)


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        ({"modality_dropout": 0.3}, False),
        ({"modality_dropout": 0.0}, True),
        ({"modality_dropout": 0.3, "fusion": "sum"}, True),  # its heads are trained by themselves
    ],
)
def test_a_model_that_never_saw_such_rows_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, object], warned: bool
) -> None:
    model = hpo.fit(array_data(tmp_path / "cache"), DROPPING.replace(**change))
    embeddings, _ = arrays()
    with caplog.at_level(logging.WARNING, "hpo"):
        model.predict(**embeddings)
        assert not caplog.messages
        embeddings["image"][:12] = np.nan
        assert len(model.predict(**embeddings)) == 160
    expected = [
        "Rows lack what the model reads (image 12), and it was trained without modality_dropout, "
        "so that it never saw such rows: expect worse labels for them."
    ]
    assert caplog.messages == (expected if warned else [])


def test_more_than_was_ever_taken_away_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embeddings, labels = arrays()
    embeddings["audio"] = embeddings["image"] + 1
    data = hpo.load_data(features=embeddings, labels=labels, cache=tmp_path / "cache")
    model = hpo.fit(data, DROPPING)
    embeddings["text"][:5] = np.nan
    embeddings["audio"][3:5] = np.nan
    with caplog.at_level(logging.WARNING, "hpo"):
        assert model.predict_proba(**embeddings).attrs["lacking"] == {"text": 5, "audio": 2}
    assert caplog.messages == [
        "2 rows lack more than one modality, but the model was trained with rows that lack one: "
        "expect worse labels for them."
    ]


def test_none_stands_for_an_image_or_a_caption(
    demo: hpo.Data, on_demo: hpo.Model, home: Path
) -> None:
    test = demo.dataset.test
    assert test is not None and test.images is not None
    images, captions = test.images[:4], test.captions[:4]
    frame = on_demo.predict_proba(
        images=[images[0], None, images[2], images[3]],
        captions=[captions[0], captions[1], None, captions[3]],
    )
    assert frame.attrs["lacking"] == {"image": 1, "text": 1}
    assert [*frame.index[[0, 2, 3]]] == [str(images[0]), str(images[2]), str(images[3])]
    assert frame.index.isna().tolist() == [False, True, False, False]
    arrays = {name: np.array(demo.features.test[name][:4]) for name in ("image", "text")}
    arrays["image"][1] = np.nan
    arrays["text"][2] = np.nan
    np.testing.assert_array_equal(frame.to_numpy(), on_demo.predict_proba(**arrays).to_numpy())
    columns = pd.DataFrame({"i": [str(images[0]), None], "c": [captions[0], np.nan]})
    with pytest.raises(hpo.InputError, match=r"row 1 of what was given lacks all"):
        on_demo.predict(images=columns["i"], captions=columns["c"])
    # A caption that is empty is a caption.
    empty = on_demo.predict_proba(images=images, captions=[*captions[:3], ""])
    assert empty.attrs["lacking"] == {}
    # Nobody has an image.
    frame = on_demo.predict_proba(images=[None] * 4, captions=captions)
    assert frame.attrs["lacking"] == {"image": 4}
    arrays = {name: np.array(demo.features.test[name][:4]) for name in ("image", "text")}
    arrays["image"][:] = np.nan
    np.testing.assert_array_equal(frame.to_numpy(), on_demo.predict_proba(**arrays).to_numpy())


def test_what_is_wrong_with_the_others_is_still_said(
    demo: hpo.Data, on_demo: hpo.Model, tmp_path: Path
) -> None:
    test = demo.dataset.test
    assert test is not None and test.images is not None
    with pytest.raises(hpo.InputError) as caught:
        on_demo.predict(images=[None, test.images[0], None], captions=["a", None, None])
    assert "row 2 of what was given lacks all" in str(caught.value)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with pytest.raises(hpo.InputError, match=r"row 2 of what was given: image '.*bad\.png'"):
        on_demo.predict(images=[None, test.images[0], bad], captions=["a", None, "b"])
    with pytest.raises(hpo.InputError, match=r"no captions are given; give None where there is no"):
        on_demo.predict(images=[test.images[0]])
