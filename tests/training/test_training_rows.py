"""Rows gathered from a mapped array, and scaling that is fitted to it a share at a time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hpo.models import FeatureScaling, _scaling
from hpo.training import MappedRows
from hpo.training._rows import as_mapped, consecutive

CPU = torch.device("cpu")
KINDS = ("none", "auto", "l2", "standard")
INDICES = {"consecutive": np.arange(1000, 8000), "scattered": np.arange(0, 9000, 3)}


@pytest.fixture(params=INDICES)
def index(request: pytest.FixtureRequest) -> np.ndarray:
    return INDICES[request.param]


@pytest.fixture
def array(tmp_path: Path) -> np.ndarray:
    values = 3 + np.random.default_rng(0).normal(size=(9000, 37))
    np.save(tmp_path / "image.npy", values.astype(np.float16))
    return np.load(tmp_path / "image.npy", mmap_mode="r")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_any_rows_are_those_of_the_whole(
    array: np.ndarray, index: np.ndarray, kind: str, threads: int
) -> None:
    torch.set_num_threads(threads)
    taken = torch.from_numpy(array[index])
    scaling = FeatureScaling(kind, 37).fit(taken)
    whole = scaling(taken)
    rows = MappedRows(as_mapped(array), consecutive(index), CPU, scaling)
    assert (len(rows), rows.shape, rows.device) == (len(index), tuple(whole.shape), CPU)
    assert torch.equal(rows.read(), whole)
    rng = np.random.default_rng(1)
    for size in (1, 2, 7, 50, 1024):
        start = int(rng.integers(len(index) - size))
        assert torch.equal(rows[start : start + size], whole[start : start + size])
        drawn = torch.from_numpy(rng.integers(len(index), size=size))
        assert torch.equal(rows[drawn], whole[drawn])
    assert torch.equal(rows[len(index) - 5 : len(index) + 5], whole[-5:])


def test_nothing_writes_to_the_array(array: np.ndarray) -> None:
    rows = MappedRows(as_mapped(array), slice(0, 9000), CPU)
    before = array[:10].copy()
    rows[slice(0, 10)].zero_()
    np.testing.assert_array_equal(array[:10], before)


def test_targets_are_numbers(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(2, size=(100, 5), dtype=np.uint8)
    rows = MappedRows(as_mapped(labels), slice(20, 80), CPU)
    assert rows[slice(0, 3)].dtype == torch.float32
    np.testing.assert_array_equal(rows.read().numpy(), labels[20:80])


def whole_auto(x: Tensor) -> Tensor:
    return (37**0.5 / x.double().square().sum(dim=1).mean().sqrt()).float()


def whole_std(x: Tensor) -> Tensor:
    return torch.std_mean(x.double(), dim=0, correction=0)[0].float()


def whole_mean(x: Tensor) -> Tensor:
    return torch.std_mean(x.double(), dim=0, correction=0)[1].float()


@pytest.mark.parametrize("at_once", [10, 30_000, 70_000, 1 << 20])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("kind", "name", "reference"),
    [
        ("auto", "factor", whole_auto),
        ("standard", "std", whole_std),
        ("standard", "mean", whole_mean),
    ],
)
def test_scaling_is_fitted_to_a_share_at_a_time(
    array: np.ndarray,
    index: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    threads: int,
    kind: str,
    name: str,
    reference: Callable[[Tensor], Tensor],
) -> None:
    """The bits are those of one sum over all rows, whatever the shares and the threads."""
    torch.set_num_threads(threads)
    monkeypatch.setattr(_scaling, "_AT_ONCE", at_once)
    monkeypatch.setattr(_scaling, "_COLUMNS", 2)
    fitted = FeatureScaling(kind, 37).fit(as_mapped(array), consecutive(index))
    assert torch.equal(getattr(fitted, name), reference(torch.from_numpy(array[index])))


def test_rows_in_a_row_are_a_slice() -> None:
    assert consecutive(np.arange(3, 9)) == slice(3, 9)
    assert consecutive(np.arange(1)) == slice(0, 1)
    for index in (np.array([1, 2, 4]), np.array([], dtype=np.int64)):
        found = consecutive(index)
        assert isinstance(found, Tensor)
        np.testing.assert_array_equal(found.numpy(), index)
