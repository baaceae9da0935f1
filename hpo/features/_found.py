"""The arrays of an embeddings folder, with what lies beside them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpo.errors import InputError
from hpo.features._arrays import checked, open_array
from hpo.features._formats import SUFFIXES, ArrayFile, array_of, open_file
from hpo.features._modalities import ENCODED, ENDINGS, name_fault
from hpo.features._names_beside import is_list_of_names, names_beside

__all__ = ["Found", "array_files", "find_arrays", "found_in_memory", "index_names"]

# What a file may be called that doesn't say of what its embeddings are.
_NAMELESS = re.compile(r"arr_\d+")  # as np.savez calls arrays that have no name
_NEUTRAL = re.compile(r"(embedding|emb|feature|feat|vector)s?|data|clip|train|test")


@dataclass(frozen=True, eq=False)
class Found:
    """Embeddings that were found.

    Attributes:
        name: What to call them in messages.
        arrays: One or more [n_i, D]; rows count through all of them.
        columns: What identifies the rows, one text for each, by name.
        where: Where that was found.
        perhaps: By the file's name, columns that may identify the rows, too.
        certain: What would make the order certain, for messages.
        holds: ``train`` or ``test`` for the rows of one part, ``both`` where those of test.csv
            may follow.
        unread: Names of numbers in the file that are no embeddings.
        made_of: The columns of numbers that the array was made of, if that isn't one column.
    """

    name: str
    arrays: Sequence[np.ndarray]
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    where: str = ""
    certain: str = ""
    holds: str = "train"
    perhaps: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    unread: Sequence[str] = ()
    made_of: Sequence[str] = ()

    def __len__(self) -> int:
        return sum(len(array) for array in self.arrays)


@dataclass(frozen=True)
class Place:
    """Where the embeddings of a modality and part are: a file, and their name in it."""

    path: Path
    key: str | None


def array_files(folder: Path, problems: list[str]) -> dict[str, dict[str, Place]]:
    """List the arrays of a folder's files by modality and part; only archives are opened.

    A file ``NAME.npy``, or one with one array in another format, has the modality NAME, and
    ``NAME_test`` that of the rows to predict. A file with several has those that its arrays are
    named after. Hidden files are passed over, as are lists of names.
    """
    found: dict[str, dict[str, Place]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if not path.is_file():
            if _is_meant(path):
                problems.append(f"{path.name} is there, but is no regular file")
            continue
        if path.suffix.lower() == ".npy":
            if not is_list_of_names(path):
                _add(found, path.stem, Place(path, None), problems)
            continue
        try:
            arrays = open_file(path).arrays
        except InputError as error:
            if _is_meant(path):
                problems += [f"{path.name} {problem}" for problem in error.problems]
            continue
        stem = _base(path.stem)
        if not arrays and (stem in ENCODED or _NEUTRAL.fullmatch(stem)):
            problems.append(f"{path.name} has no array [rows, D] in it")
        if len(arrays) > 1 and all(_NAMELESS.fullmatch(key) for key in arrays):
            problems.append(
                f"{path.name} has {len(arrays)} arrays without names ({', '.join(arrays)}); name "
                "them, as in np.savez(path, image=…, text=…)"
            )
            continue
        if len(arrays) > 1 and not set(arrays) - set(ENDINGS) and not _NEUTRAL.fullmatch(stem):
            for key in arrays:
                _add(found, f"{stem}{ENDINGS[key]}", Place(path, key), problems)
            continue
        if len(arrays) == 1:
            (key,) = arrays
            named = _NEUTRAL.fullmatch(_base(path.stem)) and not name_fault(_base(key))
            named = named and not _NEUTRAL.fullmatch(_base(key))
            _add(found, _part_name(path, key) if named else path.stem, Place(path, key), problems)
        for key in arrays if len(arrays) > 1 else ():
            _add(found, _part_name(path, key), Place(path, key), problems)
    _join_parts(found)
    return found


def _is_meant(path: Path) -> bool:
    """Tell whether a file is surely meant to be embeddings, so that it must not be passed over."""
    stem = _base(path.stem)
    return path.suffix != ".parquet" or stem in ENCODED or _NEUTRAL.fullmatch(stem) is not None


def find_arrays(
    folder: Path,
    files: Mapping[str, Mapping[str, Place]],
    wanted: Mapping[str, Collection[str]],
    problems: Mapping[str, list[str]],
    own_tables: Collection[Path] = (),
) -> dict[tuple[str, str], Found]:
    """Open arrays of files, each with what lies beside it.

    Args:
        folder: Where they are.
        files: All that are there, as ``array_files`` lists them.
        wanted: Which parts to open of which modalities.
        problems: Takes what is wrong with each modality.
        own_tables: Files that say nothing of the order: the tables that rows are compared with.
    """
    found = {}
    opened: dict[Path, ArrayFile] = {}
    all_files = {place.path for parts in files.values() for place in parts.values()}
    nameless = all_files.union(own_tables)
    for name, parts in wanted.items():
        for part in parts:
            place = files[name][part]
            path = place.path
            beside_columns: Mapping[str, Sequence[str]] = {}
            unread: Sequence[str] = ()
            made_of: Sequence[str] = ()
            array: np.ndarray | None
            if place.key is None:
                called = path.name
                array = open_array(path, called, problems[name])
            else:
                if path not in opened:
                    opened[path] = open_file(path)
                several = len(opened[path].arrays) > 1
                called = f"{path.name} ({place.key})" if several else path.name
                array = checked(opened[path].arrays[place.key], called, problems[name])
                beside_columns = opened[path].columns
                problems[name] += _of_no_rows(opened[path], path.name)
                unread, made_of = opened[path].beside, opened[path].made_of
            if array is None:
                continue
            if array.dtype == np.int8 and unread:
                problems[name].append(
                    f"{path.name} has {', '.join(unread)} beside int8 embeddings; if these are to "
                    "be multiplied by it, do that, and save float16 or float32"
                )
                continue
            before = len(problems[name])
            beside = names_beside(folder, name, part, len(array), problems[name], nameless)
            if len(problems[name]) > before:
                continue
            same = {k: v for k, v in beside_columns.items() if len(v) == len(array)}
            beside.add(same, path.name)
            where = ", ".join(beside.where)
            ids = (
                f"the ImageIDs in {'test_' if part == 'test' else ''}ids.txt beside it, one a line"
            )
            found[part, name] = Found(
                called, [array], beside.columns, where, ids, part, beside.perhaps, unread, made_of
            )
    return found


def found_in_memory(value: Any, called: str, part: str, problems: list[str]) -> Found | None:
    """Take an array or a DataFrame, whose index names the rows unless it only counts them."""
    try:
        array = checked(array_of(value), called, problems)
    except InputError as error:
        problems += [f"{called} {problem}" for problem in error.problems]
        return None
    if array is None:
        return None
    names = index_names(value)
    columns: dict[str, Sequence[str]] = {} if names is None else {"ids": names}
    certain = "a DataFrame with the ImageIDs as its index"
    return Found(called, [array], columns, f"the index of {called}", certain, part)


def index_names(value: Any) -> list[str] | None:
    """Return what the index of a DataFrame or Series calls its rows; None if it only counts them.

    One that was turned round, or of which every second row was taken, does not only count.
    """
    index = getattr(value, "index", None)
    if not hasattr(value, "to_numpy") or index is None:
        return None
    if type(index).__name__ == "RangeIndex" and index.step == 1:
        return None
    return [str(label) for label in index]


def _add(found: dict[str, dict[str, Place]], stem: str, place: Place, problems: list[str]) -> None:
    name = _base(stem)
    part = "train" if name == stem else "test"
    before = found.setdefault(name, {}).get(part)
    if before is not None:
        problems.append(
            f"{before.path.name} and {place.path.name} both have {stem} embeddings; remove one"
        )
        return
    found[name][part] = place


def _join_parts(found: dict[str, dict[str, Place]]) -> None:
    """Take ``train_NAME`` and ``test_NAME`` for the parts of NAME, and ``NAME_train`` beside
    ``NAME_test``."""
    for name in [*found]:
        base = name.removeprefix("train_")
        if base != name and base not in found and set(found.get(f"test_{base}", ())) == {"train"}:
            test = found.pop(f"test_{base}")["train"]
            found[base] = {"train": found.pop(name)["train"], "test": test}
        base = name.removesuffix("_train")
        if base != name and set(found.get(base, ())) == {"test"}:
            found[base]["train"] = found.pop(name)["train"]


def _of_no_rows(file: ArrayFile, name: str) -> list[str]:
    """Say which names in a file are of no array in it."""
    lengths = {len(array) for array in file.arrays.values()}
    return [
        f"{name} has {len(values)} {column}, but its arrays have "
        f"{', '.join(map(str, lengths))} rows"
        for column, values in file.columns.items()
        if len(values) not in lengths
    ]


def _base(stem: str) -> str:
    return stem.removesuffix(ENDINGS["test"])


def _part_name(path: Path, key: str) -> str:
    """Return the name of an array in a file, with the file's part."""
    is_test = path.stem == "test" or path.stem.endswith(ENDINGS["test"])
    return f"{_base(key)}{ENDINGS['test']}" if is_test else key
