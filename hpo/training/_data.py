"""The rows of a bundle as tensors on one device, loaded once a worker."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.features import Bundle
from hpo.models import FeatureScaling
from hpo.training._device import Device

__all__ = ["Part", "RunData", "TrainingData"]


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows to train or to score on: inputs by name, float32 [rows, D]; 0/1 targets [rows, K]."""

    inputs: Mapping[str, Tensor]
    targets: Tensor

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.targets.shape[0]


@dataclasses.dataclass(frozen=True)
class RunData:
    """What one run is trained on, and scored on unless it is a refit."""

    train: Part
    val: Part | None


class TrainingData:
    """Features and labels of a bundle on a device.

    Args:
        bundle: Where they come from; what a configuration chooses of it.
        device: Where they stay.
    """

    def __init__(self, bundle: Bundle, device: Device) -> None:
        self.bundle = bundle
        self.device = device.torch
        self.modalities = tuple(bundle.features.train)
        self.widths = {name: array.shape[1] for name, array in bundle.features.train.items()}
        #: The width of each encoder's part of a modality.
        self.parts = {name: [p.width for p in parts] for name, parts in bundle.parts.items()}
        self.classes = len(bundle.classes)
        parts = bundle.split.parts
        self._index: dict[str, NDArray[np.int64]] = {
            **parts,
            "all": np.union1d(parts["train"], parts["val"]),
        }
        # Training and validation rows, for two kinds of scaling at a time.
        self.part = functools.lru_cache(maxsize=4)(self._part)

    def rows(self, name: str) -> int:
        """Return the rows of a part of the split, or of ``all``: training and validation."""
        return len(self._index[name])

    def scaling(self, kind: str, fit_on: str) -> dict[str, FeatureScaling]:
        """Return the scaling of each modality, fitted to the part ``fit_on``."""
        return {
            name: FeatureScaling(kind, self.widths[name], self.parts[name])
            .to(self.device)
            .fit(self._features(name, fit_on))
            for name in self.modalities
        }

    def run_data(self, kind: str, rows: str) -> RunData:
        """Return the embeddings of a run on the part ``rows``, scaled by ``kind``."""
        val = self.part("val", kind, rows) if rows == "train" else None
        return RunData(self.part(rows, kind, rows), val)

    def _part(self, name: str, kind: str, fit_on: str) -> Part:
        scaling = self.scaling(kind, fit_on)
        with torch.no_grad():
            inputs = {
                modality: scaling[modality](self._features(modality, name))
                for modality in self.modalities
            }
        labels = _take(self.bundle.labels, self._index[name])
        return Part(inputs, torch.from_numpy(labels).to(self.device, torch.float32))

    def _features(self, modality: str, part: str) -> Tensor:
        """Return float16 embeddings of the part, [rows, D], on the device."""
        array = _take(self.bundle.features.train[modality], self._index[part])
        return torch.from_numpy(array).to(self.device)


def _take(array: NDArray[np.generic], index: NDArray[np.int64]) -> NDArray[np.generic]:
    """Return the rows ``index`` (ascending) of a memory-mapped array, in memory."""
    first, last = _bounds(index)
    if last - first + 1 == len(index):
        return np.array(array[first : last + 1])
    return np.asarray(array[index])


def _bounds(index: Sequence[int] | NDArray[np.int64]) -> tuple[int, int]:
    return (int(index[0]), int(index[-1])) if len(index) else (0, -1)
