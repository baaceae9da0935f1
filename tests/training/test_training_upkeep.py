"""The run store within its bounds: what goes first, what stays, and what is found damaged."""

import os
import time
from pathlib import Path

import pytest
from training_samples import CONFIG, make_bundle, make_trainer, open_session, train

from hpo.training import Damage, RunStore, check_store, summarise, trim_store


def two_runs(folder: Path) -> RunStore:
    trainer = make_trainer(folder, make_bundle(), milestones=[3])
    for seed in (0, 1):
        session = open_session(trainer, seed=seed)
        train(session, 6)
        session.finish()
    return trainer.store


def kinds(store: RunStore) -> list[list[str]]:
    return [[file.kind for file in store.files(address)] for address in store.addresses()]


def test_summary(tmp_path: Path) -> None:
    store = two_runs(tmp_path)
    runs = summarise(store)
    assert sorted(run.seed for run in runs) == [0, 1]
    assert {(run.inputs, run.epochs, run.ended) for run in runs} == {("image", 6, None)}
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    assert sum(run.size for run in runs) == on_disk


def test_states_go_before_weights_and_curves_stay(tmp_path: Path) -> None:
    store = two_runs(tmp_path)
    assert kinds(store) == [["weights", "state", "weights"]] * 2
    before = [store.history(address).records for address in store.addresses()]
    size = sum(run.size for run in summarise(store))
    states = sum(
        file.size
        for address in store.addresses()
        for file in store.files(address)
        if file.kind == "state"
    )
    assert trim_store(store, size / 1e9) == 0
    assert trim_store(store, (size - states) / 1e9) == states
    assert kinds(store) == [["weights", "weights"]] * 2
    trim_store(store, 1e-9)
    assert kinds(store) == [["curve"]] * 2
    assert [store.history(address).records for address in store.addresses()] == before


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    store = two_runs(tmp_path)
    old, new = store.addresses()
    for path in (tmp_path / old).glob("*.safetensors"):
        os.utime(path, (1000.0, 1000.0))
    size = sum(run.size for run in summarise(store))
    trim_store(store, (size - 1) / 1e9)
    assert [file.kind for file in store.files(old)] == ["weights", "weights"]
    assert [file.kind for file in store.files(new)] == ["weights", "state", "weights"]


def test_a_trimmed_run_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    fresh = train(open_session(make_trainer(tmp_path / "fresh")), 9)
    store = two_runs(tmp_path / "trimmed")
    trim_store(store, 1e-9)
    session = open_session(make_trainer(tmp_path / "trimmed", store=store))
    assert train(session, 9) == fresh


def test_a_flipped_bit_is_found_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = two_runs(tmp_path)
    assert check_store(store) == []
    address = store.addresses()[0]
    path = tmp_path / address / "000006.weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    (damage,) = check_store(store)
    assert (damage.address, damage.file.epoch, damage.file.kind) == (address, 6, "weights")
    assert "its checksum is wrong" in caplog.text
    assert store.weights(address, 6) is None


def test_garbage_of_killed_writers_is_removed(tmp_path: Path) -> None:
    store = two_runs(tmp_path)
    folder = tmp_path / store.addresses()[0]
    old, new = folder / ".000006.state.safetensors.a.tmp", folder / ".x.b.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    trim_store(store, 100)
    assert not old.exists()
    assert new.exists()


def test_config_is_the_one_of_the_samples() -> None:
    assert CONFIG.epochs == 6  # the names of files above say so


def test_states_of_runs_that_wait_stay_whatever_the_limit(tmp_path: Path) -> None:
    store = two_runs(tmp_path)
    waiting, other = store.addresses()
    trim_store(store, 1e-9, [waiting])
    assert [file.kind for file in store.files(waiting)] == ["state"]
    assert [file.kind for file in store.files(other)] == ["curve"]
    assert store.state(waiting, at_most=6) is not None


@pytest.mark.parametrize("content", [b"", b"{", b'{"seed": 1}', b"[" * 100_000])
def test_a_damaged_description_is_named_and_written_again(tmp_path: Path, content: bytes) -> None:
    store = two_runs(tmp_path)
    first, _ = store.addresses()
    path = tmp_path / first / "run.json"
    path.write_bytes(content)
    (run,) = [run for run in summarise(store) if run.address == first]
    assert (run.inputs, run.seed, run.epochs) == (None, None, 6)
    assert check_store(store) == [Damage(first, None)]
