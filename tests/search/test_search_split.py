"""The split of a space, and what settings from outside make of it."""

from pathlib import Path
from typing import Any

import pytest

from hpo.data import AutoSplit, ColumnSplit, SplitSpec, StratifiedSplit, TailSplit
from hpo.errors import InputError
from hpo.search import load_space

SPACE = {
    "name": "s",
    "search": {"kind": "greedy", "stages": [{"name": "a", "params": {"dropout": [0.1, 0.2]}}]},
}
TAIL = {"kind": "tail", "val_rows": 5000}
SHARE = {"kind": "stratified", "val_fraction": 0.2}


def split_of(
    split: dict[str, Any] | None, settings: dict[str, Any], folder: dict[str, Any] | None = None
) -> SplitSpec:
    raw = SPACE if split is None else {**SPACE, "split": split}
    given = [(key, value, "--set") for key, value in settings.items()]
    suggested = [(key, value, "hpo.yaml") for key, value in (folder or {}).items()]
    return load_space(raw, given, suggested).split


@pytest.mark.parametrize(
    ("split", "settings", "folder", "expected"),
    [
        (None, {}, {}, AutoSplit(kind="auto")),
        (None, {"split.val_rows": 50}, {}, AutoSplit(kind="auto", val_rows=50)),
        (TAIL, {"split.kind": "column"}, {}, ColumnSplit(kind="column")),
        (TAIL, {"split.kind": "auto"}, {}, AutoSplit(kind="auto")),
        (TAIL, {"split.kind": "stratified"}, {}, StratifiedSplit(kind="stratified")),
        ({**SHARE, "seed": 3}, {"split.kind": "auto"}, {}, AutoSplit(kind="auto", seed=3)),
        (
            TAIL,
            {"split.kind": "stratified", "split.val_fraction": 0.3},
            {},
            StratifiedSplit(kind="stratified", val_fraction=0.3),
        ),
        (
            TAIL,  # in the other order as well
            {"split.val_fraction": 0.3, "split.kind": "stratified"},
            {},
            StratifiedSplit(kind="stratified", val_fraction=0.3),
        ),
        (
            SHARE,
            {"split.kind": "tail", "split.val_rows": 7},
            {},
            TailSplit(kind="tail", val_rows=7),
        ),
        (SHARE, {"split": {"kind": "column"}}, {}, ColumnSplit(kind="column")),
        # What a data folder says is left out where another kind is asked for, as ever,
        (SHARE, {}, {"split.val_rows": 7}, StratifiedSplit(kind="stratified", val_fraction=0.2)),
        (TAIL, {}, {"split.val_rows": 7}, TailSplit(kind="tail", val_rows=7)),
        (TAIL, {"split.kind": "column"}, {"split.val_rows": 7}, ColumnSplit(kind="column")),
        # and it may ask for another kind itself.
        (
            TAIL,
            {},
            {"split.kind": "stratified", "split.val_fraction": 0.4},
            StratifiedSplit(kind="stratified", val_fraction=0.4),
        ),
        (TAIL, {"split.val_rows": 9}, {"split.kind": "column"}, None),
        (
            SHARE,
            {},
            {"split.rare_classes": "drop", "split.min_rows_per_class": 3},
            StratifiedSplit(
                kind="stratified", val_fraction=0.2, min_rows_per_class=3, rare_classes="drop"
            ),
        ),
    ],
)
def test_another_kind_leaves_nothing_of_the_old_one(
    split: dict[str, Any] | None,
    settings: dict[str, Any],
    folder: dict[str, Any],
    expected: SplitSpec | None,
) -> None:
    if expected is None:
        with pytest.raises(InputError, match=r"--set split\.val_rows=9: unknown key 'val_rows'"):
            split_of(split, settings, folder)
    else:
        assert split_of(split, settings, folder) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split.kind": "stratified", "split.val_rows": 3}, "--set split.val_rows=3: unknown key "),
        ({"split.kind": "colum"}, r"kind is 'colum', but must be one of: .*did you mean 'column'"),
        ({"split.val_fraction": 0.2}, "--set split.val_fraction=0.2: unknown key 'val_fraction'"),
        ({"split.rare_classes": "dorp"}, r"must be one of: keep, drop, error.*did you mean 'drop'"),
        ({"split.min_rows_per_class": 0}, "min_rows_per_class is 0, but must be greater than or "),
    ],
)
def test_what_is_wrong_names_the_setting(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_of(TAIL, settings)


@pytest.mark.parametrize("name", ["greedy", "tpe", "fusion_check"])
def test_spaces_of_the_paper_have_its_split_for_its_data_alone(name: str) -> None:
    path = Path(__file__).parents[2] / "search_spaces" / f"{name}.yaml"
    split = load_space(path).split
    assert isinstance(split, AutoSplit) and split.is_plain and split.official is not None
    assert split.official.val_rows == 5000
    demo = load_space(path, (), [("split.val_rows", 600, "hpo.yaml")]).split
    assert isinstance(demo, AutoSplit) and demo.val_rows == 600


@pytest.mark.parametrize("name", ["best", "small"])
def test_recommended_spaces_fit_any_data(name: str) -> None:
    path = Path(__file__).parents[2] / "search_spaces" / f"{name}.yaml"
    assert load_space(path).split == AutoSplit(kind="auto")
    # the demo's number is for the spaces of the paper, as it always was
    demo = load_space(path, (), [("split.val_rows", 600, "hpo.yaml")]).split
    assert demo == AutoSplit(kind="auto")
