"""Columns of stored curves, which go by name, and files of the time before they did."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from training_samples import FIRST_METRICS, make_trainer, open_session, same_bits, train

from hpo.features import Bundle
from hpo.models import Config
from hpo.training import (
    History,
    Numerics,
    RunSpec,
    RunStore,
    check_store,
    curve_columns,
    trim_store,
)

SPEC = RunSpec("bundle", "train", "image", Config(), 0, Numerics("cpu", 1, 50, "2.4"))
SIX = curve_columns(FIRST_METRICS)
OLD = ("train_loss", "val_loss", "micro_f1", "samples_f1", "macro_f1", "map")


def as_it_was(path: Path) -> None:
    """Write a file as it was before columns had names: six of them, and a checksum."""
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["about"])
    assert tuple(about["columns"]) == OLD
    tensors = load_file(path)
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].numpy().tobytes(), value)
    metadata = {"crc32": f"{value:08x}"} | ({"ended": about["ended"]} if "ended" in about else {})
    save_file(tensors, path, metadata=metadata)


def test_a_store_without_names_of_columns_goes_on(tmp_path: Path, bundle: Bundle) -> None:
    whole = open_session(make_trainer(tmp_path / "whole", bundle))
    records = train(whole, 6)
    first = open_session(make_trainer(tmp_path / "old", bundle, checkpoint_every=2))
    train(first, 3)
    first.finish()
    folder = tmp_path / "old" / first.spec.address
    for path in folder.glob("*.safetensors"):
        as_it_was(path)
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    trainer = make_trainer(tmp_path / "old", bundle)
    assert check_store(trainer.store) == []
    history = trainer.store.history(first.spec.address)
    assert [tuple(record) for record in history.records] == [OLD] * 3
    second = open_session(trainer)
    assert (second.known, train(second, 6), second.trained) == (3, records, 3)
    assert same_bits(second.weights(), whole.weights())
    second.finish()
    kept = "000003.weights.safetensors"
    assert (folder / kept).read_bytes() == before[kept]  # as good as a new one


def test_an_end_without_names_of_columns(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    record = dict.fromkeys(SIX, 0.0)
    store.save(SPEC, "ended", 1, (record,), {}, "the loss was not finite in epoch 1")
    as_it_was(tmp_path / SPEC.address / "000001.ended.safetensors")
    expected = History((record,), "the loss was not finite in epoch 1")
    assert store.history(SPEC.address) == expected
    trim_store(store, 1e-9)
    assert store.history(SPEC.address) == expected


def test_a_column_of_one_s_own_stays_when_the_rest_goes(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    records = tuple(
        {**dict.fromkeys(SIX, float(epoch)), "f2": epoch / 3, "µ": 0.5} for epoch in range(4)
    )
    store.save(SPEC, "weights", 4, records, {"w": torch.ones(3)})
    assert store.history(SPEC.address) == History(records, None)
    trim_store(store, 1e-9)
    assert [file.kind for file in store.files(SPEC.address)] == ["curve"]
    assert store.history(SPEC.address) == History(records, None)
    assert check_store(store) == []


@pytest.mark.parametrize("kind", ["state", "ended"])
def test_equal_content_makes_equal_files(tmp_path: Path, kind: str) -> None:
    """Whoever comes late writes what is there; the metadata of safetensors has no order."""
    records = tuple(dict.fromkeys(SIX, float(epoch)) for epoch in range(3))
    tensors = {name: torch.from_numpy(np.arange(5.0)) for name in "abc"}
    contents = set()
    for attempt in range(20):
        store = RunStore(tmp_path / str(attempt))
        store.save(SPEC, kind, 3, records, tensors, "why" if kind == "ended" else None)
        path = store.folder / SPEC.address / f"000003.{kind}.safetensors"
        contents.add(path.read_bytes())
    assert len(contents) == 1
