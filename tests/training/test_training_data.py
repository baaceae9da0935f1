"""Parts of a bundle as tensors."""

import numpy as np
import pytest
import torch
from training_samples import make_bundle

from hpo.features import Bundle
from hpo.training import Part, TrainingData, open_device

CPU = open_device("cpu")
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
    check_rows(run.train, split_bundle, split["train"])
    assert run.val is not None
    check_rows(run.val, split_bundle, split["val"])
    refit = data.run_data("none", "all")
    check_rows(refit.train, split_bundle, np.union1d(split["train"], split["val"]))
    assert refit.val is None
    assert [data.rows(name) for name in ("train", "val", "all")] == [
        len(split["train"]),
        len(split["val"]),
        len(split["train"]) + len(split["val"]),
    ]


def test_scaling_is_fitted_to_the_rows_trained_on(split_bundle: Bundle) -> None:
    data = TrainingData(split_bundle, CPU)
    split = split_bundle.split
    for rows, index in (
        ("train", split["train"]),
        ("all", np.union1d(split["train"], split["val"])),
    ):
        run = data.run_data("standard", rows)
        for name, x in run.train.inputs.items():
            array = split_bundle.features.train[name].astype(np.float64)
            mean, std = array[index].mean(axis=0), array[index].std(axis=0)
            np.testing.assert_allclose(x, (array[index] - mean) / std, atol=1e-5)
            if run.val is not None:
                scaled = (array[split["val"]] - mean) / std
                np.testing.assert_allclose(run.val.inputs[name], scaled, atol=1e-5)
    text = data.run_data("l2", "train").train.inputs["text"]
    np.testing.assert_allclose(text.norm(dim=1), 8**0.5, rtol=1e-6)


def test_parts_are_loaded_once() -> None:
    data = TrainingData(make_bundle(), CPU)
    first = data.run_data("none", "train")
    again = data.run_data("none", "train")
    assert again.train is first.train
    assert again.val is first.val
