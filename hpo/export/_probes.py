"""Rows to compare two ways of computing a model with."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo.export._inputs import GraphInput
from hpo.models import FeatureScaling, NeighboursHead
from hpo.training import TrainedModel

__all__ = ["probes", "undecided_rows"]

_ROWS = 48
#: Of these, rows whose embeddings are larger than any that the model was trained on.
_LARGE = 24
#: Cosines that differ by less may change places by rounding.
_TOLD_APART = 1e-6


def probes(model: TrainedModel, inputs: Sequence[GraphInput]) -> list[NDArray[np.generic]]:
    """Return made-up rows for each input, on the scale of those that the model was trained on.

    If it reads several modalities, some rows lack each of them. The last embeddings are so large
    that probabilities come near 0 and 1, where calibration brings out how exact they are.
    """
    rng = np.random.default_rng(0)
    found: list[NDArray[np.generic]] = []
    modalities = list(dict.fromkeys(one.modality for one in inputs))
    for one in inputs:
        shape = (_ROWS, *one.shape)
        if one.kind == "tokens":
            # As a tokenizer gives them: the end has the largest number, and 0 follows.
            values = rng.integers(1, 300, shape)
            values[:, -1] = 0
            values[np.arange(_ROWS), rng.integers(1, one.shape[0] - 1, _ROWS)] = 400
            values[_without(one.modality, modalities)] = 0
            found.append(values)
        else:
            floats = rng.normal(size=shape).astype(np.float32)
            if one.kind == "embeddings":
                floats *= _spread(model.module, one.modality, one.shape[0])
                floats[-_LARGE:] *= np.geomspace(2, 32, _LARGE, dtype=np.float32)[:, None]
            floats[_without(one.modality, modalities)] = np.nan
            found.append(floats)
    return found


def _without(modality: str, modalities: Sequence[str]) -> slice:
    """Return the rows that lack a modality: none if it is the only one."""
    if len(modalities) == 1:
        return slice(0)
    return slice(modalities.index(modality), None, len(modalities) + 2)


def _spread(module: nn.Module, modality: str, width: int) -> NDArray[np.float32]:
    """Return how much each column of a modality's embeddings may vary, [D]."""
    for name, part in module.named_modules():
        if isinstance(part, FeatureScaling) and name.endswith(f"scaling.{modality}"):
            if part.kind == "standard" and len(part.std) == width:
                std: NDArray[np.float32] = part.std.cpu().numpy()
                return std
            if part.kind == "auto":
                return np.full(width, 1 / float(part.factor.max()), dtype=np.float32)
    return np.ones(width, dtype=np.float32)


@torch.no_grad()
def undecided_rows(module: nn.Module, given: Sequence[Tensor]) -> NDArray[np.bool_]:
    """Return for which rows the last bits decide who is among the k nearest, [rows].

    There two ways of computing one vote can count different rows, which no tolerance covers.

    Args:
        module: Calls whatever heads vote.
        given: Its arguments.
    """
    undecided = np.zeros(len(given[0]), dtype=bool)

    def look(head: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        assert isinstance(head, NeighboursHead)
        if head.k >= len(head.rows):
            return
        x = nn.functional.normalize(arguments[0].float(), dim=1)
        nearest = (x @ head.rows.float().T).topk(head.k + 1, dim=1).values
        undecided[(nearest[:, -2] - nearest[:, -1] < _TOLD_APART).cpu().numpy()] = True

    heads = [part for part in module.modules() if isinstance(part, NeighboursHead)]
    handles = [head.register_forward_pre_hook(look) for head in heads]
    try:
        if heads:
            module(*given)
    finally:
        for handle in handles:
            handle.remove()
    return undecided
