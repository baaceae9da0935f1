"""Splits: the rows of each part, repeatability, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from hpo.data import (
    ColumnSplit,
    Dataset,
    Rows,
    Split,
    SplitSpec,
    StratifiedSplit,
    TailSplit,
    make_split,
)
from hpo.errors import InputError


def dataset_of(labels: np.ndarray, column: tuple[str, ...] | None = None) -> Dataset:
    count, width = labels.shape
    ids = tuple(f"{i}.jpg" for i in range(count))
    rows = Rows(ids, ("",) * count, None, tuple(range(2, count + 2)), "train.csv")
    classes = tuple(f"c{k}" for k in range(width))
    return Dataset(Path("folder"), rows, None, classes, labels.astype(np.uint8), column, "0" * 64)


def random_labels(count: int, width: int = 5) -> np.ndarray:
    rates = np.linspace(0.5, 0.02, width)
    return (np.random.default_rng(0).random((count, width)) < rates).astype(np.uint8)


TAIL = TailSplit(kind="tail", val_rows=3)


def test_tail() -> None:
    split = make_split(dataset_of(np.ones((10, 2))), TAIL)
    assert split["train"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert split["val"].tolist() == [7, 8, 9]
    assert split["train"].dtype == split["val"].dtype == np.int64


def test_train_rows_caps_the_training_part_only() -> None:
    dataset = dataset_of(np.ones((10, 2)))
    split = make_split(dataset, TAIL, train_rows=2)
    assert (split["train"].tolist(), split["val"].tolist()) == ([0, 1], [7, 8, 9])
    assert len(make_split(dataset, TAIL, train_rows=100)["train"]) == 7
    with pytest.raises(InputError, match="train_rows is 0, but must be at least 1"):
        make_split(dataset, TAIL, train_rows=0)


def test_column() -> None:
    column = ("val", "train", "val", "train")
    split = make_split(dataset_of(np.ones((4, 1)), column), ColumnSplit(kind="column"))
    assert (split["train"].tolist(), split["val"].tolist()) == ([1, 3], [0, 2])


@pytest.mark.parametrize("width", [1, 2, 5])
def test_stratified_keeps_the_proportion_of_every_class(width: int) -> None:
    dataset = dataset_of(random_labels(2000, width))
    split = make_split(dataset, StratifiedSplit(kind="stratified", val_fraction=0.25, seed=3))
    both = np.concatenate([split["train"], split["val"]])
    assert sorted(both.tolist()) == list(range(2000))
    assert (np.diff(split["train"]) > 0).all() and (np.diff(split["val"]) > 0).all()
    assert len(split["val"]) == pytest.approx(500, abs=10)
    wanted = 0.25 * dataset.labels.sum(axis=0)
    # A class may miss its share by the rows that other, rarer classes brought along.
    assert np.abs(dataset.labels[split["val"]].sum(axis=0) - wanted).max() <= 3


def test_stratified_depends_on_the_seed_alone() -> None:
    dataset = dataset_of(random_labels(400))

    calls: list[int] = []

    def val(seed: int) -> list[int]:
        spec = StratifiedSplit(kind="stratified", val_fraction=0.2, seed=seed)
        np.random.seed(len(calls))  # the global generator must not matter
        calls.append(seed)
        return make_split(dataset, spec)["val"].tolist()  # type: ignore[no-any-return]

    assert val(0) == val(0)
    assert val(0) != val(1)


@pytest.mark.parametrize("rows", [10, 11])
def test_a_tail_as_long_as_the_data_is_refused(rows: int) -> None:
    with pytest.raises(
        InputError, match=f"val_rows is {rows}, but must be less than the 10 rows of train.csv"
    ):
        make_split(dataset_of(np.ones((10, 2))), TailSplit(kind="tail", val_rows=rows))


def test_a_class_of_validation_rows_only_is_named() -> None:
    labels = np.ones((10, 3))
    labels[:8, 1] = 0
    message = (
        r"class 'c1' is on 0 rows to train on, but must be on 1 at least \(it is first on "
        r"train\.csv line 10, ImageID '8\.jpg'\); split\.rare_classes keep or drop goes on"
    )
    strict = TailSplit(kind="tail", val_rows=3, rare_classes="error")
    with pytest.raises(InputError, match=message):
        make_split(dataset_of(labels), strict)
    unknown_lines = dataset_of(labels)
    unknown_lines = replace(unknown_lines, train=replace(unknown_lines.train, lines=()))
    with pytest.raises(InputError, match=r"first on row 8 of train\.csv, ImageID '8\.jpg'"):
        make_split(unknown_lines, strict)
    assert len(make_split(unknown_lines, TAIL)["val"]) == 3


def test_a_class_of_training_rows_only_is_fine() -> None:
    labels = np.ones((10, 2))
    labels[5:, 1] = 0
    assert len(make_split(dataset_of(labels), TAIL)["val"]) == 3


def test_column_split_needs_the_column_and_both_parts() -> None:
    spec = ColumnSplit(kind="column")
    with pytest.raises(InputError, match=r"train\.csv has no column 'Split', but the split"):
        make_split(dataset_of(np.ones((4, 1))), spec)
    for part, absent in (("val", "training"), ("train", "validation")):
        with pytest.raises(InputError, match=f"no {absent} row among the 4 rows of train.csv"):
            make_split(dataset_of(np.ones((4, 1)), (part,) * 4), spec)


def test_a_fraction_that_leaves_a_part_empty_is_refused() -> None:
    spec = StratifiedSplit(kind="stratified", val_fraction=0.01)
    with pytest.raises(InputError, match=r"val_fraction is 0\.01, which is 0\.1 of the 10 rows"):
        make_split(dataset_of(np.ones((10, 2))), spec)


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        ({"kind": "tail", "val_rows": 5000}, TailSplit(kind="tail", val_rows=5000)),
        (
            {"kind": "stratified", "val_fraction": 0.2, "seed": 0},
            StratifiedSplit(kind="stratified", val_fraction=0.2),
        ),
        ({"kind": "column"}, ColumnSplit(kind="column")),
        ({"kind": "tail", "val_rows": "50"}, TailSplit(kind="tail", val_rows=50)),
        ({"kind": "tail", "val_rows": 1e2}, TailSplit(kind="tail", val_rows=100)),
    ],
)
def test_specs_are_read_from_yaml_values(value: dict[str, object], spec: object) -> None:
    assert TypeAdapter(SplitSpec).validate_python(value) == spec


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "tail", "val_rows": 0}, "greater than or equal to 1"),
        ({"kind": "tail", "val_rows": True}, "val_rows is true, but must be a number"),
        ({"kind": "tail", "val_rows": 1.5}, "valid integer"),
        ({"kind": "tail", "val_rows": 1, "seed": 0}, "Extra inputs are not permitted"),
        ({"kind": "stratified", "val_fraction": 1.0}, "less than 1"),
        ({"kind": "random"}, "'tail', 'stratified', 'column'"),
    ],
)
def test_wrong_specs_are_refused(value: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(SplitSpec).validate_python(value)


def test_parts_go_by_name() -> None:
    split = Split(train=[0, 2], val=np.array([1]), test=[])
    assert list(split) == ["train", "val", "test"] == list(split.parts)
    assert split["train"].tolist() == [0, 2]
    assert [rows.dtype for rows in split.values()] == [np.int64] * 3
    assert split == Split(train=[0, 2], val=[1], test=[]) != Split(train=[0, 2], val=[1])
    assert repr(split) == "Split(train: 2 rows, val: 1 rows, test: 0 rows)"
    assert not hasattr(split, "train")
    with pytest.raises(ValueError, match="read-only"):
        split["train"][0] = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        split.parts["train"] = split["val"]  # type: ignore[index]


def test_what_is_no_part_of_a_split() -> None:
    with pytest.raises(InputError) as caught:
        Split(**{"all": [0], "Val": [1], "a": [2.0], "b": [[1]], "c": [1, 1], "d": [2, 1]})
    rule = "a name must be lower-case letters, digits and '_', beginning with a letter, and not"
    assert caught.value.problems == [
        f"a part of a split is named 'all', but {rule} 'all'",
        f"a part of a split is named 'Val', but {rule} 'all'",
        "the part 'a' is float64 [1], but must be one row of integers",
        "the part 'b' is int64 [1, 1], but must be one row of integers",
        "the rows of the part 'c' must ascend",
        "the rows of the part 'd' must ascend",
    ]
