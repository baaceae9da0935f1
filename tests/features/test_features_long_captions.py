"""Captions longer than the context: counted and cut, averaged in windows, or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from features_samples import MODEL_CONFIG
from safetensors.torch import load_file

from hpo.data import Rows
from hpo.errors import InputError
from hpo.features import Features, extract_features, load_data
from hpo.features._parts import parts_from_record, parts_of, parts_record

WORDS = ["red", "green", "blue", "black", "white", "grey", "pink", "brown", "gold"]
SHORT = " ".join(WORDS[:3])
FITS = " ".join(WORDS[i % 9] for i in range(14))  # and two tokens for its ends: 16
LONG = " ".join(WORDS[i % 9] for i in range(33))
OTHER = " ".join([*(WORDS[i % 9] for i in range(14)), "dog", "cat"])
CAPTIONS = (SHORT, LONG, FITS, OTHER, LONG)


def encode(
    checkpoint: Path, store: Path, captions: tuple[str, ...] = CAPTIONS, **options: Any
) -> Features:
    ids = tuple(map(str, range(len(captions))))
    rows = Rows(ids, captions, None, tuple(range(2, 2 + len(ids))), "train.csv")
    return extract_features({"train": rows}, str(checkpoint), store, **options)


def test_cut_captions_are_counted(checkpoint: Path, tmp_path: Path) -> None:
    features = encode(checkpoint, tmp_path)
    said = [
        "3 captions are longer than the 16 tokens that the encoder takes, and cut off (such as "
        "that of train.csv line 3); --long-captions mean reads all of them"
    ]
    assert [str(note) for note in features.notes if note.doubtful] == said
    assert encode(checkpoint, tmp_path).notes == features.notes, "also where all is stored"
    assert encode(checkpoint, tmp_path, (SHORT, FITS)).notes == ()


def test_the_mean_of_the_windows(checkpoint: Path, tmp_path: Path) -> None:
    cut = encode(checkpoint, tmp_path)
    mean = encode(checkpoint, tmp_path, long_captions="mean")
    assert mean.counts["text"].encoded == 2, "short ones are the same, and stored"
    assert [note.doubtful for note in mean.notes] == [False]
    for row in (0, 2):
        np.testing.assert_array_equal(mean.train["text"][row], cut.train["text"][row])
    assert (mean.train["text"][1] != mean.train["text"][3]).any()
    np.testing.assert_array_equal(mean.train["text"][1], mean.train["text"][4])
    # By open_clip alone: 33 tokens in windows of 11, 11 and 11 at most 14 wide.
    model = open_clip.CLIP(**MODEL_CONFIG)
    model.load_state_dict(load_file(checkpoint / "open_clip_model.safetensors"))
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    parts = [" ".join(LONG.split()[start : start + 11]) for start in (0, 11, 22)]
    with torch.no_grad():
        expected = model.eval().encode_text(tokenizer(parts)).mean(dim=0)
    np.testing.assert_allclose(mean.train["text"][1], expected.numpy(), atol=2e-3)


def test_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        encode(checkpoint, tmp_path, long_captions="refuse")
    assert caught.value.problems == [
        "3 captions are longer than the 16 tokens that the encoder takes: train.csv line 3, "
        "train.csv line 5, train.csv line 6; shorten them, or let --long-captions mean or truncate "
        "be the rule"
    ]
    with pytest.raises(InputError, match="long_captions is 'cut', but must be truncate, mean, ref"):
        encode(checkpoint, tmp_path, long_captions="cut")


def test_the_rule_goes_where_the_features_go(checkpoint: Path, tmp_path: Path) -> None:
    """A model folder keeps it; where it is the usual one, the record is as it ever was."""
    short = (SHORT, FITS)
    usual = encode(checkpoint, tmp_path, short)
    mean = encode(checkpoint, tmp_path, short, long_captions="mean")
    assert usual.key != mean.key and mean.info.long_captions == "mean"
    record = parts_record(parts_of("", mean))
    assert record["long_captions"] == "mean"
    (part,) = parts_from_record(record, {"text": 16})["text"]
    assert part.info.long_captions == "mean"
    record = parts_record(parts_of("", usual))
    assert "long_captions" not in record
    (part,) = parts_from_record(record, {"text": 16})["text"]
    assert part.info.long_captions == "truncate"


def test_a_model_reads_long_captions_as_it_was_trained(checkpoint: Path, tmp_path: Path) -> None:
    import pandas as pd

    import hpo

    captions = [f"{LONG} {word}" for word in WORDS] * 3
    frame = pd.DataFrame({"caption": captions, "labels": ["a", "b", "a b"] * 9})
    models = {}
    for rule in ("truncate", "mean"):
        data = load_data(
            frame,
            encoder=str(checkpoint),
            cache=tmp_path,
            device="cpu",
            modalities=["text"],
            long_captions=rule,
            progress=False,
        )
        model = hpo.fit(data, hpo.Config(fusion="text", hidden=[4], epochs=2), seed=0)
        model.save(tmp_path / rule)
        models[rule] = hpo.load_model(tmp_path / rule, cache=tmp_path, device="cpu")
        array = np.asarray(data.features.train["text"][:2])
        given = models[rule].predict_proba(captions=captions[:2]).to_numpy()
        expected = models[rule].predict_proba(text=array).to_numpy()
        np.testing.assert_allclose(given, expected, atol=1e-6)
        assert (given[0] == given[1]).all() == (rule == "truncate")
