"""A complete study of small data, in a folder of its own."""

from pathlib import Path
from typing import Any

import numpy as np

import hpo
from hpo.study import StoredStudy

SPACE: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "split": {"kind": "tail", "val_rows": 30},
    "fixed": {"hidden": [8], "fusion": "concat", "lr": 0.01, "epochs": 6, "batch_size": 30},
    "search": {
        "kind": "greedy",
        "stages": [
            {"name": "fusion", "params": {"fusion": ["image", "concat"]}},
            {"name": "rate", "params": {"lr": [0.001, 0.01, 1e30], "batch_size": [10, 30]}},
        ],
    },
}


def make_study(folder: Path, space: dict[str, Any] = SPACE) -> StoredStudy:
    rng = np.random.default_rng(0)
    labels = (rng.random((120, 3)) < [0.6, 0.4, 0.3]).astype(np.uint8)
    features = {
        name: (labels @ rng.normal(size=(3, 6)) + rng.normal(size=(120, 6))).astype(np.float32)
        for name in ("image", "text")
    }
    data = hpo.load_data(
        features=features,
        labels=labels,
        classes=["a*b", "<c>", "d"],
        cache=folder / ".hpo",
    )
    study = hpo.create_study(data, space=space, storage=f"sqlite:///{folder / 'studies.db'}")
    assert study.optimize(workers=1)
    return study.stored
