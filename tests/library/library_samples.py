"""A small space for the demo, and data in arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

import hpo
from hpo.training._gradient import GradientLearner

SPACE: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "fixed": {"hidden": [256], "epochs": 15},
    "search": {
        "kind": "greedy",
        "stages": [
            {"name": "fusion", "params": {"fusion": ["image", "text", "sum", "concat"]}},
            {"name": "rate", "params": {"lr": [0.001, 0.01]}},
        ],
    },
}
CONFIG = hpo.Config(fusion="concat", hidden=(16,), epochs=4, lr=0.01)
TAIL = {"kind": "tail", "val_rows": 40}
CLASSES = ("cat", "dog", "fish")


def arrays(rows: int = 160, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Embeddings that tell the labels with some noise, and the labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((rows, len(CLASSES))) < [0.6, 0.4, 0.2]).astype(np.int64)
    embeddings = {
        name: labels @ rng.normal(size=(len(CLASSES), width)) + rng.normal(size=(rows, width))
        for name, width in (("image", 6), ("text", 4))
    }
    return embeddings, labels


def array_data(cache: Path) -> hpo.Data:
    embeddings, labels = arrays()
    return hpo.load_data(features=embeddings, labels=labels, classes=CLASSES, cache=cache)


class TrainedEpochs:
    """Counts the epochs that are trained, of all runs; to be patched in for a method."""

    def __init__(self) -> None:
        self.count = 0
        self._train = GradientLearner.train_epoch

    def __get__(self, learner: GradientLearner, _owner: type) -> Any:
        def train_epoch(poll: Any) -> torch.Tensor:
            self.count += 1
            return self._train(learner, poll)

        return train_epoch
