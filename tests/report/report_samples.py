"""A small study on made-up embeddings, worked on in this process."""

from pathlib import Path

import numpy as np

import hpo
from hpo.study import StoredStudy
from hpo.worker import Worker, WorkerSettings

CLASSES = ("traffic light", "cat", "dog")
WIDTHS = {"image": 6, "text": 4}
GREEDY = """
name: small
metric: micro_f1
seeds: 2
split: {kind: tail, val_rows: 40}
fixed: {hidden: [8], lr: 0.01, epochs: 4, batch_size: 1000}
search:
  kind: greedy
  stages:
    - {name: fusion, params: {fusion: [image, sum]}}
    - {name: rate × dropout, params: {lr: [0.01, 0.1], dropout: [0.2, 0.5]}}
refit: {rows: all}
"""
SAMPLED = """
name: sampled
metric: micro_f1
seeds: 1
split: {kind: tail, val_rows: 40}
fixed: {hidden: [8], epochs: 3}
search:
  kind: optuna
  trials: 12
  sampler: {name: RandomSampler}
  pruner: {name: NopPruner}
  params:
    lr: {low: 0.001, high: 0.1, log: true}
"""


def write_data(folder: Path, rows: int = 140, test_rows: int = 30) -> Path:
    """A data folder without images, and its embeddings in ``embeddings/``."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels = rng.random((rows + test_rows, len(CLASSES))) < [0.7, 0.4, 0.2]
    cells = [";".join(np.array(CLASSES)[row]) + ";" for row in labels]
    train = [f"{i}.jpg,{cell},a thing" for i, cell in enumerate(cells[:rows])]
    test = [f"{i}.jpg,a thing" for i in range(rows, rows + test_rows)]
    (folder / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *train, ""]))
    (folder / "test.csv").write_text("\n".join(["ImageID,Caption", *test, ""]))
    (folder / "embeddings").mkdir()
    for name, width in WIDTHS.items():
        directions = rng.normal(size=(len(CLASSES), width))
        array = (labels @ directions + rng.normal(size=(len(labels), width))).astype(np.float32)
        np.save(folder / "embeddings" / f"{name}.npy", array[:rows])
        np.save(folder / "embeddings" / f"{name}_test.npy", array[rows:])
    return folder


def make_study(folder: Path, space_text: str = GREEDY) -> StoredStudy:
    """Create the study on ``folder/studies.db`` with its first tasks open; nothing is trained."""
    source = write_data(folder / "data")
    space = folder / "space.yaml"
    space.write_text(space_text)
    data = hpo.load_data(source, features=source / "embeddings", cache=folder / ".hpo")
    study = hpo.create_study(data, space, storage=f"sqlite:///{folder / 'studies.db'}").stored
    study.open_next()
    return study


def work(study: StoredStudy) -> bool:
    """Work on the study as ``hpo.worker`` does; return whether it is complete."""
    return Worker(study, WorkerSettings()).run()
