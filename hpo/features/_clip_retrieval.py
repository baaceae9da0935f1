"""The folder that ``clip-retrieval inference`` writes, as embeddings of our rows.

``img_emb/img_emb_0.npy``, ``img_emb/img_emb_1.npy``, … hold the embeddings, likewise
``text_emb/``, and ``metadata/metadata_0.parquet``, … say of each row which file, key or caption it
is of. Pictures that couldn't be read have no row. Several such folders may lie in one.
https://github.com/rom1504/clip-retrieval#clip-inference
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from hpo.errors import InputError
from hpo.features._arrays import open_array
from hpo.features._found import Found
from hpo.features._modalities import ENCODED
from hpo.features._names_beside import names_beside
from hpo.features._parquet import read_parquet

__all__ = ["SHARD_FOLDERS", "find_clip_retrieval", "shard_folders"]

SHARD_FOLDERS = {name: encoding.clip_retrieval for name, encoding in ENCODED.items()}
"""The folder of each modality's embeddings, and the stem of the files in it."""

_NAMED = 5
#: Columns of texts, and how many rows there are.
_Metadata = tuple[Mapping[str, Sequence[str]], int]


def shard_folders(folder: Path, modality: str, *, below: bool = True) -> list[Path]:
    """List where clip-retrieval left embeddings of a modality: in the folder, or else below it."""
    outputs = _outputs(folder, modality)
    return [one / SHARD_FOLDERS[modality] for one in outputs if below or one == folder]


def find_clip_retrieval(
    folder: Path,
    modalities: Sequence[str],
    problems: list[str],
    own_tables: Collection[Path] = (),
) -> dict[tuple[str, str], Found]:
    """Open the shards, with the metadata of their rows.

    Args:
        folder: What clip-retrieval wrote, or a folder of such folders.
        modalities: Which to take, of those in ``SHARD_FOLDERS``.
        problems: What is wrong is added here.
        own_tables: As for ``find_arrays``.

    Returns:
        The embeddings of each modality that is there; rows of test.csv may follow.
    """
    found = {}
    known: dict[Path, Mapping[int, _Metadata]] = {}
    for modality in modalities:
        stem = SHARD_FOLDERS[modality]
        outputs = _outputs(folder, modality)
        arrays: list[np.ndarray] = []
        tables: list[Mapping[str, Sequence[str]]] = []
        lacking: list[str] = []
        for output in outputs:
            prefix = "" if output == folder else f"{output.name}/"
            if output not in known:
                known[output] = _read_metadata(output / "metadata", prefix, problems)
            for number, name, array in _open_shards(output / stem, stem, prefix, problems):
                if arrays and array.shape[1] != arrays[0].shape[1]:
                    problems.append(
                        f"{name} is {array.shape[1]} wide, but the files before are "
                        f"{arrays[0].shape[1]}"
                    )
                    continue
                arrays.append(array)
                if number not in known[output]:
                    lacking.append(name)
                    continue
                table, rows = known[output][number]
                # Names that aren't those of the rows put nothing in order.
                tables.append(table if rows == len(array) else {})
                if rows != len(array):
                    problems.append(
                        f"{name} has {len(array)} rows, but {prefix}metadata/ has {rows} of it"
                    )
        if not arrays:
            continue
        if lacking and tables:
            problems.append(f"{lacking[0]} has no metadata, but other shards have")
        columns: dict[str, Sequence[str]] = {}
        for column in tables[0] if tables and not lacking else ():
            if all(column in table for table in tables):
                columns[column] = [value for table in tables for value in table[column]]
        where, perhaps = "metadata/", dict[str, Mapping[str, Sequence[str]]]()
        if not tables:
            count = sum(map(len, arrays))
            beside = names_beside(folder, modality, "train", count, problems, own_tables)
            where, columns, perhaps = ", ".join(beside.where), beside.columns, beside.perhaps
        certain = "its metadata/, or with the ImageIDs in ids.txt, one a line"
        found["train", modality] = Found(
            f"{stem}/", arrays, columns, where, certain, "both", perhaps
        )
    return found


def _outputs(folder: Path, modality: str) -> list[Path]:
    """Return the folders with shards: this one, or else those in it, in their order."""
    stem = SHARD_FOLDERS[modality]

    def has(output: Path) -> bool:
        return any(_number(path, stem) is not None for path in (output / stem).glob("*.npy"))

    if has(folder):
        return [folder]
    return sorted((path for path in folder.iterdir() if path.is_dir() and has(path)), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)
    ]


def _open_shards(
    folder: Path, stem: str, prefix: str, problems: list[str]
) -> list[tuple[int, str, np.ndarray]]:
    """Open all shards in the order of their numbers, which may or may not have leading zeros."""
    numbered: dict[int, Path] = {}
    for path in sorted(folder.glob("*.npy")):
        number = _number(path, stem)
        if number in numbered:
            problems.append(
                f"{prefix}{stem}/ has {numbered[number].name} and {path.name}, which both have the "
                f"number {number}; remove the one that is wrong"
            )
        if number is not None:
            numbered[number] = path
    absent = sorted(set(range(max(numbered, default=-1) + 1)) - set(numbered))
    if absent:
        listed = ", ".join(f"{stem}_{number}.npy" for number in absent[:_NAMED])
        problems.append(f"{prefix}{stem}/ has {stem}_{max(numbered)}.npy, but lacks {listed}")
    opened = []
    for number in sorted(numbered):
        name = f"{prefix}{stem}/{numbered[number].name}"
        array = open_array(numbered[number], name, problems)
        if array is not None:
            opened.append((number, name, array))
    return opened


def _number(path: Path, stem: str, suffix: str = "npy") -> int | None:
    match = re.fullmatch(rf"{stem}_(\d+)\.{suffix}", path.name)
    return int(match[1]) if match else None


def _read_metadata(folder: Path, prefix: str, problems: list[str]) -> Mapping[int, _Metadata]:
    """Return each shard's metadata by the shard's number."""
    found = {}
    for path in sorted(folder.glob("metadata_*.parquet")):
        number = _number(path, "metadata", "parquet")
        if number is None:
            continue
        try:
            called = f"{prefix}metadata/{path.name}"
            table = read_parquet(path, called, vectors=False)
            if number in found:
                problems.append(f"{called}: another file has the number {number} as well")
            found[number] = table.columns, table.rows
        except InputError as error:
            problems += error.problems
            if "pyarrow" in str(error):
                break  # the others say the same
    others = [path.name for path in sorted(folder.glob("[!.]*")) if path.is_file()]
    if others and not found and not problems:
        problems.append(
            f"{prefix}metadata/ has {others[0]}, but only metadata_0.parquet and such are read; "
            "write the ImageIDs into ids.txt instead, one a line, or move it away"
        )
    return found
