"""Whether embeddings are as long as those that a model was trained on."""

import math
from collections.abc import Mapping

import numpy as np

from hpo.models import FeatureScaling
from hpo.notes import Note
from hpo.training import TrainedModel

__all__ = ["length_notes"]

_FACTOR = 2.0
# Of fewer numbers the length says nothing.
_LEAST = 64
_BLOCK = 4096


def length_notes(model: TrainedModel, inputs: Mapping[str, np.ndarray]) -> list[Note]:
    """Return a note for each modality whose embeddings are scaled otherwise than at training.

    What ``feature_scaling`` ``auto`` and ``standard`` keep tells how long they were.

    Args:
        model: The model.
        inputs: Embeddings [rows, D] by modality; a row of NaN is one that isn't there.
    """
    notes = []
    for modality, array in inputs.items():
        usual = _usual_length(model, modality)
        square, rows = _squares(array)
        if usual is None or rows * array.shape[1] < _LEAST:
            continue
        ratio = math.sqrt(square / rows) / usual
        if not 1 / _FACTOR <= ratio <= _FACTOR:
            notes.append(
                Note(
                    f"the {modality} embeddings are {ratio:.3g} times as long as those that the "
                    "model was trained on; one or the other may be normalised"
                )
            )
    return notes


def _usual_length(model: TrainedModel, modality: str) -> float | None:
    """Return the root mean square of the norms of the training rows, if the model tells it."""
    for name, module in model.module.named_modules():
        if isinstance(module, FeatureScaling) and name.rpartition(".")[2] == modality:
            return module.usual_length()
    return None


def _squares(array: np.ndarray) -> tuple[float, int]:
    """Return the sum of the squared norms of rows [N, D], and how many there are but for NaN."""
    square, rows = 0.0, 0
    for start in range(0, len(array), _BLOCK):
        norms = np.square(array[start : start + _BLOCK], dtype=np.float64).sum(axis=1)
        square += float(norms[~np.isnan(norms)].sum())
        rows += int((~np.isnan(norms)).sum())
    return square, rows
