"""Four rows whose embeddings stand in another order, and what tests of their order do with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.errors import InputError
from hpo.features import Features, import_features

IDS = ["10.jpg", "2.jpg", "7.jpg", "0.jpg"]
CAPTIONS = ["ten", "two", "seven", "zero"]
SORTED = [3, 0, 1, 2]  # our rows in the order of their names as texts: 0, 10, 2, 7


def vectors(rows: int = 4, width: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float16)


def take(folder: Path, **options: Any) -> Features:
    return import_features(
        folder, len(IDS), 0, folder / "store", ids=IDS, captions=CAPTIONS, **options
    )


def refused(folder: Path, **options: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        take(folder, **options)
    return caught.value.problems


def doubts(features: Features) -> list[str]:
    return [note.text for note in features.notes if note.doubtful]


NAMES = [IDS[row] for row in SORTED]
