"""Embedding arrays of a user's: opened without reading them, checked block by block."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpo.errors import InputError
from hpo.features._formats import open_file

__all__ = [
    "FILE_TYPES",
    "Source",
    "as_float16",
    "check_array",
    "check_values",
    "checked",
    "described",
    "fits_float16",
    "open_array",
]

FILE_TYPES = ("float16", "float32", "float64", "int8")
"""What embeddings may be: floats, or int8 that one factor for all values makes floats of."""

_BLOCK = 4096
_NAMED = 5
# Below it float16 has fewer digits, the fewer the smaller.
_SMALLEST = 2.0**-14
_MOST_LOST = 0.01


@dataclass(frozen=True, eq=False)
class Source:
    """The rows to take for one modality and part.

    Attributes:
        name: What to call them in messages.
        arrays: One or more [n_i, D] of floats; rows count through all of them.
        rows: int64, which rows to take, in this order.
    """

    name: str
    arrays: Sequence[np.ndarray]
    rows: np.ndarray

    @property
    def width(self) -> int:
        return int(self.arrays[0].shape[1])

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield row numbers [n] with values float32 [n, D], a few rows at a time."""
        starts = np.cumsum([0, *(len(array) for array in self.arrays)])
        for start in range(0, len(self.rows), _BLOCK):
            rows = self.rows[start : start + _BLOCK]
            which = np.searchsorted(starts, rows, side="right") - 1
            values = np.empty((len(rows), self.width), dtype=np.float32)
            for number in np.unique(which):
                here = which == number
                with np.errstate(over="ignore"):  # of float64; found as infinity
                    values[here] = self.arrays[number][rows[here] - starts[number]]
            yield rows, values


def open_array(path: Path, name: str, problems: list[str]) -> np.ndarray | None:
    """Map an array of embeddings [n, D], or add to ``problems`` why it can't be.

    Args:
        path: A file with one array, whatever it is called.
        name: What to call it in messages.
        problems: Takes what is wrong.
    """
    try:
        arrays = open_file(path).arrays
    except InputError as error:
        problems += [f"{name} {problem}" for problem in error.problems]
        return None
    if len(arrays) != 1:
        listed = ", ".join(arrays) or "none"
        problems.append(f"{name} must hold one array of embeddings, but has: {listed}")
        return None
    return checked(next(iter(arrays.values())), name, problems)


def checked(array: np.ndarray, name: str, problems: list[str]) -> np.ndarray | None:
    """Return an array that can be one of embeddings, or add to ``problems`` why it can't."""
    return array if check_array(array, name, problems) else None


def check_array(array: np.ndarray, name: str, problems: list[str]) -> bool:
    """Say whether an array can be one of embeddings, and add to ``problems`` why not."""
    faults = []
    if array.dtype.newbyteorder("=") not in FILE_TYPES:
        allowed = f"{', '.join(FILE_TYPES[:-1])} or {FILE_TYPES[-1]}"
        packed = "; packed bits aren't read" if array.dtype == np.uint8 else ""
        faults.append(f"{name} is {array.dtype}, but must be {allowed}{packed}")
    if array.ndim != 2:
        faults.append(f"{name} has shape {list(array.shape)}, but must be [rows, width]")
    elif not array.shape[1]:
        faults.append(f"{name} is 0 wide, but must be at least 1")
    problems.extend(faults)
    return not faults


def check_values(
    source: Source,
    problems: list[str],
    *,
    may_lack: bool = False,
    zeros: list[int] | None = None,
) -> str:
    """Add to ``problems`` the rows that float16 can't hold, and hash the others.

    Args:
        source: The rows.
        problems: Takes what is wrong.
        may_lack: Whether a row may be NaN as a whole, which stands for one that isn't there.
        zeros: Takes the rows that are zero as a whole.

    Returns:
        SHA-256 of the float16 values and their width, hexadecimal.
    """
    digest = hashlib.sha256(f"{source.width}\0".encode())
    broken: list[int] = []
    too_large: list[int] = []
    too_small: list[int] = []
    lacking = False
    for rows, values in source.blocks():
        finite = np.isfinite(values).all(axis=1)
        nan = np.isnan(values).all(axis=1)
        if may_lack:
            finite |= nan
        lacking |= bool(nan.any()) and not may_lack
        broken += rows[~finite].tolist()
        if zeros is not None:
            with np.errstate(invalid="ignore"):  # of NaN, which is told of
                zeros += rows[~values.any(axis=1)].tolist()
        half = as_float16(values)
        too_large += rows[finite & np.isinf(half).any(axis=1)].tolist()
        too_small += rows[finite & _lost(values, half)].tolist()
        digest.update(half.tobytes())
    if broken:
        advice = "; --skip-bad-images leaves out rows that are NaN as a whole" if lacking else ""
        problems.append(f"{source.name} has NaN or infinity in {described(broken)}{advice}")
    if too_large:
        problems.append(
            f"{source.name} has values beyond ±65504, the largest of float16, in "
            f"{described(too_large)}"
        )
    if too_small:
        problems.append(
            f"{source.name} has values too small for float16, which would change by more than "
            f"{_MOST_LOST:.0%}, in {described(too_small)}; multiply all embeddings by one factor"
        )
    return digest.hexdigest()


def _lost(values: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Say which rows of [n, D] float16 changes by more than a little, as all of it is tiny."""
    small = np.abs(values).max(axis=1) < _SMALLEST
    lost = np.zeros(len(values), dtype=np.bool_)
    change = np.linalg.norm(values[small] - half[small], axis=1)
    lost[small] = change > _MOST_LOST * np.linalg.norm(values[small], axis=1)
    return lost


def fits_float16(values: np.ndarray, *, may_lack: bool = False) -> bool:
    """Tell whether float16 can hold all of [n, D], looked at a few rows at a time.

    Args:
        values: The embeddings.
        may_lack: See ``check_values``.
    """
    for start in range(0, len(values), _BLOCK):
        half = as_float16(values[start : start + _BLOCK])
        good = np.isfinite(half).all(axis=1)
        if may_lack:
            good |= np.isnan(half).all(axis=1)
        if not good.all():
            return False
    return True


def as_float16(values: np.ndarray) -> np.ndarray:
    """Round to float16; what is too large becomes infinity without a warning."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float16)


def described(rows: Sequence[int]) -> str:
    """Return such as ``row 3`` or ``rows 3, 4, 5, 6, 7 and 12 more``, counted from 0."""
    listed = ", ".join(str(row) for row in rows[:_NAMED])
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f"row{'s' if len(rows) > 1 else ''} {listed}{more} (counted from 0)"
