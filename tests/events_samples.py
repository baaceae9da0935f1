"""A small study on made-up arrays, and its events."""

from pathlib import Path
from typing import Any

import numpy as np

import hpo
from hpo.events import Event, StudyWatch
from hpo.study import StoredStudy
from hpo.worker import Worker, WorkerSettings

GREEDY: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "split": {"kind": "tail", "val_rows": 40},
    "fixed": {"hidden": [8], "lr": 0.01, "epochs": 4, "fusion": "concat"},
    "search": {
        "kind": "greedy",
        "stages": [
            {"name": "fusion", "params": {"fusion": ["image", "concat"]}},
            {"name": "rate", "params": {"lr": [0.01, 0.1, 0.5]}},
        ],
    },
}
PROMOTE: dict[str, Any] = {
    **{"name": "promoted", "seeds": 1, "split": {"kind": "tail", "val_rows": 40}},
    "fixed": {"hidden": [8], "epochs": 9},
    "search": {
        **{"kind": "promote", "trials": 6, "first_rung": 1, "finalists": 1},
        "sampler": {"name": "RandomSampler"},
        "params": {"lr": {"low": 0.001, "high": 0.1, "log": True}},
    },
}


def make_study(folder: Path, space: dict[str, Any] = GREEDY) -> StoredStudy:
    """Create the study with its first tasks open; nothing is trained."""
    rng = np.random.default_rng(0)
    labels = (rng.random((140, 3)) < [0.7, 0.4, 0.2]).astype(int)
    labels[:, 0] |= labels.sum(axis=1) == 0
    image = labels @ rng.normal(size=(3, 6)) + rng.normal(size=(140, 6))
    text = labels @ rng.normal(size=(3, 4)) + rng.normal(size=(140, 4))
    data = hpo.load_data(
        features={"image": image, "text": text},
        labels=labels,
        classes=["a", "b", "c"],
        cache=folder / "cache",
    )
    study = hpo.create_study(data, space, storage=f"sqlite:///{folder / 's.db'}").stored
    study.open_next()
    return study


def work(study: StoredStudy) -> None:
    """Train it to its end, in this thread."""
    assert Worker(study, WorkerSettings()).run()


class Heard(list[Event]):
    """Events in the order in which they were told."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    def of(self, kind: str) -> list[Any]:
        """Those of a kind."""
        return [event for event in self if event.kind == kind]


def watched(study: StoredStudy) -> tuple[StudyWatch, Heard]:
    """Watch a study from now on."""
    heard = Heard()
    watch = StudyWatch(study, heard)
    watch.begin()
    watch.update(study.tasks())
    return watch, heard
