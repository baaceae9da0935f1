"""The rows of a bundle as a run reads them: tensors on its device, or gathered from the files."""

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from hpo.features import Bundle, arrays_beside
from hpo.models import FeatureScaling
from hpo.training._device import Device
from hpo.training._memory import copy_gb, memory_share_gb
from hpo.training._rows import MappedRows, RowSource, SideBySide, as_mapped, consecutive

__all__ = ["Part", "RunData", "TrainingData"]

#: Parts to keep: training and validation rows, each with so many kinds of scaling at most.
_KINDS = 2


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows to train or to score on.

    Attributes:
        inputs: By name, float32 [rows, D].
        targets: 0 or 1, float32 [rows, K].
    """

    inputs: Mapping[str, RowSource]
    targets: RowSource

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.targets)

    @property
    def entries(self) -> int:
        """Number of targets: rows times classes."""
        return math.prod(self.targets.shape)

    def labels(self) -> torch.Tensor:
        """Return the targets of all rows, float32 [rows, K]."""
        return self.targets[slice(0, self.rows)]

    @property
    def device(self) -> torch.device:
        """Where they are read to."""
        return self.targets.device


@dataclasses.dataclass(frozen=True)
class RunData:
    """What one run is trained on, and scored on unless it is a refit."""

    train: Part
    val: Part | None


class TrainingData:
    """Features and labels of a bundle, for a device.

    Args:
        bundle: Where they come from; what a configuration chooses of it.
        device: Where they are used.
        memory_gb: Training and validation rows that take at most so much as float32, in 10⁹ bytes,
            are held as tensors on the device. Larger ones are gathered from the mapped arrays of
            the bundle, batch by batch, with the same numbers. By default ``memory_share_gb``.

    Attributes:
        in_memory: Whether they are held.
    """

    def __init__(self, bundle: Bundle, device: Device, memory_gb: float | None = None) -> None:
        self.bundle = bundle
        self.device = device.torch
        self.modalities = tuple(bundle.features.train)
        self.widths = {name: array.shape[1] for name, array in bundle.features.train.items()}
        #: The width of each encoder's part of a modality.
        self.parts = {name: [p.width for p in parts] for name, parts in bundle.parts.items()}
        self.classes = len(bundle.classes)
        if memory_gb is None:
            memory_gb = memory_share_gb(str(self.device))
        size = copy_gb(bundle)
        self.in_memory = size <= memory_gb
        kinds = 1 if size <= memory_gb < _KINDS * size else _KINDS
        self._kept = 2 * kinds
        self._arrays = {
            name: [as_mapped(part) for part in arrays_beside(array)]
            for name, array in bundle.features.train.items()
        }
        self._labels = as_mapped(bundle.labels)
        parts = bundle.split.parts
        together: dict[str, NDArray[np.int64]] = {
            **parts,
            "all": np.union1d(parts["train"], parts["val"]),
        }
        self._index = together
        # read in every epoch; others are read once, so that no copy of them is made
        self._trained_on = {"train", "val", "all"}
        self._rows = {name: consecutive(index) for name, index in together.items()}
        self._counts = {name: len(index) for name, index in together.items()}
        self._parts: dict[tuple[str, str, str], Part] = {}
        self.scaling = functools.lru_cache(maxsize=_KINDS)(self._scaling)

    def index(self, name: str) -> NDArray[np.int64]:
        """Return which rows a part has, ascending."""
        return self._index[name]

    def define(self, name: str, index: NDArray[np.int64], *, trained_on: bool) -> None:
        """Name a set of rows, so that it can be trained or scored on like a part of the split.

        Args:
            name: It always stands for the same rows, as what is kept goes by it.
            index: The rows, ascending.
            trained_on: Whether they are read again and again, so that a copy of them is worth it.
        """
        known = self._index.setdefault(name, index)
        assert np.array_equal(known, index)
        self._rows[name] = consecutive(index)
        self._counts[name] = len(index)
        if trained_on:
            self._trained_on.add(name)

    def rows(self, name: str) -> int:
        """Return the rows of a part of the split, or of ``all``: training and validation."""
        return self._counts[name]

    def run_data(self, kind: str, rows: str) -> RunData:
        """Return the embeddings of a run on the part ``rows``, scaled by ``kind``."""
        val = self.part("val", kind, rows) if rows == "train" else None
        return RunData(self.part(rows, kind, rows), val)

    def part(self, name: str, kind: str, fit_on: str) -> Part:
        """Return a part, scaled by ``kind`` as fitted to the part ``fit_on``; made once."""
        key = (name, kind, fit_on)
        part = self._parts.pop(key, None)
        if part is None:
            while len(self._parts) >= self._kept:
                del self._parts[next(iter(self._parts))]  # the one not asked for for longest
            part = self._part(name, kind, fit_on)
        self._parts[key] = part
        return part

    def _scaling(self, kind: str, fit_on: str) -> dict[str, FeatureScaling]:
        """Return the scaling of each modality, fitted to the part ``fit_on``.

        That is done on the CPU, so that it is the same wherever the rows are used.
        """
        return {
            name: FeatureScaling(kind, self.widths[name], self.parts[name])
            .fit(self._arrays[name], self._rows[fit_on])
            .to(self.device)
            for name in self.modalities
        }

    def _part(self, name: str, kind: str, fit_on: str) -> Part:
        scaling, rows = self.scaling(kind, fit_on), self._rows[name]
        inputs = {
            modality: MappedRows(
                SideBySide(self._arrays[modality]), rows, self.device, scaling[modality]
            )
            for modality in self.modalities
        }
        targets = MappedRows(self._labels, rows, self.device)
        if not self.in_memory or name not in self._trained_on:
            return Part(inputs, targets)
        return Part({modality: x.read() for modality, x in inputs.items()}, targets.read())
