"""Rows that a run reads a few at a time: from a tensor, or gathered from a memory-mapped array."""

import warnings
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["MappedRows", "RowSource", "SideBySide", "as_mapped", "consecutive", "take"]

_AT_ONCE = 4096


class RowSource(Protocol):
    """Rows [N, D], of which any few are asked for as float32 on a device.

    A float32 tensor on that device is one, ``MappedRows`` another; both give the same bits.
    """

    @property
    def shape(self) -> Sequence[int]:
        """N and D."""

    @property
    def device(self) -> torch.device:
        """Where the rows that are asked for arrive."""

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, rows: slice | Tensor, /) -> Tensor:
        """Return consecutive rows, or those of int64 indices [n], as float32 [n, D]."""


def take(source: RowSource, rows: slice | Tensor) -> Tensor:
    """Return rows of a source, as indexing does; of a tensor on a CPU in half the time."""
    if isinstance(source, Tensor) and isinstance(rows, Tensor):
        return source.index_select(0, rows)
    return source[rows]


class SideBySide:
    """Arrays with the same rows side by side, put together when some are asked for.

    Args:
        parts: [N, D_i] on the CPU, of one type; one at least.
    """

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self._parts = tuple(parts)
        self.shape = (len(parts[0]), sum(part.shape[1] for part in parts))

    def __getitem__(self, rows: slice) -> Tensor:
        return self._joined([part[rows] for part in self._parts])

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """Return the rows of int64 indices, as ``Tensor.index_select`` with ``dim`` 0."""
        return self._joined([part.index_select(dim, rows) for part in self._parts])

    @staticmethod
    def _joined(parts: Sequence[Tensor]) -> Tensor:
        return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)


class MappedRows:
    """Rows of an array that is mapped from a file, read from there whenever they are asked for.

    The pages of the file are in memory once for all processes that map it, and the system may drop
    them, so that rows beyond the machine's memory cost time but are no error.

    Args:
        array: [M, D] on the CPU, such as ``as_mapped`` returns, or several side by side.
        rows: Which of the M rows: a slice with both ends, or int64 indices [N] on the CPU.
        device: Where the rows that are asked for go.
        prepare: Maps [n, D] of the array's type, on the device, to float32, row by row.
    """

    def __init__(
        self,
        array: Tensor | SideBySide,
        rows: slice | Tensor,
        device: torch.device,
        prepare: Callable[[Tensor], Tensor] = Tensor.float,
    ) -> None:
        self._array = array
        self._rows = rows
        self._prepare = prepare
        self.device = device
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        self.shape = (count, array.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    @torch.no_grad()
    def __getitem__(self, rows: slice | Tensor, /) -> Tensor:
        return self._prepare(self._gathered(rows).to(self.device))

    def _gathered(self, rows: slice | Tensor) -> Tensor:
        if isinstance(rows, slice):
            first, stop, _ = rows.indices(len(self))
            if isinstance(self._rows, slice):
                return self._array[self._rows.start + first : self._rows.start + stop]
            return self._array.index_select(0, self._rows[first:stop])
        rows = rows.cpu()
        within = self._rows
        rows = rows + within.start if isinstance(within, slice) else within.index_select(0, rows)
        return self._array.index_select(0, rows)

    def read(self) -> Tensor:
        """Return all rows as one tensor."""
        whole = torch.empty(self.shape, device=self.device)
        for start in range(0, len(self), _AT_ONCE):
            whole[start : start + _AT_ONCE] = self[start : start + _AT_ONCE]
        return whole


def as_mapped(array: NDArray[np.generic]) -> Tensor:
    """Return a tensor on the memory of an array, which nobody may write to."""
    with warnings.catch_warnings():
        # PyTorch has no read-only tensors and says so.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array))


def consecutive(index: NDArray[np.int64]) -> slice | Tensor:
    """Return ascending row numbers as a slice if none is left out, else as a tensor."""
    if len(index) and int(index[-1]) - int(index[0]) + 1 == len(index):
        return slice(int(index[0]), int(index[-1]) + 1)
    return as_mapped(index)
