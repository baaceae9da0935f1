"""Embeddings of rows to predict, read from where they are; nothing is copied into the store."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from hpo.errors import InputError
from hpo.features._arrays import Source, check_values
from hpo.features._clip_retrieval import SHARD_FOLDERS, find_clip_retrieval, shard_folders
from hpo.features._found import array_files, find_arrays
from hpo.features._import_names import folder_title, no_folder
from hpo.features._match import ABSENT, Wanted
from hpo.features._modalities import in_order
from hpo.features._names_beside import tables_among
from hpo.features._order import notes_on, order_rows, type_notes, zero_notes
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
    averaged: bool = False,
    skip_absent: bool = False,
    notes: list[Note] | None = None,
    data: Path | None = None,
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
        averaged: Whether rows have further captions, so that one of them names no row.
        skip_absent: Take rows of any modality that are NaN or that the names beside an array don't
            have as rows of NaN.
        notes: Takes what was done, or taken on trust.
        data: As for ``import_features``.

    Returns:
        For each modality, float16 or float32 [rows, D]; memory-mapped where the rows are in order.

    Raises:
        InputError: A file is missing or damaged, doesn't fit the rows or widths, or has values
            that float16 can't hold; all problems are listed.
    """
    if not folder.is_dir():
        raise InputError(no_folder(folder), folder_title(folder))
    files = array_files(folder, [])
    own_files = table.startswith("test") and any("test" in files.get(name, {}) for name in widths)
    part = "test" if own_files else "train"
    faults: dict[str, list[str]] = {modality: [] for modality in widths}
    arrays: dict[str, np.ndarray] = {}
    own = tables_among(folder, data)
    found = find_arrays(
        folder, files, {m: [part] for m in widths if part in files.get(m, {})}, faults, own
    )
    shards = [m for m in SHARD_FOLDERS if m in widths and m not in files]
    shards = [m for m in shards if shard_folders(folder, m)]
    others: list[str] = []
    found |= find_clip_retrieval(folder, shards, others, own)
    by_name = {name: one for (_, name), one in found.items()}
    wanted = Wanted(ids or [""] * rows, captions, table, averaged)
    ordered = {}
    said: list[Note] = []
    for modality, width in widths.items():
        one = by_name.get(modality)
        if one is None:
            if part in files.get(modality, {}) or modality in shards:
                continue  # and it was said why
            if modality in may_lack:
                arrays[modality] = np.broadcast_to(np.float16(np.nan), (rows, width))
            else:
                name = f"{modality}_test.npy" if own_files else f"{modality}.npy"
                there = ", ".join(in_order(files)) or "no embeddings"
                faults[modality].append(
                    f"there is no file {name}, but the model reads {modality} embeddings; the "
                    f"folder has {there}"
                )
            continue
        may_lack_rows = skip_absent or modality in may_lack
        given = order_rows(
            one,
            modality,
            {one.holds if one.holds == "test" else "train": wanted},
            faults[modality],
            matched=ids is not None,
            own_test=True,
            skip=may_lack_rows,
        )
        if one.arrays[0].shape[1] != width:
            faults[modality].append(
                f"{one.name} is {one.arrays[0].shape[1]} wide, but the model reads {width}"
            )
        in_place = next(iter(given.values()), None)
        taken = np.arange(len(one)) if in_place is None else in_place.source.rows
        there_are = Source(one.name, one.arrays, taken[taken != ABSENT])
        zeros: list[int] = []
        check_values(there_are, faults[modality], may_lack=may_lack_rows, zeros=zeros)
        said += zero_notes(one.name, zeros)
        if in_place is not None:
            ordered[part, modality] = in_place
            arrays[modality] = _in_order(one.arrays, taken)
    problems = [*others, *(fault for each in faults.values() for fault in each)]
    if problems:
        raise InputError(problems, folder_title(folder))
    if notes is not None:
        notes += [*notes_on(ordered), *said, *type_notes(found.values())]
    return arrays


def _in_order(arrays: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    """Return rows of arrays, counted through all of them; NaN for one that is absent."""
    array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    if array.dtype.newbyteorder("=") not in ("float16", "float32"):
        array = array.astype(np.float32)
    if len(order) == len(array) and (order == np.arange(len(order))).all():
        return array
    taken: np.ndarray = array[order]
    taken[order == ABSENT] = np.nan
    return taken
