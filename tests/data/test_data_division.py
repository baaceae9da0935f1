"""Divisions: a split that fits the data, a column that isn't read, rare classes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.data import (
    AutoSplit,
    ColumnSplit,
    Dataset,
    Rows,
    SplitSpec,
    StratifiedSplit,
    TailSplit,
    divide,
    settle_split,
    split_line,
)
from hpo.errors import InputError

SHA = "5" * 64
OFFICIAL = {"train_csv_sha256": SHA, "val_rows": 4}


def dataset_of(labels: np.ndarray, column: tuple[str, ...] | None = None) -> Dataset:
    count, width = labels.shape
    ids = tuple(f"{i}.jpg" for i in range(count))
    rows = Rows(ids, ("",) * count, None, tuple(range(2, count + 2)), "train.csv")
    classes = tuple(f"c{k}" for k in range(width))
    return Dataset(Path("folder"), rows, None, classes, labels.astype(np.uint8), column, SHA)


def auto(**more: object) -> AutoSplit:
    return AutoSplit.model_validate({"kind": "auto", **more})


EVEN = dataset_of(np.eye(2)[np.arange(20) % 2])
COLUMN = replace(EVEN, split_column=("train",) * 12 + ("val",) * 5 + ("test",) * 3)
NO_VAL = replace(EVEN, split_column=("train",) * 16 + ("test",) * 4)


@pytest.mark.parametrize(
    ("dataset", "spec", "expected"),
    [
        (EVEN, auto(), StratifiedSplit(kind="stratified", val_fraction=0.2)),
        (
            EVEN,
            auto(val_fraction=0.3, test_fraction=0.1, seed=2),
            StratifiedSplit(kind="stratified", val_fraction=0.3, test_fraction=0.1, seed=2),
        ),
        (EVEN, auto(official=OFFICIAL), TailSplit(kind="tail", val_rows=4)),
        (
            replace(EVEN, fingerprint="6" * 64),
            auto(official=OFFICIAL),
            StratifiedSplit(kind="stratified", val_fraction=0.2),
        ),
        (EVEN, auto(official=OFFICIAL, val_rows=7), TailSplit(kind="tail", val_rows=7)),
        (COLUMN, auto(), ColumnSplit(kind="column")),
        (COLUMN, auto(val_rows=7), TailSplit(kind="tail", val_rows=7)),
        (NO_VAL, auto(seed=3), ColumnSplit(kind="column", val_fraction=0.2, seed=3)),
        (
            EVEN,
            auto(min_rows_per_class=2, rare_classes="drop"),
            StratifiedSplit(
                kind="stratified", val_fraction=0.2, min_rows_per_class=2, rare_classes="drop"
            ),
        ),
        (COLUMN, TailSplit(kind="tail", val_rows=2), TailSplit(kind="tail", val_rows=2)),
    ],
)
def test_an_automatic_split_takes_what_fits(
    dataset: Dataset, spec: SplitSpec, expected: SplitSpec
) -> None:
    assert settle_split(spec, dataset) == expected
    assert divide(dataset, spec).spec == expected


def test_an_automatic_split_is_the_split_that_it_becomes() -> None:
    random = dataset_of(np.random.default_rng(0).random((200, 4)) < 0.3)
    found = divide(random, auto()).split
    assert found == divide(random, StratifiedSplit(kind="stratified", val_fraction=0.2)).split


def test_a_test_fraction_needs_a_stratified_split() -> None:
    with pytest.raises(InputError, match="but there is a column Split, which says which rows are "):
        settle_split(auto(test_fraction=0.1), COLUMN)
    with pytest.raises(InputError, match="but the last 4 rows are to validate on; it goes with a "):
        settle_split(auto(test_fraction=0.1, official=OFFICIAL), EVEN)


def test_a_column_without_validation_rows_lends_some_of_its_training_rows() -> None:
    split = divide(NO_VAL, auto()).split
    assert split["test"].tolist() == [16, 17, 18, 19]
    assert len(split["val"]) == 3 and len(split["train"]) == 13
    assert EVEN.labels[split["val"]].any(axis=0).all()
    assert divide(NO_VAL, auto()).split == split
    with pytest.raises(InputError, match="no validation row among the 20 rows of "):
        divide(NO_VAL, ColumnSplit(kind="column"))


def test_what_is_not_used_is_said() -> None:
    notes = divide(COLUMN, TailSplit(kind="tail", val_rows=15)).notes
    assert [str(note) for note in notes] == [
        "the column Split (12 train, 5 val, 3 test) is not read, since the space asks for another "
        "split, tail; --set split.kind=column divides the rows by it",
        "there are fewer rows to train on (5) than to validate on (15); --set split.kind=auto "
        "validates on a fifth",
    ]
    assert all(note.doubtful for note in notes)
    assert divide(COLUMN, auto()).notes == () == divide(EVEN, auto()).notes
    assert divide(EVEN, TailSplit(kind="tail", val_rows=4), train_rows=2).notes == ()


def test_a_tail_that_does_not_fit_names_what_does() -> None:
    tail = TailSplit(kind="tail", val_rows=20)
    with pytest.raises(InputError, match=r"--set split\.kind=auto takes a fifth to validate"):
        divide(EVEN, tail)
    with pytest.raises(InputError, match="auto takes what the column Split says to validate"):
        divide(COLUMN, tail)


# On the first 6 of 9 rows c0 is on 6, c1 on 2, c2 on 1 and c3 on none; c4 is on no row.
RARE = np.zeros((9, 5))
RARE[:, 0] = 1
RARE[[0, 1, 7], 1] = 1
RARE[[2, 8], 2] = 1
RARE[7:9, 3] = 1


def tail(**more: object) -> TailSplit:
    return TailSplit.model_validate({"kind": "tail", "val_rows": 3, **more})


def test_rare_classes_are_kept_and_named() -> None:
    dataset = dataset_of(RARE)
    division = divide(dataset, tail())
    assert division.dataset is dataset
    (note,) = division.notes
    assert note.doubtful and str(note) == (
        "1 class on no row to train on (c3) is kept, and counts as missed wherever a row has it; "
        "--set split.rare_classes=drop leaves it out, error refuses it"
    )
    (note,) = divide(dataset, tail(min_rows_per_class=2)).notes
    assert str(note).startswith("2 classes on fewer than 2 rows to train on (c2, c3) are kept, and")
    (note,) = divide(dataset_of(RARE[:, :3]), tail(min_rows_per_class=2)).notes
    assert not note.doubtful and "count as missed" not in str(note)


def test_rare_classes_are_dropped_with_their_labels() -> None:
    labels = RARE.copy()
    labels[8, 0] = 0
    dataset = dataset_of(labels)
    division = divide(dataset, tail(min_rows_per_class=2, rare_classes="drop"), train_rows=1)
    assert division.dataset.classes == ("c0", "c1")
    assert division.dataset.labels.tolist() == labels[:, :2].tolist()
    assert division.split["train"].tolist() == [0] and len(division.split["val"]) == 3
    (note,) = division.notes
    assert not note.doubtful and str(note) == (
        "3 classes on fewer than 2 rows to train on (c2, c3, c4) are left out; 3 rows lose a label "
        "by it, 1 their only one"
    )
    with pytest.raises(InputError, match=r"all 5 classes are on fewer than 7 rows to train on, so"):
        divide(dataset, tail(min_rows_per_class=7, rare_classes="drop"))


def test_rare_classes_are_refused_with_the_way_on() -> None:
    with pytest.raises(InputError) as caught:
        divide(dataset_of(RARE), tail(min_rows_per_class=2, rare_classes="error"))
    assert caught.value.problems == [
        f"class '{name}' is on {count} rows to train on, but must be on 2 at least ({first}); "
        "split.rare_classes keep or drop goes on"
        for name, count, first in (
            ("c2", 1, "it is first on train.csv line 4, ImageID '2.jpg'"),
            ("c3", 0, "it is first on train.csv line 9, ImageID '7.jpg'"),
            ("c4", 0, "it is on no row"),
        )
    ]


def test_a_split_is_told_in_a_line() -> None:
    assert split_line(tail()) == "split tail, val_rows 3"
    assert split_line(ColumnSplit(kind="column")) == "split column"
    assert split_line(tail(rare_classes="drop")) == "split tail, rare_classes drop, val_rows 3"
