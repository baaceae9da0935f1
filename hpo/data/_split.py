"""Divide the labelled rows into named parts, such as one to train and one to validate on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpo.data._dataset import Dataset
from hpo.data._problems import Problems
from hpo.data._rows import take_rows
from hpo.data._split_spec import ConcreteSplit, StratifiedSplit, TailSplit
from hpo.errors import InputError

__all__ = ["Split", "make_split"]


_PART = re.compile(r"[a-z][a-z0-9_]*")


class Split(Mapping[str, NDArray[np.int64]]):
    """The labelled rows of each part, by the part's name: ``split["train"]``, ``split["val"]``.

    A frozen mapping; two are equal if their parts are. Rows needn't be in any part.

    Args:
        **parts: The row indices of each part, ascending. Names are lower-case letters, digits
            and ``_``, and not ``all``, which stands for the rows of all parts.

    Raises:
        InputError: A name or an array breaks these rules; all that is wrong is listed.
    """

    def __init__(self, **parts: ArrayLike) -> None:
        problems = []
        arrays = {}
        for name, rows in parts.items():
            if not _PART.fullmatch(name) or name == "all":
                problems.append(
                    f"a part of a split is named '{name}', but a name must be lower-case letters, "
                    "digits and '_', beginning with a letter, and not 'all'"
                )
            array = np.asarray(rows)
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                problems.append(
                    f"the part '{name}' is {array.dtype} {list(array.shape)}, but must be one row "
                    "of integers"
                )
                continue
            array = array.astype(np.int64, copy=False).view()
            array.flags.writeable = False
            if (np.diff(array) <= 0).any():
                problems.append(f"the rows of the part '{name}' must ascend")
            arrays[name] = array
        if problems:
            raise InputError(problems)
        self._parts = arrays

    @property
    def parts(self) -> Mapping[str, NDArray[np.int64]]:
        """The row indices of each part, int64, ascending, read-only."""
        return MappingProxyType(self._parts)

    def __getitem__(self, part: str) -> NDArray[np.int64]:
        return self._parts[part]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Split)
            and self.keys() == other.keys()
            and all(np.array_equal(rows, other[name]) for name, rows in self.items())
        )

    def __repr__(self) -> str:
        return f"Split({', '.join(f'{name}: {len(rows)} rows' for name, rows in self.items())})"


def make_split(
    dataset: Dataset,
    spec: ConcreteSplit,
    train_rows: int | None = None,
) -> Split:
    """Divide the labelled rows by ``spec``; equal arguments give the same split.

    Args:
        dataset: The rows and their labels.
        spec: How to divide them.
        train_rows: Keep only so many training rows, the first ones, for a quick try; all of them
            if there are fewer. The validation part and the check of its classes don't depend
            on it.

    Raises:
        InputError: A part would be empty, train.csv has no column ``Split`` where ``spec`` needs
            it, or there are rare classes and ``spec`` refuses them; all that is wrong is listed.

    Returns:
        The parts ``train`` and ``val``, and ``test`` if one was asked for, or if the data set has
        untouched rows. Rows of one picture are in one part; numbers in ``spec``, and
        ``train_rows``, count pictures then.
    """
    if dataset.untouched or dataset.groups:
        return _divided_apart(dataset, spec, train_rows)
    problems = Problems()
    if train_rows is not None and train_rows < 1:
        problems.add(f"train_rows is {train_rows}, but must be at least 1")
    total = len(dataset.train)
    parts = _parts(dataset, spec, problems)
    if parts is not None:
        empty = [name for name in ("training", "validation") if not (parts == name).any()]
        problems.add(
            f"no {part} row among the {total} rows of {dataset.train.source}, but need one at least"
            for part in empty
        )
        if not empty and spec.rare_classes == "error":
            problems.add(_rare_classes(dataset, parts == "training", spec.min_rows_per_class))
    of = f"'{dataset.root}'" if dataset.root is not None else dataset.train.source
    problems.raise_if_any(f"The {spec.kind} split of {of} is not possible:")
    assert parts is not None  # without parts there was a problem
    test = np.flatnonzero(parts == "test").astype(np.int64)
    return Split(
        train=np.flatnonzero(parts == "training").astype(np.int64)[:train_rows],
        val=np.flatnonzero(parts == "validation").astype(np.int64),
        **({"test": test} if len(test) else {}),
    )


def _divided_apart(
    dataset: Dataset,
    spec: ConcreteSplit,
    train_rows: int | None,
) -> Split:
    """Divide the rows that aren't untouched; a picture on several rows counts once."""
    count = len(dataset.train) - dataset.untouched
    numbers = np.array(dataset.groups or range(len(dataset.train)))[:count]
    _, first = np.unique(numbers, return_index=True)
    mask = np.zeros(len(dataset.train), dtype=bool)
    mask[first] = True
    column = dataset.split_column
    kept = np.flatnonzero(mask)
    alone = replace(
        dataset,
        train=take_rows(dataset.train, mask),
        labels=dataset.labels[mask],
        split_column=None if column is None else tuple(column[row] for row in kept),
        groups=(),
        untouched=0,
    )
    found = make_split(alone, spec, train_rows)
    parts = {name: np.isin(numbers, numbers[kept[rows]]) for name, rows in found.items()}
    whole = {name: np.flatnonzero(rows).astype(np.int64) for name, rows in parts.items()}
    if dataset.untouched:
        if "test" in whole:
            raise InputError(
                f"the {spec.kind} split has a test part, but {dataset.untouched:,} rows to predict "
                "have labels, which are the untouched test part; leave one of them out"
            )
        whole["test"] = np.arange(count, len(dataset.train), dtype=np.int64)
    return Split(**whole)


def _parts(dataset: Dataset, spec: ConcreteSplit, problems: Problems) -> np.ndarray | None:
    """Return the part of each row, or None after saying what is wrong.

    Returns:
        Text [N_train]: ``training``, ``validation`` or ``test``.
    """
    total = len(dataset.train)
    parts = np.full(total, "training", dtype="<U10")
    if isinstance(spec, TailSplit):
        held = spec.val_rows + spec.test_rows
        if held >= total:
            fitting = "a fifth" if dataset.split_column is None else "what the column Split says"
            also = f" and test_rows {spec.test_rows}" if spec.test_rows else ""
            problems.add(
                f"val_rows is {spec.val_rows}{also}, but must be less than the {total} rows of "
                f"{dataset.train.source}; --set split.kind=auto takes {fitting} to validate"
            )
            return None
        parts[total - held :] = "test"
        parts[total - spec.val_rows :] = "validation"
        return parts
    if isinstance(spec, StratifiedSplit):
        return _stratified(dataset, spec, parts, problems)
    if dataset.split_column is None:
        problems.add(
            f"{dataset.train.source} has no column 'Split', but the split 'column' reads that one"
        )
        return None
    names = {"train": "training", "val": "validation", "test": "test"}
    parts = np.array([names[part] for part in dataset.split_column], dtype="<U10")
    left = np.flatnonzero(parts == "training")
    if spec.val_fraction is not None and not (parts == "validation").any() and len(left) > 1:
        rows = min(max(round(spec.val_fraction * len(left)), 1), len(left) - 1)
        parts[left[_stratified_mask(dataset.labels[left], rows, spec.seed)]] = "validation"
    return parts


def _stratified(
    dataset: Dataset, spec: StratifiedSplit, parts: np.ndarray, problems: Problems
) -> np.ndarray | None:
    """Draw the test rows, and then the validation rows from the others."""
    total = len(parts)
    wanted = {"val_fraction": spec.val_fraction, "test_fraction": spec.test_fraction}
    counts = {name: round(fraction * total) for name, fraction in wanted.items()}
    for name, fraction in wanted.items():
        if fraction and not 1 <= counts[name] < total:
            problems.add(
                f"{name} is {fraction}, which is {fraction * total:.2g} of the {total} rows of "
                f"{dataset.train.source}, but must leave at least one row in each part"
            )
    if not problems and sum(counts.values()) >= total:
        problems.add(
            f"val_fraction is {spec.val_fraction} and test_fraction {spec.test_fraction}, but "
            "together they must leave at least one row to train on"
        )
    if problems:
        return None
    left = np.arange(total)
    for name, part in (("test_fraction", "test"), ("val_fraction", "validation")):
        if counts[name]:
            mask = _stratified_mask(dataset.labels[left], counts[name], spec.seed)
            parts[left[mask]] = part
            left = left[~mask]
    return parts


def _stratified_mask(labels: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Sechidis et al. 2011, "On the Stratification of Multi-Label Data", by iterstrat."""
    # Brings in scikit-learn, which takes a second that other splits needn't wait for.
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    # iterstrat takes a matrix of one column for a binary target and refuses it; a column that is
    # zero everywhere asks for nothing and changes nothing.
    padded = np.pad(labels, ((0, 0), (0, 1)))
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=rows, random_state=seed)
    _, drawn = next(splitter.split(padded, padded))
    mask = np.zeros(len(labels), dtype=bool)
    mask[drawn] = True
    return mask


def _rare_classes(dataset: Dataset, training: np.ndarray, least: int) -> list[str]:
    """Name the classes on fewer than so many training rows, each with the first row that has it."""
    counts = dataset.labels[training].sum(axis=0, dtype=np.int64)
    messages = []
    for column in np.flatnonzero(counts < least).tolist():
        rows = np.flatnonzero(dataset.labels[:, column]).tolist()
        first = "it is on no row"
        if rows:
            place, name = dataset.train.place(rows[0]), dataset.train.ids[rows[0]]
            first = f"it is first on {place}, ImageID '{name}'"
        messages.append(
            f"class '{dataset.classes[column]}' is on {counts[column]} rows to train on, but must "
            f"be on {least} at least ({first}); split.rare_classes keep or drop goes on"
        )
    return messages
