"""The run store: files that are whole or not there, and that nobody overwrites."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from training_samples import CONFIG, FIRST_METRICS

import hpo.files
from hpo.training import (
    EpochRecord,
    History,
    Numerics,
    RunSpec,
    RunStore,
    Snapshot,
    curve_columns,
)

COLUMNS = curve_columns(FIRST_METRICS)
SPEC = RunSpec("bundle", "train", "image", CONFIG, 0, Numerics("cpu", 1, 50, "2.4"))


def records(count: int) -> tuple[EpochRecord, ...]:
    return tuple(
        dict(zip(COLUMNS, (1 / (n + 1), 0.1 * n, n, n / 3, n, n), strict=True))
        for n in range(count)
    )


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"layer.weight": torch.full((2, 3), value), "layer.count": torch.tensor(7)}


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def names(store: RunStore) -> list[str]:
    return sorted(path.name for path in (store.folder / SPEC.address).iterdir())


def test_unknown_run(store: RunStore) -> None:
    assert store.history("unknown") == History((), None)
    assert store.state("unknown", 100) is None
    assert store.weights("unknown", 1) is None
    assert store.weights("unknown", 1) is None
    assert store.addresses() == []
    assert not store.folder.exists()  # reading makes nothing


def test_what_was_saved_comes_back(store: RunStore) -> None:
    store.save(SPEC, "weights", 3, records(3), weights(0.1))
    history = store.history(SPEC.address)
    assert history == History(records(3), None)  # float64: no bit is lost
    snapshot = store.weights(SPEC.address, 3)
    assert isinstance(snapshot, Snapshot) and snapshot.epoch == 3
    assert snapshot.tensors.keys() == weights(0).keys()
    for name, tensor in weights(0.1).items():
        assert torch.equal(snapshot.tensors[name], tensor)
        assert snapshot.tensors[name].dtype == tensor.dtype
    assert store.weights(SPEC.address, 3) is not None
    assert store.weights(SPEC.address, 2) is None
    assert store.weights(SPEC.address, 2) is None


def test_weights_before_the_first_epoch(store: RunStore) -> None:
    store.save(SPEC, "weights", 0, (), weights(0.1))
    assert store.history(SPEC.address) == History((), None)
    assert store.weights(SPEC.address, 0) is not None


def test_description_says_what_determines_the_run(store: RunStore) -> None:
    store.save(SPEC, "state", 1, records(1), weights(0))
    assert store.addresses() == [SPEC.address]
    description = store.describe(SPEC.address)
    assert description == json.loads(json.dumps(SPEC.describe()))
    assert description["bundle"] == "bundle"
    assert description["numerics"] == {
        "device": "cpu",
        "threads": 1,
        "micro_batch": 50,
        "torch": "2.4",
        "precision": "float32",
        "compiler": "off",
    }
    assert "epochs" not in description["config"]


def test_older_states_are_dropped_and_weights_kept(store: RunStore) -> None:
    for epoch in (2, 4, 6):
        store.save(SPEC, "state", epoch, records(epoch), weights(epoch))
        store.save(SPEC, "weights", epoch, records(epoch), weights(epoch))
    assert names(store) == [
        "000002.weights.safetensors",
        "000004.weights.safetensors",
        "000006.state.safetensors",
        "000006.weights.safetensors",
        "run.json",
    ]


def test_state_at_or_before_an_epoch(store: RunStore) -> None:
    store.save(SPEC, "state", 6, records(6), weights(6))
    store.save(SPEC, "state", 4, records(4), weights(4))  # by somebody who is late
    for at_most, epoch in ((100, 6), (6, 6), (5, 4), (4, 4)):
        snapshot = store.state(SPEC.address, at_most)
        assert snapshot is not None
        assert snapshot.epoch == snapshot.tensors["layer.weight"][0, 0] == epoch
    assert store.state(SPEC.address, 3) is None


def test_longest_curve_counts(store: RunStore) -> None:
    store.save(SPEC, "weights", 10, records(10), weights(1))
    store.save(SPEC, "state", 4, records(4), weights(1))
    assert len(store.history(SPEC.address).records) == 10


def test_end_is_part_of_the_history(store: RunStore) -> None:
    store.save(SPEC, "state", 6, records(6), weights(1))
    store.save(SPEC, "ended", 7, records(7), {}, "the loss was not finite in epoch 7")
    assert store.history(SPEC.address) == History(records(7), "the loss was not finite in epoch 7")


def test_nothing_is_overwritten(store: RunStore) -> None:
    store.save(SPEC, "weights", 3, records(3), weights(1))
    path = store.folder / SPEC.address / "000003.weights.safetensors"
    before = path.stat()
    store.save(SPEC, "weights", 3, records(3), weights(2))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    snapshot = store.weights(SPEC.address, 3)
    assert snapshot is not None and snapshot.tensors["layer.weight"][0, 0] == 1


@pytest.mark.parametrize("kind", ["state", "weights"])
def test_failed_write_leaves_nothing(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    store.save(SPEC, "state", 2, records(2), weights(2))
    before = names(store)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(hpo.files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            store.save(SPEC, kind, 4, records(4), weights(4))
    assert names(store) == before  # nor is the older state dropped
    store.save(SPEC, kind, 4, records(4), weights(4))
    assert f"000004.{kind}.safetensors" in names(store)


def test_attempt_carries_out_each_write(tmp_path: Path) -> None:
    calls = []

    def attempt(write: Callable[[], None]) -> None:
        calls.append(write)
        write()
        write()  # a second try does no harm

    store = RunStore(tmp_path, attempt)
    store.save(SPEC, "state", 2, records(2), weights(2))
    store.save(SPEC, "state", 2, records(2), weights(2))
    assert len(calls) == 1
    assert names(store) == ["000002.state.safetensors", "run.json"]


def test_files_of_others_are_passed_over(store: RunStore) -> None:
    store.save(SPEC, "state", 2, records(2), weights(2))
    folder = store.folder / SPEC.address
    for name in (".000009.state.safetensors.x1.tmp", "notes.txt", "9.state.safetensors"):
        (folder / name).write_bytes(b"x")
    assert len(store.history(SPEC.address).records) == 2
    (store.folder / "empty").mkdir()
    assert store.addresses() == [SPEC.address]


def test_damaged_file_is_replaced(store: RunStore, caplog: pytest.LogCaptureFixture) -> None:
    store.save(SPEC, "weights", 3, records(3), weights(1))
    path = store.folder / SPEC.address / "000003.weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    assert store.weights(SPEC.address, 3) is None
    assert f"The run file {path} is damaged and is passed over: " in caplog.text
    store.save(SPEC, "weights", 3, records(3), weights(1))
    assert path.read_bytes() == whole


def test_address_changes_with_everything_but_the_length() -> None:
    numerics = SPEC.numerics
    others = [
        RunSpec("other", "train", "image", CONFIG, 0, numerics),
        RunSpec("bundle", "all", "image", CONFIG, 0, numerics),
        RunSpec("bundle", "train", "text", CONFIG, 0, numerics),
        RunSpec("bundle", "train", "image", CONFIG, 1, numerics),
        RunSpec("bundle", "train", "image", CONFIG, 0, numerics, ((SPEC, 5),)),
        RunSpec("bundle", "train", "image", CONFIG, 0, numerics, ((SPEC, 6),)),
        *(
            RunSpec("bundle", "train", "image", CONFIG, 0, Numerics(*changed))
            for changed in (
                ("gpu", 1, 50, "2.4"),
                ("cpu", 2, 50, "2.4"),
                ("cpu", 1, 51, "2.4"),
                ("cpu", 1, 50, "2.5"),
            )
        ),
        *(
            RunSpec("bundle", "train", "image", CONFIG.model_copy(update=update), 0, numerics)
            for update in (
                {"head": "gmlp"},
                {"hidden": (16, 16)},
                {"activation": "relu"},
                {"dropout": 0.4},
                {"feature_scaling": "l2"},
                {"loss": "asl"},
                {"optimizer": "adamw"},
                {"lr": 0.02},
                {"weight_decay": 0.1},
                {"batch_size": 7},
                {"ema_decay": 0.9},
            )
        ),
    ]
    assert len({spec.address for spec in (SPEC, *others)}) == 1 + len(others)
    longer = CONFIG.model_copy(update={"epochs": 300})
    assert RunSpec("bundle", "train", "image", longer, 0, numerics).address == SPEC.address
