"""Epochs or steps: how long a configuration is trained on more rows than it was tried on.

    python -m benchmarks.refit --seeds 5
    python -m benchmarks.refit --sets movies --seeds 2

The recommended configuration (what ``search_spaces/best.yaml`` fixes), refitted on training and
validation rows with the steps of the trial, with its epochs, and with half as many epochs again;
scored at 0.5 on rows that took no part. COMP5329 has as many validation rows as training rows, so
that keeping the steps halves the epochs; of the movies a fifth validates, as it does by default.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

import hpo
from benchmarks._arena_data import SHARED
from benchmarks._recipe import recipe
from hpo.data import Split, StratifiedSplit, make_split
from hpo.features import Bundle, save_bundle
from hpo.models import Config
from hpo.results import f1_scores
from hpo.training import RunStore, Trainer, open_device, refit

_METRICS = ("micro_f1", "macro_f1")
_SETS = ("comp5329", "movies")


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--sets", nargs="+", choices=_SETS, default=list(_SETS))
    arguments = parser.parse_args()
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as cache:
            print(f"\n## {name}\n")
            print("| refit | epochs | micro-F1 | macro-F1 | against the steps: micro | macro |")
            print("| --- | ---: | --- | --- | --- | --- |")
            for line in table(name, arguments.seeds, Path(cache)):
                print(line, flush=True)


def table(name: str, seeds: int, cache: Path) -> list[str]:
    """Return the lines of a data set: means over seeds, and paired differences.

    Args:
        name: Of the data set.
        seeds: How many; of the movies each has another split.
        cache: A folder.
    """
    scores: dict[str, list[dict[str, float]]] = {}
    epochs: dict[str, int] = {}
    for seed in range(seeds):
        bundle = divided(name, seed, cache)
        trainer = Trainer(bundle, open_device("cpu"), RunStore(cache / "runs"))
        rows = bundle.split["test"]
        inputs = {n: array[rows] for n, array in bundle.features.train.items()}
        truth = bundle.labels_of("test") > 0
        config = recipe(len(bundle.split["train"]))
        longer = config.replace(epochs=round(1.5 * config.epochs))
        kinds: tuple[tuple[str, Config, Literal["keep", "steps"]], ...] = (
            ("steps", config, "steps"),
            ("keep", config, "keep"),
            ("1.5 times", longer, "keep"),
        )
        for kind, tried, rule in kinds:
            # a run that is longer goes on where the shorter one ended
            model = refit(trainer, tried, seed=seed, max_model_mb=1e6, origin={}, epochs=rule)
            predicted = model.probabilities(inputs, trainer.device) > 0.5
            scores.setdefault(kind, []).append(f1_scores(predicted, truth))
            epochs[kind] = model.config.epochs
    lines = []
    for kind, found in scores.items():
        cells = [_mean([score[metric] for score in found]) for metric in _METRICS]
        for metric in _METRICS:
            gains = [a[metric] - b[metric] for a, b in zip(found, scores["steps"], strict=True)]
            cells.append("" if kind == "steps" else _mean(gains, sign="+"))
        lines.append(f"| {kind} | {epochs[kind]} | {' | '.join(cells)} |")
    return lines


def divided(name: str, seed: int, cache: Path) -> Bundle:
    """Return a data set with an untouched part: the arena's, or a fifth drawn with the seed."""
    source = SHARED / "datasets" / name
    data = hpo.load_data(source, features=source / "features", cache=cache)
    if name == "comp5329":
        split = Split(
            train=np.arange(5000), val=np.arange(25_000, 30_000), test=np.arange(5000, 25_000)
        )
    else:
        spec = StratifiedSplit(kind="stratified", val_fraction=0.2, test_fraction=0.2, seed=seed)
        split = make_split(data.dataset, spec)
    return save_bundle(cache, data.dataset, data.features, split)


def _mean(values: list[float], sign: str = "") -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{sign}.2f}{spread}"


if __name__ == "__main__":
    main()
