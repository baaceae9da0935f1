"""Whether bf16 scores as float32 does with the heads of the recommended study, and what it saves.

    python -m benchmarks.precision --seeds 3

On both data sets of the arena: the configuration that ``search_spaces/best.yaml`` begins with, and
one from another corner of its space. Scores are those on the validation rows, with the interval of
the difference, paired over rows and seeds; times are the processor's, on one thread, with the
reading of rows and one scoring at the end.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hpo
from benchmarks._arena_data import SHARED, build
from benchmarks._recipe import recipe
from hpo.data import SplitSpec, StratifiedSplit, TailSplit
from hpo.features import Bundle
from hpo.models import Config
from hpo.results import f1_differences, f1_intervals
from hpo.training import Arithmetic, RunStore, Trainer, open_device

_CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"fusion": "sum_joint", "hidden": (1024,), "lr": 0.0015},
)
_METRICS = ("micro_f1", "macro_f1")


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, metavar="R")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build("comp5329", folder / "comp5329", 0)
        tail = TailSplit(kind="tail", val_rows=5000)
        fifth = StratifiedSplit(kind="stratified", val_fraction=0.2)
        compare(folder / "comp5329", tail, folder, arguments.seeds)
        compare(SHARED / "datasets" / "movies", fifth, folder, arguments.seeds)


def compare(source: Path, split: SplitSpec, folder: Path, seeds: int) -> None:
    """Print scores and seconds of both precisions on one data set."""
    cache = folder / "cache"
    data = hpo.load_data(source, features=source / "features", cache=cache, progress=False)
    bundle = data.bundle(split)
    truth = bundle.labels_of("val") > 0
    for changes in _CHANGES:
        config = recipe(len(bundle.split["train"]), changes)
        exact, slow = predictions(bundle, config, "float32", seeds, folder / "runs")
        half, fast = predictions(bundle, config, "bf16", seeds, folder / "runs")
        (difference,) = f1_differences(half, [exact], truth)
        plain, mixed = f1_intervals(exact, truth), f1_intervals(half, truth)
        print(f"{source.name}: {config.fusion} {list(config.hidden)}, {seeds} seeds")
        for name in _METRICS:
            print(f"  {name}: float32 {plain[name]}, bf16 {mixed[name]}, bf16 {difference[name]}")
        print(f"  {slow:.1f} s and {fast:.1f} s: {slow / fast:.2f} times as fast", flush=True)


def predictions(
    bundle: Bundle, config: Config, precision: str, seeds: int, store: Path
) -> tuple[list[NDArray[np.bool_]], float]:
    """Train each seed; return what it predicts on the validation rows, and the seconds in all."""
    trainer = Trainer(
        bundle,
        open_device("cpu", Arithmetic(precision=precision)),
        RunStore(store),
        scored=[config.epochs],
        milestones=[config.epochs],
    )
    found = []
    began = time.process_time()
    for seed in range(seeds):
        run = trainer.model(config, seed)
        while not run.done:
            run.advance()
        run.finish()
        logits = trainer.stored_logits(config, seed, config.epochs, "val")
        assert logits is not None  # it has just been trained
        found.append(logits.numpy() > 0)
    return found, time.process_time() - began


if __name__ == "__main__":
    main()
