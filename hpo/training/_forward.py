"""Rows in pieces: the forward pass of a module over more rows than are in flight at once."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from hpo.training._rows import RowSource

__all__ = ["forward", "split_rows"]


@torch.no_grad()
def forward(module: nn.Module, inputs: Mapping[str, RowSource], micro_batch: int) -> Tensor:
    """Return the logits [rows, K] of ``module`` in evaluation mode, some rows at once."""
    module.eval()
    rows = len(next(iter(inputs.values())))
    return torch.cat(
        [
            module({name: x[part] for name, x in inputs.items()})
            for part in split_rows(slice(0, rows), micro_batch)
        ]
    )


def split_rows(rows: slice | Tensor, size: int) -> Iterator[slice | Tensor]:
    """Cut rows, given as a slice from 0 or as indices, into pieces of at most ``size``."""
    if isinstance(rows, slice):
        for start in range(0, rows.stop, size):
            yield slice(start, min(start + size, rows.stop))
    else:
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
