"""Whether a search finds the better of two encoders, on real data.

    python -m benchmarks.encoders

The embeddings of each data set are given twice: as they are (``good``) and with normal noise of
twice each column's standard deviation (``noisy``), the noisy ones first. The space ``best`` then
has ``encoder`` as one more parameter, and a greedy space one more stage. Printed is the best score
of each choice, the epochs that it took, and what won.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import hpo
from benchmarks._arena_data import SETS, SHARED

_NOISE = 2.0
_CHOICES = ["noisy", "good", {"image": "good", "text": "noisy"}, "noisy+good"]
_GREEDY: dict[str, Any] = {
    "name": "greedy",
    "seeds": 1,
    "split": {"kind": "stratified", "val_fraction": 0.2},
    "fixed": {
        **{"fusion": "concat", "hidden": [512], "dropout": 0.8, "input_dropout": 0.3},
        **{"optimizer": "adamw", "batch_size": 500, "epochs": 20, "ema_decay": 0.98},
    },
    "search": {
        "kind": "greedy",
        "stages": [
            {"name": "fusion", "params": {"fusion": ["concat", "sum_joint"]}},
            {"name": "encoder", "params": {"encoder": _CHOICES}},
        ],
    },
}


def main() -> None:
    """Print a line for each data set, search and choice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    for name in parser.parse_args().sets:
        with tempfile.TemporaryDirectory() as folder:
            compare(SHARED / "datasets" / name, Path(folder))


def compare(data: Path, work: Path) -> None:
    """Search with both sources of embeddings and print what came out."""
    add_noise(data / "features", work / "noisy")
    sources = {"noisy": work / "noisy", "good": data / "features"}
    loaded = hpo.load_data(data, features=sources, cache=work / "cache", progress=False)
    for space in ("best", _GREEDY):
        study = hpo.create_study(
            loaded, space, storage=f"sqlite:///{work / 'studies.db'}", settings={"train_rows": 5000}
        )
        study.optimize(workers=1, progress=False)
        board = study.leaderboard()
        scores = board.groupby("encoder")["score"].max().sort_values(ascending=False)
        listed = ", ".join(f"{encoder} {score:.2f}" for encoder, score in scores.items())
        epochs = int(board["epochs_trained"].sum())
        print(f"{data.name}, {study.name}: {listed}; {epochs} epochs; ", end="")
        print(f"chosen: {study.best_config.encoder}", flush=True)


def add_noise(source: Path, target: Path) -> None:
    """Copy embeddings with noise in proportion to the standard deviation of each column."""
    target.mkdir()
    for seed, path in enumerate(sorted(source.glob("*.npy"))):
        values = np.load(path).astype(np.float32)
        noise = np.random.default_rng(seed).standard_normal(values.shape, dtype=np.float32)
        noisy = values + _NOISE * values.std(axis=0) * noise
        np.save(target / path.name, noisy.astype(np.float16))


if __name__ == "__main__":
    main()
