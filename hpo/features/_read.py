"""Embeddings of rows to predict, read from where they are; nothing is copied into the store."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from hpo.errors import InputError
from hpo.features._arrays import Source, check_values
from hpo.features._found import array_files, find_arrays
from hpo.features._match import ABSENT, Wanted
from hpo.features._order import notes_on, order_rows
from hpo.notes import Note

__all__ = ["read_embeddings"]


def read_embeddings(
    folder: Path,
    table: str,
    rows: int,
    widths: Mapping[str, int],
    may_lack: Collection[str] = (),
    *,
    ids: Sequence[str] | None = None,
    captions: Sequence[str] = (),
    notes: list[Note] | None = None,
) -> dict[str, np.ndarray]:
    """Open the embeddings of all rows of a table, which float16 must be able to hold.

    The rows of test.csv are in a file ``NAME_test.npy`` for each modality if one of those is
    there; otherwise, and for train.csv, they are in ``NAME.npy``. As for ``import_features``, there
    are other formats, and what lies beside an array says which rows are which.

    Args:
        folder: Where the embeddings are; only read.
        table: What the table is called: ``train.csv`` or such, ``test.csv`` or such.
        rows: Rows of the table.
        widths: D of each modality that is needed, whatever its name; files of others are not
            looked at.
        may_lack: Modalities that rows may lack: rows of NaN are taken, and so are rows that the
            names beside an array don't have, or a file that isn't there, as if all rows were.
        ids: The ImageIDs of the rows; without them nothing can be compared.
        captions: The captions of the rows.
        notes: Takes what was done, or taken on trust.

    Returns:
        For each modality, float16 or float32 [rows, D]; memory-mapped where the rows are in order.

    Raises:
        InputError: A file is missing or damaged, doesn't fit the rows or widths, or has values
            that float16 can't hold; all problems are listed.
    """
    title = f"The embeddings folder '{folder}' can't be used:"
    if not folder.is_dir():
        raise InputError("there is no such folder", title)
    files = array_files(folder, [])
    own_files = table.startswith("test") and any("test" in files.get(name, {}) for name in widths)
    part = "test" if own_files else "train"
    faults: dict[str, list[str]] = {modality: [] for modality in widths}
    arrays: dict[str, np.ndarray] = {}
    needed = {m: {part: files[m][part]} for m in widths if part in files.get(m, {})}
    found = find_arrays(folder, needed, faults)
    wanted = Wanted(ids or [""] * rows, captions, table)
    ordered = {}
    for modality, width in widths.items():
        name = f"{modality}_test.npy" if own_files else f"{modality}.npy"
        if modality not in needed:
            if modality in may_lack:
                arrays[modality] = np.broadcast_to(np.float16(np.nan), (rows, width))
            else:
                text = f"there is no file {name}, but the model reads {modality} embeddings"
                faults[modality].append(text)
            continue
        one = found.get((part, modality))
        if one is None:
            continue
        (array,) = one.arrays
        given = order_rows(
            one,
            modality,
            {part: wanted},
            faults[modality],
            matched=ids is not None,
            own_test=True,
            skip=modality in may_lack,
        )
        if array.shape[1] != width:
            faults[modality].append(
                f"{one.name} is {array.shape[1]} wide, but the model reads {width}"
            )
        source = Source(one.name, [array], np.arange(len(array)))
        check_values(source, faults[modality], may_lack=modality in may_lack)
        if part in given:
            ordered[part, modality] = given[part]
            arrays[modality] = _in_order(array, given[part].source.rows)
    problems = [fault for each in faults.values() for fault in each]
    if problems:
        raise InputError(problems, title)
    if notes is not None and ids is not None:
        notes += notes_on(ordered)
    return arrays


def _in_order(array: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return rows of an array; NaN for one that is absent."""
    if array.dtype.newbyteorder("=") not in ("float16", "float32"):
        array = array.astype(np.float32)
    if len(order) == len(array) and (order == np.arange(len(order))).all():
        return array
    taken: np.ndarray = array[order]
    taken[order == ABSENT] = np.nan
    return taken
