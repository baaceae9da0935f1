"""The rows of labels and embeddings that were given in Python: their names, and how many."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpo.errors import InputError
from hpo.features._found import index_names

if TYPE_CHECKING:
    from hpo.data import Dataset

__all__ = ["count_rows", "ids_of", "is_named", "names_rows", "values_of", "with_test_rows"]


def with_test_rows(dataset: "Dataset", arrays: Mapping[str, Any]) -> "Dataset":
    """Add rows to predict: named by the index of a DataFrame of theirs, else by their numbers."""
    from hpo.data import Rows

    count = count_rows(arrays)
    names = next(filter(None, map(index_names, values_of(arrays))), None)
    ids = tuple(names or (f"test_{index}" for index in range(count)))
    return replace(dataset, test=Rows(ids, ("",) * len(ids), None, table="test"))


def count_rows(arrays: Mapping[str, Any]) -> int:
    """Return how many rows the arrays have; if they differ, ``import_arrays`` says which do."""
    return max((_length(array) for array in values_of(arrays)), default=0)


def _length(array: Any) -> int:
    shape = getattr(array, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 0
    return len(array) if isinstance(array, Sequence) else 0


def values_of(features: Any) -> list[Any]:
    """Return all arrays of a mapping, those of several sources included; none of anything else."""
    if not isinstance(features, Mapping):
        return []
    return [
        array
        for value in features.values()
        for array in (value.values() if isinstance(value, Mapping) else [value])
    ]


def is_named(array: Any) -> bool:
    return index_names(array) is not None


def names_rows(labels: Any) -> bool:
    """Say whether the index of labels has a name for each row."""
    names = index_names(labels)
    return names is not None and len(set(names)) == len(names)


def ids_of(labels: Any, ids: Sequence[str] | None) -> Sequence[str] | None:
    """Return the names of rows: those given, else what the index of the labels calls them.

    Raises:
        InputError: Both are there, with the same names in different orders.
    """
    names = index_names(labels)
    if names is None or ids is None:
        return names if ids is None else ids
    given = [str(name) for name in ids]
    if given != names and sorted(given) == sorted(names):
        raise InputError(
            "ids and the index of the labels have the same names in different orders; leave ids "
            "out, or put the labels in their order"
        )
    return ids
