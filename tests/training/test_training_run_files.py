"""A file of the run store: a byte that changed is never used."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from training_samples import CONFIG, FIRST_METRICS

from hpo.training import EpochRecord, Numerics, RunSpec, RunStore, curve_columns
from hpo.training._run_files import Content, DamagedError, RunName, from_file, to_bytes

COLUMNS = curve_columns(FIRST_METRICS)
SPEC = RunSpec("bundle", "train", "image", CONFIG, 0, Numerics("cpu", 1, 50, "2.4"))
NAME = RunName(SPEC.address, 3, "weights")


def records(count: int) -> tuple[EpochRecord, ...]:
    return tuple(
        dict(zip(COLUMNS, (1 / (n + 1), 0.1 * n, n, n / 3, n, n), strict=True))
        for n in range(count)
    )


CONTENT = Content(records(3), "the loss was not finite", {"layer.weight": torch.ones(2, 3)})


def equal(one: Content, other: Content) -> bool:
    same = one.tensors.keys() == other.tensors.keys()
    return (
        (one.records, one.ended) == (other.records, other.ended)
        and same
        and all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.safetensors"
    path.write_bytes(to_bytes(NAME, CONTENT))
    return path


def test_it_is_what_was_written(path: Path) -> None:
    assert equal(from_file(path, NAME, tensors=True), CONTENT)
    assert equal(from_file(path, NAME, tensors=False), CONTENT._replace(tensors={}))


@pytest.mark.parametrize("tensors", [True, False])
@pytest.mark.parametrize("bit", [0, 3, 6])
def test_no_bit_can_change(path: Path, tensors: bool, bit: int) -> None:
    whole = path.read_bytes()
    expected = from_file(path, NAME, tensors=tensors)
    found = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            # such as a blank at the end of the header, or a weight where only the curve is read
            assert equal(from_file(path, NAME, tensors=tensors), expected)
        except DamagedError:
            found += 1
    assert found > len(whole) // 2


def test_cut_short(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            from_file(path, NAME, tensors=False)


def test_a_file_of_another_run_is_not_believed(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.save(SPEC, "weights", 3, records(3), {"w": torch.ones(1)})
    other = RunSpec("bundle", "train", "image", CONFIG, 1, Numerics("cpu", 1, 50, "2.4"))
    shutil.copytree(tmp_path / SPEC.address, tmp_path / other.address)
    assert store.weights(other.address, 3) is None
    assert store.history(other.address).records == ()
    folder = tmp_path / SPEC.address
    (folder / "000003.weights.safetensors").rename(folder / "000004.weights.safetensors")
    assert store.weights(SPEC.address, 4) is None


def test_a_value_that_nothing_can_have(path: Path) -> None:
    record = {**records(1)[0], "micro_f1": 116.342}
    path.write_bytes(to_bytes(NAME, Content((record,), None, {})))
    with pytest.raises(DamagedError, match=r"^micro_f1 is 116\.342, but must be from 0 to 100$"):
        from_file(path, NAME, tensors=False)


def test_damaged_weights_are_replaced(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.save(SPEC, "weights", 3, records(3), {"w": torch.ones(4)})
    path = tmp_path / SPEC.address / "000003.weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # the last byte of a weight
    store.save(SPEC, "weights", 3, records(3), {"w": torch.ones(4)})
    assert path.read_bytes() == whole


def test_a_passing_trouble_is_asked_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.files._RETRY_AFTER_S", (0.0, 0.0))
    real, failing = Path.open, [errno.ESTALE, errno.EIO]

    def fails_twice(self: Path, *arguments: Any, **more: Any) -> Any:
        if failing:
            number = failing.pop()
            raise OSError(number, os.strerror(number))
        return real(self, *arguments, **more)

    monkeypatch.setattr(Path, "open", fails_twice)
    assert equal(from_file(path, NAME, tensors=True), CONTENT)


def test_what_can_t_be_read_is_not_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.files._RETRY_AFTER_S", (0.0, 0.0))

    def fails(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(OSError, match="Input/output error"):
        from_file(path, NAME, tensors=True)


def test_a_store_that_may_only_be_read_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(tmp_path)
    store.save(SPEC, "weights", 3, records(3), {"w": torch.ones(1)})

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "utime", refused)
    assert store.weights(SPEC.address, 3) is not None
    (file,) = store.files(SPEC.address)
    assert store.is_whole(SPEC.address, file)
