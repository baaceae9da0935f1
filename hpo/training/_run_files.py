"""One file of the run store: written with checksums and its own name, and checked when it is read.

A file is in safetensors' format. Its metadata say which run, epoch and kind it is of, and hold two
checksums (CRC-32): one of all that is in it, and one of the curve with what is said about it, so
that a curve can be read and trusted without the weights beside it. Earlier versions stored one
checksum of the tensors alone; their curves are checked with all of the file.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hpo.files import canonical_json, read_again, regular
from hpo.json_files import parse_json
from hpo.training._curve import STANDING_METRICS, EpochRecord, curve_columns

__all__ = ["Content", "DamagedError", "RunName", "from_file", "to_bytes"]

_CURVE = "curve"
_ABOUT = "about"
_OLD_SUM = "crc32"
_SUMS = ("sum", "curve_sum")
#: The columns of curves that were stored without their names.
_FIRST_COLUMNS = curve_columns(STANDING_METRICS)


class DamagedError(Exception):
    """What was read is not what was written."""


class RunName(NamedTuple):
    """What a file is of."""

    address: str
    epoch: int
    kind: str


class Content(NamedTuple):
    """What a file holds.

    Attributes:
        records: The curve up to its epoch.
        ended: Why the run ended by itself; None otherwise.
        tensors: Weights or state by name; empty if they were not asked for.
    """

    records: tuple[EpochRecord, ...]
    ended: str | None
    tensors: Mapping[str, Tensor]


def to_bytes(name: RunName, content: Content) -> bytes:
    """Return the bytes of a file, the same for the same content."""
    columns = tuple(content.records[0]) if content.records else ()
    rows = [[*record.values()] for record in content.records]
    curve = torch.from_numpy(np.array(rows, np.float64).reshape(len(rows), len(columns)))
    tensors = {key: tensor.detach().cpu() for key, tensor in content.tensors.items()}
    about: dict[str, Any] = {"columns": columns, "of": list(name)}
    if content.ended is not None:
        about["ended"] = content.ended
    said = canonical_json(about)
    sums = {"sum": _sum(said, {**tensors, _CURVE: curve}), "curve_sum": _sum(said, {_CURVE: curve})}
    # Entries of the metadata come in any order, so there is but one.
    metadata = {_ABOUT: json.dumps({**about, **sums}, sort_keys=True)}
    made: bytes = save({**tensors, _CURVE: curve}, metadata=metadata)
    return made


def from_file(path: Path, name: RunName, *, tensors: bool) -> Content:
    """Read a file and check that it is what was written under its name.

    Args:
        path: Where it is.
        name: What it must be of.
        tensors: Whether to read all of it, and not the curve alone.

    Raises:
        DamagedError: It isn't what was written.
        FileNotFoundError: There is none.
        OSError: It couldn't be read, several times in a row; nothing is known of its content.
    """
    return read_again(lambda: _read(path, name, tensors))


def _read(path: Path, name: RunName, tensors: bool) -> Content:
    with regular(path).open("rb"):
        pass  # says what the system has against it, in the system's words
    try:
        with safe_open(regular(path), framework="pt") as file:
            names = set(file.keys()) - {_CURVE}
            curve, metadata = file.get_tensor(_CURVE), file.metadata() or {}
            # Without columns' names, it stood in the metadata as it is.
            about = parse_json(metadata[_ABOUT]) if _ABOUT in metadata else dict(metadata)
            old = _OLD_SUM in about
            whole = tensors or old
            content = {key: file.get_tensor(key) for key in names} if whole else {}
        sums = {key: about.pop(key, None) for key in (*_SUMS, _OLD_SUM)}
        if old:
            right = sums[_OLD_SUM] == _old_sum({**content, _CURVE: curve})
        elif tensors:
            right = sums["sum"] == _sum(canonical_json(about), {**content, _CURVE: curve})
        else:
            right = sums["curve_sum"] == _sum(canonical_json(about), {_CURVE: curve})
        if not right:
            raise DamagedError("its checksum is wrong")
        of = about.get("of")
        if of is not None and RunName(*of) != name:
            raise DamagedError(f"it is that of run {of[0]}, epoch {of[1]}, {of[2]}")
        columns = about.get("columns", _FIRST_COLUMNS)
        records = tuple(dict(zip(columns, row, strict=True)) for row in curve.tolist())
        _check_range(records)
        return Content(records, about.get("ended"), content if tensors else {})
    except (SafetensorError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise DamagedError(str(error) or repr(error)) from None


def _check_range(records: tuple[EpochRecord, ...]) -> None:
    """Check what was stored before it had a checksum of its own, or by something that was wrong.

    Raises:
        DamagedError: A value can't have been measured.
    """
    for record in records:
        for name in STANDING_METRICS:
            value = record.get(name, 0.0)
            if value < 0 or value > 100:  # NaN is neither
                raise DamagedError(f"{name} is {value:g}, but must be from 0 to 100")


def _sum(about: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the CRC-32 of tensors by name, with their types and shapes, and what is said."""
    value = zlib.crc32(about.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(_data(tensor), value)
    return f"{value:08x}"


def _old_sum(tensors: Mapping[str, Tensor]) -> str:
    """Return the CRC-32 of all tensors, by name, as earlier versions stored it."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(_data(tensors[name]), value)
    return f"{value:08x}"


def _data(tensor: Tensor) -> memoryview:
    return tensor.contiguous().numpy().reshape(-1).view(np.uint8).data
