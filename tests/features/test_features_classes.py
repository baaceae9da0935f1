"""Class names by the encoder's text tower: encoded with the rows, once, and read without it."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest

from hpo.features import FeatureInfo, class_embeddings, resolve_encoder
from hpo.features._classes import PROMPT, encode_classes
from hpo.features._encode import LateModel

NAMES = ("ball", "dog", "red")


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> FeatureInfo:
    encoder = resolve_encoder("demo", tmp_path_factory.mktemp("hashes"))
    return FeatureInfo("open_clip", "demo", encoder.weights_hash, encoder.preprocessing, {})


def test_they_are_those_of_the_text_tower(info: FeatureInfo, tmp_path: Path) -> None:
    assert class_embeddings(NAMES, info, tmp_path) is None
    encode_classes(NAMES, info, tmp_path, "cpu")
    found = class_embeddings(NAMES, info, tmp_path)
    assert found is not None
    with LateModel(resolve_encoder("demo", tmp_path), "cpu", 1) as model:
        expected = model.get().encode_texts([PROMPT.format(name) for name in NAMES])
    assert np.array_equal(found, expected.astype(np.float32))
    assert class_embeddings(("ball", "dog"), info, tmp_path) is None


def test_they_are_encoded_once(
    info: FeatureInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_classes(NAMES, info, tmp_path, "cpu")
    monkeypatch.setattr("hpo.features._classes.LateModel", None)
    encode_classes(NAMES, info, tmp_path, "cpu")


def test_numbers_and_imported_rows_have_none(info: FeatureInfo, tmp_path: Path) -> None:
    encode_classes(("1", "2"), info, tmp_path, "cpu")
    imported = dataclasses.replace(info, source="import", encoder="")
    encode_classes(NAMES, imported, tmp_path, "cpu")
    assert not (tmp_path / "classes").exists()
    assert class_embeddings(("1", "2"), info, tmp_path) is None
    assert class_embeddings(NAMES, imported, tmp_path) is None


def test_an_encoder_that_fails_is_said_and_harms_nothing(
    info: FeatureInfo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = dataclasses.replace(info, encoder=str(tmp_path / "nowhere"))
    with caplog.at_level(logging.WARNING):
        encode_classes(NAMES, gone, tmp_path, "cpu")
    assert "The class names are not encoded, so there are no zero-shot labels: " in caplog.text
