"""A tiny study, and stores to have it in."""

from pathlib import Path
from typing import Any

import numpy as np

import hpo
from hpo.features import Data

SPACE: dict[str, Any] = {
    "name": "mine",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 20},
    "floor": False,
    "fixed": {"hidden": [4], "epochs": 3},
    "search": {
        "kind": "optuna",
        "trials": 3,
        "sampler": {"name": "RandomSampler"},
        "params": {"dropout": {"low": 0.0, "high": 0.8}},
    },
}


def tiny_data(folder: Path) -> Data:
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 3)) < [0.6, 0.4, 0.3]).astype(np.uint8)
    labels[labels.sum(axis=1) == 0, 0] = 1
    image = labels @ rng.normal(size=(3, 6)) + rng.normal(size=(80, 6))
    return hpo.load_data(
        features={"image": image.astype(np.float32)}, labels=labels, cache=folder / ".hpo"
    )


def begin(data: Data, url: str, name: str = "s", **changed: Any) -> hpo.Study:
    """Create a study, or open it."""
    return hpo.create_study(data, SPACE | changed, name=name, storage=url)


def finish(data: Data, url: str, name: str = "s", **changed: Any) -> hpo.Study:
    """Create a study and work on it to its end, in this process."""
    study = begin(data, url, name, **changed)
    assert study.optimize(workers=1, progress=False)
    return study
