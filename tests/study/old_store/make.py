"""Make this folder's store with the commit before Config, keys and the ledger changed shape.

    git worktree add /tmp/base b1d618e
    PYTHONPATH=/tmp/base python make.py OUT

`OUT/half` then has a greedy study and a sampled one, both begun and left in the middle, and
`OUT/expected.json` what the same code ended with when nobody stopped it. `store.zip` is `OUT/half`
and `OUT/data`, after `PRAGMA wal_checkpoint(TRUNCATE)`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import optuna
import torch
from hpo.service import (
    DataOptions,
    Definition,
    FolderDefaults,
    Study,
    Worker,
    WorkerSettings,
    prepare_bundle,
)

from hpo.search import load_space

CLASSES = ("cat", "dog", "traffic light")
WIDTHS = {"image": 6, "text": 4}
SPACES = {
    "greedy": """
name: old greedy
metric: micro_f1
seeds: 2
split: {kind: tail, val_rows: 40}
fixed: {hidden: [8], lr: 0.01, epochs: 4, batch_size: 1000}
search:
  kind: greedy
  stages:
    - {name: fusion, params: {fusion: [image, text, sum, concat, mixed]}}
    - {name: loss, fixed: {epochs: 6}, params: {loss: [bce, focal, asl]}}
    - {name: rate × batch, params: {batch_size: [1000, 30], lr: [0.01, 0.1]}}
    - {name: epochs, params: {epochs: [2, 4, 8]}}
    - {name: averaging, params: {ema_decay: [null, 0.9]}}
refit: {rows: all}
""",
    "sampled": """
name: old sampled
metric: micro_f1
seeds: 1
split: {kind: tail, val_rows: 40}
fixed: {hidden: [8], epochs: 6, fusion: concat}
search:
  kind: optuna
  trials: 12
  sampler: {name: TPESampler, multivariate: true, n_startup_trials: 3}
  pruner: {name: SuccessiveHalvingPruner, min_resource: 2, reduction_factor: 2}
  params:
    lr: {low: 0.001, high: 0.1, log: true}
    dropout: {low: 0.0, high: 0.8}
    loss: {choices: [bce, asl]}
refit: null
""",
}


def write_data(folder: Path, rows: int = 140, test_rows: int = 30) -> None:
    rng = np.random.default_rng(0)
    labels = rng.random((rows + test_rows, len(CLASSES))) < [0.7, 0.4, 0.2]
    cells = [";".join(np.array(CLASSES)[row]) + ";" for row in labels]
    train = [f"{i}.jpg,{cell},a thing" for i, cell in enumerate(cells[:rows])]
    test = [f"{i}.jpg,a thing" for i in range(rows, rows + test_rows)]
    (folder / "embeddings").mkdir(parents=True)
    (folder / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *train, ""]))
    (folder / "test.csv").write_text("\n".join(["ImageID,Caption", *test, ""]))
    for name, width in WIDTHS.items():
        directions = rng.normal(size=(len(CLASSES), width))
        array = (labels @ directions + rng.normal(size=(len(labels), width))).astype(np.float32)
        np.save(folder / "embeddings" / f"{name}.npy", array[:rows])
        np.save(folder / "embeddings" / f"{name}_test.npy", array[rows:])


def create(folder: Path, name: str, data: Path) -> Study:
    path = folder / f"{name}.yaml"
    path.write_text(SPACES[name].lstrip())
    space = load_space(path, []).scaled()
    cache = folder / "cache"
    options = DataOptions(str(data), data / "embeddings", None, cache, "cpu", False)
    bundle, dataset = prepare_bundle(options, FolderDefaults(), space)
    definition = Definition(
        space=space,
        cache=str(cache),
        bundle_key=bundle.key,
        modalities=tuple(bundle.features.train),
        train_rows=len(bundle.split.train),
        threads=1,
        checkpoint_every=50,
        dataset=dataset,
    )
    study = Study.create(f"sqlite:///{folder / 'studies.db'}", name, definition)
    study.open_next()
    return study


def outcome(study: Study) -> dict:
    tasks = study.ledger.tasks(study.name)
    best = study.best(tasks)
    return {
        "best": best.config,
        "tasks": [
            {"config": t.config, "config_key": t.config_key, "outcome": t.outcome} for t in tasks
        ],
        "curves": {
            str(trial.number): {str(k): v for k, v in trial.intermediate_values.items()}
            for trial in study.optuna.get_trials()
        },
    }


def made_with() -> dict:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next(line.partition(":")[2] for line in info if line.startswith("model name"))
    versions = {"torch": str(torch.__version__), "optuna": optuna.__version__}
    return {**versions, "processor": processor.strip()}


def main(out: Path) -> None:
    whole, half = out / "whole", out / "half"
    expected: dict = {"made_with": made_with()}
    for folder, limits in ((whole, {}), (half, {"greedy": 7, "sampled": 5})):
        data = out / "data"
        if not data.exists():
            write_data(data)
        folder.mkdir()
        for name in SPACES:
            study = create(folder, name, data)
            if limits:
                study.ledger.limit(name, None, limits[name])
            Worker(study, WorkerSettings()).run()
            if limits:
                study.ledger.limit(name, None, None)
            else:
                expected[name] = outcome(study)
            study.ledger.close()
    (out / "expected.json").write_text(json.dumps(expected, indent=1))


main(Path(sys.argv[1]))
