"""Parquet files: columns of texts, and columns of vectors as arrays."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpo.errors import InputError
from hpo.features._name_texts import NAMING, name_texts
from hpo.files import regular

__all__ = ["ParquetTable", "read_parquet"]


class ParquetTable(NamedTuple):
    """What a Parquet file holds.

    Attributes:
        arrays: Arrays [n, D] by name.
        columns: Columns of texts and whole numbers, which may name the rows.
        rows: n.
        made_of: The columns of floats that are the one array with no name, if there is one.
    """

    arrays: Mapping[str, np.ndarray]
    columns: Mapping[str, Sequence[str]]
    rows: int
    made_of: tuple[str, ...]


def read_parquet(path: Path, called: str | None = None, *, vectors: bool = True) -> ParquetTable:
    """Read a Parquet file of embeddings, or of what lies beside them.

    A column of lists of numbers is an array of its name; without any, all columns of floats
    together are one array with no name. A column of texts that lacks some is one only where no
    other is whole.

    Args:
        path: The file.
        called: What to begin messages with; by default they go on after the file's name.
        vectors: Whether to read arrays as well.

    Raises:
        InputError: It is damaged, rows lack values, or pyarrow is missing.
    """
    prefix = "" if called is None else f"{called} "
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        types: Any = importlib.import_module("pyarrow.types")
    except ImportError:
        raise InputError(
            f"{prefix}is a Parquet file, which takes pyarrow to read; install it: "
            "pip install pyarrow"
        ) from None
    try:
        with parquet.ParquetFile(regular(path), page_checksum_verification=True) as file:
            schema = file.schema_arrow
            listed = [f.name for f in schema if _is_list(types, f.type)] if vectors else []
            texts = [f.name for f in schema if _is_text(types, f.type) or _is_naming(types, f)]
            floats = [f.name for f in schema if types.is_floating(f.type) and f.name not in texts]
            floats = floats if vectors else []
            rows = int(file.metadata.num_rows)
            if len(set(schema.names)) < len(schema.names):
                raise ValueError("it has two columns of one name")
            table = file.read(columns=[*texts, *(listed or floats)])
            table.validate(full=True)
            whole = any(not table.column(name).null_count for name in texts)
            names = {
                name: name_texts(table.column(name).to_pylist())
                for name in texts
                if not (whole and table.column(name).null_count)
            }
    except Exception as error:  # damaged files raise nearly anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "it is damaged"
        raise InputError(f"{prefix}can't be read as Parquet: {reason.rstrip('.')}") from None
    columns = {name: values for name, values in names.items() if values is not None}
    arrays = {name: _stacked(table.column(name), f"{prefix}column '{name}'") for name in listed}
    if listed or not floats:
        return ParquetTable(arrays, columns, rows, ())
    arrays[""] = np.stack([table.column(name).to_numpy() for name in floats], axis=1)
    return ParquetTable(arrays, columns, rows, tuple(floats))


def _is_list(types: Any, kind: Any) -> bool:
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list) and bool(
        types.is_floating(kind.value_type) or types.is_integer(kind.value_type)
    )


def _is_text(types: Any, kind: Any) -> bool:
    if types.is_dictionary(kind):
        return _is_text(types, kind.value_type)
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_integer(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _is_naming(types: Any, field: Any) -> bool:
    """Say whether a column of floats may have whole numbers as names."""
    return bool(types.is_floating(field.type)) and bool(NAMING.fullmatch(field.name.lower()))


def _stacked(column: Any, called: str) -> np.ndarray:
    """Return a column of lists as an array [n, D]."""
    if column.null_count:
        raise InputError(f"{called}: {column.null_count} rows have no vector")
    blocks = []
    for chunk in column.chunks:
        flat = chunk.flatten()
        values = flat.to_numpy(zero_copy_only=False)
        if not len(chunk):
            continue
        lengths = np.diff(chunk.offsets.to_numpy()) if hasattr(chunk, "offsets") else None
        if (lengths is not None and (lengths != lengths[0]).any()) or len(values) % len(chunk):
            raise InputError(f"{called} has vectors of different lengths")
        blocks.append(values.reshape(len(chunk), -1))
    if len({block.shape[1] for block in blocks}) > 1:
        raise InputError(f"{called} has vectors of different lengths")
    return np.concatenate(blocks) if blocks else np.empty((0, 0), np.float32)
