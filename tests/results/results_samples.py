"""Small data with an untouched part, and studies of it that are complete."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import hpo
from hpo.library import Study
from hpo.report import finish_study

ROWS, CLASSES, TEST = 300, 4, 60
#: The last 60 rows validate, the 60 before them stay untouched.
SPLIT = {"kind": "tail", "val_rows": 60, "test_rows": TEST}
SMALL = {"hidden": [16], "fusion": "concat", "lr": 0.01, "epochs": 12, "batch_size": 60}
PROMOTE = {
    "name": "promote",
    "seeds": 1,
    "split": SPLIT,
    "fixed": SMALL,
    "search": {
        **{"kind": "promote", "trials": 5, "first_rung": 2, "finalists": 2},
        "sampler": {"name": "RandomSampler"},
        "params": {"lr": {"low": 0.0005, "high": 0.02, "log": True}},
    },
    "thresholds": {"metrics": ["micro_f1", "macro_f1"]},
}


def arrays(rows: int = ROWS) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.uint8]]:
    """Embeddings that tell the labels with some noise."""
    rng = np.random.default_rng(0)
    labels = (rng.random((rows, CLASSES)) < [0.6, 0.4, 0.3, 0.2]).astype(np.uint8)
    features = {}
    for name, width in (("image", 12), ("text", 8)):
        directions = rng.normal(size=(CLASSES, width))
        noise = 1.5 * rng.normal(size=(rows, width))
        features[name] = (labels @ directions + noise).astype(np.float32)
    return features, labels


def greedy(**params: list[Any]) -> dict[str, Any]:
    stages = [{"name": name, "params": {name: values}} for name, values in params.items()]
    search = {"kind": "greedy", "stages": stages}
    return {"name": "greedy", "seeds": 2, "split": SPLIT, "fixed": SMALL, "search": search}


def study_of(
    folder: Path,
    space: dict[str, Any],
    labels: NDArray[np.uint8] | None = None,
    rows: int = ROWS,
) -> Study:
    """A complete study of a space in a folder of its own."""
    features, own = arrays(rows)
    data = hpo.load_data(
        features=features, labels=own if labels is None else labels, cache=folder / "cache"
    )
    study = hpo.create_study(data, space, storage=f"sqlite:///{folder / 'studies.db'}")
    assert study.optimize(workers=1, devices="cpu", progress=False)
    return study


def finish(study: Study, out: Path) -> str:
    """Write the results of a study; return what is printed."""
    console = Console(width=200, record=True, file=io.StringIO())
    finish_study(study.stored, console, out, "cpu", refit=True)
    return console.export_text()
