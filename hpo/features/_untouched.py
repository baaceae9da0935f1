"""Rows to predict that have labels: they become labelled rows that no decision may read."""

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpo.features._features import (
    Features,
    array_path,
    features_folder,
    load_features,
    open_features,
    write_array,
    write_info,
)
from hpo.features._folder import build_folder
from hpo.files import content_key

if TYPE_CHECKING:
    from hpo.data import Dataset

__all__ = ["with_untouched"]


def with_untouched(
    dataset: "Dataset", features: Features | Mapping[str, Features], store: Path
) -> "tuple[Dataset, Features | dict[str, Features]]":
    """Put rows to predict that have labels behind the labelled rows, as their untouched part.

    They stay rows to predict as well.

    Args:
        dataset: With labels of its rows to predict.
        features: The embeddings of all rows; or those of several sources by name.
        store: The folder of the cache.

    Raises:
        OSError: The store can't be written.
    """
    from hpo.data import join_rows

    assert dataset.test is not None and dataset.test_labels is not None  # the caller has looked
    count = len(dataset.test)
    column = dataset.split_column
    joined = replace(
        dataset,
        train=join_rows([dataset.train, dataset.test]),
        labels=np.concatenate([dataset.labels, dataset.test_labels]),
        split_column=None if column is None else (*column, *("test",) * count),
        groups=_groups(dataset, count),
        untouched=count,
    )
    if isinstance(features, Mapping):
        return joined, {name: _joined(one, count, store) for name, one in features.items()}
    return joined, _joined(features, count, store)


def _groups(dataset: "Dataset", count: int) -> tuple[int, ...]:
    if not dataset.groups:
        return ()
    start = max(dataset.groups) + 1
    return (*dataset.groups, *range(start, start + count))


def _joined(features: Features, count: int, store: Path) -> Features:
    """Return embeddings whose labelled rows are followed by those to predict."""
    key = content_key({"format": 1, "untouched": features.key, "rows": count})
    found = open_features(store, key)
    if found is None:
        folder = features_folder(store, key)
        _write(features, folder, key, count)
        found = load_features(folder)
    return replace(found, counts=features.counts, cost=features.cost, notes=features.notes)


def _write(features: Features, folder: Path, key: str, count: int) -> None:
    """Write the features folder of all rows."""
    rows = len(next(iter(features.train.values())))
    with build_folder(folder) as building:
        for name, train in features.train.items():
            arrays = {
                "train": [np.asarray(train), np.asarray(features.test[name])],
                "test": [np.asarray(features.test[name])],
            }
            for part, those in arrays.items():
                shape = (sum(map(len, those)), train.shape[1])
                write_array(
                    array_path(building, part, name), shape, functools.partial(_copy, those)
                )
        write_info(building, key, features.info, rows + count, count)


def _copy(arrays: list[np.ndarray], out: np.ndarray) -> None:
    """Write arrays one after the other."""
    start = 0
    for array in arrays:
        out[start : start + len(array)] = array
        start += len(array)
