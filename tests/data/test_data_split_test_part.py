"""The part of the rows that is left untouched: asked for, drawn, and in nobody's way."""

import numpy as np
import pytest
from test_data_split import dataset_of, random_labels

from hpo.data import ColumnSplit, Split, StratifiedSplit, TailSplit, make_split
from hpo.errors import InputError


def parts(split: Split) -> dict[str, list[int]]:
    return {name: rows.tolist() for name, rows in split.items()}


def test_tail_leaves_the_rows_before_the_validation_rows() -> None:
    dataset = dataset_of(np.ones((10, 2)))
    split = make_split(dataset, TailSplit(kind="tail", val_rows=3, test_rows=2))
    assert parts(split) == {"train": [0, 1, 2, 3, 4], "test": [5, 6], "val": [7, 8, 9]}
    assert split["test"].dtype == np.int64
    plain = make_split(dataset, TailSplit(kind="tail", val_rows=3))
    assert parts(plain) == {"train": [0, 1, 2, 3, 4, 5, 6], "val": [7, 8, 9]}


def test_column_leaves_rows_that_say_test() -> None:
    column = ("val", "train", "test", "train", "test")
    split = make_split(dataset_of(np.ones((5, 1)), column), ColumnSplit(kind="column"))
    assert parts(split) == {"train": [1, 3], "val": [0], "test": [2, 4]}


@pytest.mark.parametrize("width", [1, 5])
def test_stratified_draws_both_parts_in_the_proportion_of_every_class(width: int) -> None:
    dataset = dataset_of(random_labels(2000, width))
    spec = StratifiedSplit(kind="stratified", val_fraction=0.2, test_fraction=0.25, seed=3)
    split = make_split(dataset, spec)
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(2000))
    for name, share in (("test", 0.25), ("val", 0.2)):
        assert (np.diff(split[name]) > 0).all()
        assert len(split[name]) == pytest.approx(share * 2000, abs=10)
        wanted = share * dataset.labels.sum(axis=0)
        assert np.abs(dataset.labels[split[name]].sum(axis=0) - wanted).max() <= 4
    assert make_split(dataset, spec) == split


def test_without_a_test_part_the_stratified_rows_are_those_of_before() -> None:
    """Drawn by the same call of iterstrat, on all rows and with the same seed."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    dataset = dataset_of(random_labels(400))
    spec = StratifiedSplit(kind="stratified", val_fraction=0.2, seed=7)
    assert spec == StratifiedSplit(kind="stratified", val_fraction=0.2, test_fraction=0.0, seed=7)
    padded = np.pad(dataset.labels, ((0, 0), (0, 1)))
    drawer = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=80, random_state=7)
    _, val = next(drawer.split(padded, padded))
    split = make_split(dataset, spec)
    assert split["val"].tolist() == sorted(val.tolist())
    assert list(split) == ["train", "val"]


def test_train_rows_leave_the_other_parts_alone() -> None:
    dataset = dataset_of(random_labels(200))
    spec = StratifiedSplit(kind="stratified", val_fraction=0.2, test_fraction=0.2)
    whole, few = make_split(dataset, spec), make_split(dataset, spec, train_rows=10)
    assert few["train"].tolist() == whole["train"].tolist()[:10]
    assert all(np.array_equal(few[name], whole[name]) for name in ("val", "test"))


def test_a_class_of_untouched_rows_only_is_named() -> None:
    labels = np.ones((10, 2))
    labels[:, 1] = 0
    labels[5, 1] = 1
    message = (
        r"class 'c1' is on 0 rows to train on, but must be on 1 at least \(it is first on "
        r"train\.csv line 7, ImageID '5\.jpg'\)"
    )
    spec = TailSplit(kind="tail", val_rows=3, test_rows=2, rare_classes="error")
    with pytest.raises(InputError, match=message):
        make_split(dataset_of(labels), spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            TailSplit(kind="tail", val_rows=6, test_rows=4),
            "val_rows is 6 and test_rows 4, but must be less than the 10 rows of train.csv; --set "
            "split.kind=auto takes a fifth to validate",
        ),
        (
            StratifiedSplit(kind="stratified", val_fraction=0.5, test_fraction=0.01),
            "test_fraction is 0.01, which is 0.1 of the 10 rows of train.csv, but must leave at "
            "least one row in each part",
        ),
        (
            StratifiedSplit(kind="stratified", val_fraction=0.5, test_fraction=0.5),
            "val_fraction is 0.5 and test_fraction 0.5, but together they must leave at least one "
            "row to train on",
        ),
    ],
)
def test_parts_that_leave_nothing_are_refused(
    spec: TailSplit | StratifiedSplit, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        make_split(dataset_of(np.ones((10, 2))), spec)
    assert caught.value.problems == [message]
