"""Embeddings of rows to predict, read from where they are; nothing is copied into the store."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from hpo.errors import InputError
from hpo.features._arrays import Source, check_values, open_array

__all__ = ["read_embeddings"]


def read_embeddings(
    folder: Path,
    table: str,
    rows: int,
    widths: Mapping[str, int],
    may_lack: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Open the embeddings of all rows of a table, which float16 must be able to hold.

    The rows of test.csv are in a file ``NAME_test.npy`` for each modality if one of those is
    there; otherwise, and for train.csv, they are in ``NAME.npy``.

    Args:
        folder: Where the embeddings are; only read.
        table: What the table is called: ``train.csv`` or such, ``test.csv`` or such.
        rows: Rows of the table.
        widths: D of each modality that is needed, whatever its name; files of others are not
            looked at.
        may_lack: Modalities that rows may lack: rows of NaN are taken, and so is a file that isn't
            there, as if all rows were.

    Returns:
        For each modality, float16 or float32 [rows, D], memory-mapped.

    Raises:
        InputError: A file is missing or damaged, doesn't fit the rows or widths, or has values
            that float16 can't hold; all problems are listed.
    """
    title = f"The embeddings folder '{folder}' can't be used:"
    if not folder.is_dir():
        raise InputError("there is no such folder", title)
    own_files = table.startswith("test") and any(
        (folder / f"{m}_test.npy").exists() for m in widths
    )
    problems: list[str] = []
    arrays: dict[str, np.ndarray] = {}
    for modality, width in widths.items():
        name = f"{modality}_test.npy" if own_files else f"{modality}.npy"
        if not (folder / name).exists() and modality in may_lack:
            arrays[modality] = np.broadcast_to(np.float16(np.nan), (rows, width))
            continue
        if not (folder / name).exists():
            problems.append(f"there is no file {name}, but the model reads {modality} embeddings")
            continue
        array = open_array(folder / name, name, problems)
        if array is None:
            continue
        if len(array) != rows:
            problems.append(f"{name} has {len(array)} rows, but {table} has {rows}")
        if array.shape[1] != width:
            problems.append(f"{name} is {array.shape[1]} wide, but the model reads {width}")
        source = Source(name, [array], np.arange(len(array)))
        check_values(source, problems, may_lack=modality in may_lack)
        arrays[modality] = array
    if problems:
        raise InputError(problems, title)
    return arrays
