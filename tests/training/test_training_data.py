"""Parts of a bundle as tensors, and the devices they are put on."""

import os

import numpy as np
import pytest
import torch
from training_samples import make_bundle

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.training import Arithmetic, Part, TrainingData, numerics_of, open_device

CPU = torch.device("cpu")
TRAIN = tuple(row for row in range(300) if row % 3)
VAL = tuple(range(0, 300, 6))  # rows 3, 9, … are in no part


@pytest.fixture(params=["contiguous", "scattered"])
def split_bundle(request: pytest.FixtureRequest) -> Bundle:
    return make_bundle() if request.param == "contiguous" else make_bundle(train=TRAIN, val=VAL)


def check_rows(part: Part, bundle: Bundle, rows: np.ndarray) -> None:
    assert part.rows == len(rows)
    for name, x in part.inputs.items():
        assert x.dtype == torch.float32
        np.testing.assert_array_equal(x.numpy(), bundle.features.train[name][rows])
    assert part.targets.dtype == torch.float32
    np.testing.assert_array_equal(part.targets.numpy(), bundle.labels[rows])


def test_parts_hold_the_rows_of_the_split(split_bundle: Bundle) -> None:
    data = TrainingData(split_bundle, CPU)
    split = split_bundle.split
    run = data.run_data("none", "train")
    check_rows(run.train, split_bundle, split.train)
    assert run.val is not None
    check_rows(run.val, split_bundle, split.val)
    refit = data.run_data("none", "all")
    check_rows(refit.train, split_bundle, np.union1d(split.train, split.val))
    assert refit.val is None
    assert [data.rows(name) for name in ("train", "val", "all")] == [
        len(split.train),
        len(split.val),
        len(split.train) + len(split.val),
    ]


def test_scaling_is_fitted_to_the_rows_trained_on(split_bundle: Bundle) -> None:
    data = TrainingData(split_bundle, CPU)
    split = split_bundle.split
    for rows, index in (
        ("train", split.train),
        ("all", np.union1d(split.train, split.val)),
    ):
        run = data.run_data("standard", rows)
        for name, x in run.train.inputs.items():
            array = split_bundle.features.train[name].astype(np.float64)
            mean, std = array[index].mean(axis=0), array[index].std(axis=0)
            np.testing.assert_allclose(x, (array[index] - mean) / std, atol=1e-5)
            if run.val is not None:
                scaled = (array[split.val] - mean) / std
                np.testing.assert_allclose(run.val.inputs[name], scaled, atol=1e-5)
    unit = data.run_data("l2", "train").train.inputs["text"]
    np.testing.assert_allclose(unit.norm(dim=1), 1, atol=1e-6)


def test_parts_are_loaded_once() -> None:
    data = TrainingData(make_bundle(), CPU)
    first = data.run_data("none", "train")
    again = data.run_data("none", "train")
    assert again.train is first.train
    assert again.val is first.val


def test_cpu_has_the_threads_it_was_told() -> None:
    device = open_device("cpu", Arithmetic())
    assert device == CPU
    assert torch.get_num_threads() == 1
    numerics = numerics_of(device, 77)
    assert (numerics.device, numerics.threads, numerics.micro_batch) == ("cpu", 1, 77)
    assert numerics.torch == torch.__version__
    torch.set_num_threads(2)
    assert numerics_of(device).threads == 2


def test_cuda_is_deterministic_whoever_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that isn't there, as far as the calls to PyTorch go."""
    asked: list[object] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", asked.append)
    monkeypatch.setattr(
        torch, "use_deterministic_algorithms", lambda on, warn_only: asked.append((on, warn_only))
    )
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    device = open_device("cuda:1", Arithmetic(precision="tf32", compiler="reduce-overhead"))
    assert device == torch.device("cuda", 1)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert asked == [(True, True), device]


@pytest.mark.parametrize("name", ["gpu", "tpu:0", "meta", "mps"])
def test_device_that_is_none(name: str) -> None:
    with pytest.raises(InputError, match=rf"^The device is '{name}', but must be cpu or cuda:N\.$"):
        open_device(name, Arithmetic())


def test_device_that_is_not_here() -> None:
    count = torch.cuda.device_count()
    message = rf"^The device is 'cuda:99', but this machine has {count} CUDA devices\.$"
    with pytest.raises(InputError, match=message):
        open_device("cuda:99", Arithmetic())
