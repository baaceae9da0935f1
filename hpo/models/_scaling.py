"""Scaling of embeddings before the head: a hyperparameter, and part of the model that is kept."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FeatureScaling"]

#: Numbers that are in memory as float64 at once, but for so many columns at least: each share of
#: columns goes through the whole file, and 32 float16 are a line of the processor's cache.
_AT_ONCE = 1 << 20
_COLUMNS = 16


class FeatureScaling(nn.Module):
    """Scale the embeddings of one modality.

    ``none`` leaves them. ``auto`` multiplies all by one factor, which brings those of the training
    rows to a norm of √width (root mean square), so that each column is about 1. ``l2`` brings each
    embedding to that norm by itself. ``standard`` subtracts ``mean`` and divides by ``std``, by
    column.

    Adam's steps don't depend on the scale of the inputs, but the weights that it starts from do:
    on embeddings of norm 1 and width 768 a head starts almost at 0 and learns for hundreds of
    epochs what it otherwise learns in ten.

    Embeddings of several encoders side by side are scaled each by itself.

    Args:
        kind: ``none``, ``auto``, ``l2`` or ``standard``.
        width: Embedding width D.
        parts: The width of each encoder's part of it; by default it is all of one.
    """

    factor: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, kind: str, width: int, parts: Sequence[int] = ()) -> None:
        super().__init__()
        self.kind = kind
        self.parts = list(parts) or [width]
        if kind in ("auto", "l2"):
            factors = torch.tensor([math.sqrt(part) for part in self.parts])
            self.register_buffer("factor", factors if len(self.parts) > 1 else factors[0])
        if kind == "standard":
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("std", torch.ones(width))

    def fit(
        self, x: Tensor | Sequence[Tensor], rows: slice | Tensor = slice(None)
    ) -> "FeatureScaling":
        """Take what is needed from training embeddings; return self.

        Sums run in float64, over a share of x at a time, so that x may be mapped from a file. A
        constant column is left at its own scale, and so are embeddings that are all 0.

        Args:
            x: [N, D] of any float type, on the CPU; or the part of each encoder, [N, D_i].
            rows: Those that are trained on: a slice, or indices.
        """
        parts = self._split(x) if isinstance(x, Tensor) else list(x)
        if self.kind == "auto":
            factors = torch.stack([_factor(part, rows) for part in parts])
            self.factor.copy_(factors if len(parts) > 1 else factors[0])
        if self.kind == "standard":
            fitted = [_deviations_and_means(part, rows) for part in parts]
            std, mean = (torch.cat(list(values)) for values in zip(*fitted, strict=True))
            self.mean.copy_(mean)
            self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map [rows, D] of any float type to float32 [rows, D]."""
        x = x.float()
        if self.kind == "auto":
            return self._times_factor(self._split(x))
        if self.kind == "l2":
            return self._times_factor([nn.functional.normalize(y, dim=1) for y in self._split(x)])
        if self.kind == "standard":
            return (x - self.mean) / self.std
        return x

    def usual_length(self) -> float | None:
        """Return the root mean square of the norms of what was fitted; None if nothing was."""
        if self.kind == "auto":
            widths = torch.tensor(self.parts, dtype=torch.float64)
            return float((widths / self.factor.double().square()).sum().sqrt())
        if self.kind == "standard":
            return float((self.mean.double().square() + self.std.double().square()).sum().sqrt())
        return None

    def _split(self, x: Tensor) -> list[Tensor]:
        """Return the part of each encoder, [rows, D_i]."""
        return [x] if len(self.parts) == 1 else list(torch.split(x, self.parts, dim=1))

    def _times_factor(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the parts side by side, each multiplied by its factor."""
        if len(parts) == 1:
            return parts[0] * self.factor
        return torch.cat([x * f for x, f in zip(parts, self.factor, strict=True)], dim=1)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take over stored buffers; models that were kept without a factor have norm 1."""
        if self.kind == "l2":
            state.setdefault(f"{prefix}factor", torch.tensor(1.0))
        super()._load_from_state_dict(state, prefix, *rest)


def _factor(x: Tensor, rows: slice | Tensor) -> Tensor:
    """Return what brings embeddings [N, D] to a norm of √D, or 1 where all are 0; float64."""
    square = _squared_norms(x, rows).mean()
    factor = math.sqrt(x.shape[1]) / square.sqrt()
    return torch.where(square > 0, factor, torch.ones_like(factor))


def _squared_norms(x: Tensor, rows: slice | Tensor) -> Tensor:
    """Return the squared norm of each row, float64 [n]."""
    x, index = (x[rows], None) if isinstance(rows, slice) else (x, rows)
    count = len(x) if index is None else len(index)
    size = max(1, _AT_ONCE // x.shape[1])
    found = torch.empty(count, dtype=torch.float64)
    for start in range(0, count, size):
        some = slice(start, start + size)
        piece = x[some] if index is None else x.index_select(0, index[some])
        found[some] = piece.double().square().sum(dim=1)
    return found


def _deviations_and_means(x: Tensor, rows: slice | Tensor) -> tuple[Tensor, Tensor]:
    """Return the standard deviation and the mean of each column, float64 [D].

    PyTorch goes through the rows of a column in order, so that it makes no difference how many
    columns it is given; but for a single one, which it may divide among threads.
    """
    x, index = (x[rows], None) if isinstance(rows, slice) else (x, rows)
    count = len(x) if index is None else len(index)
    width = x.shape[1]
    shares = max(1, width // max(_COLUMNS, _AT_ONCE // max(count, 1)))
    bounds = [share * width // shares for share in range(shares + 1)]
    # One for all shares: allocators don't reuse what small things lie between.
    space = torch.empty(count * max(b - a for a, b in itertools.pairwise(bounds)), dtype=x.dtype)
    wide = torch.empty_like(space, dtype=torch.float64)
    deviations, means = (torch.empty(width, dtype=torch.float64) for _ in range(2))
    for first, last in itertools.pairwise(bounds):
        some = x[:, first:last]
        if index is not None:
            some = torch.index_select(some, 0, index, out=_shaped(space, count, last - first))
        values = _shaped(wide, count, last - first).copy_(some)
        deviations[first:last], means[first:last] = torch.std_mean(values, dim=0, correction=0)
    return deviations, means


def _shaped(space: Tensor, rows: int, columns: int) -> Tensor:
    return space[: rows * columns].view(rows, columns)
