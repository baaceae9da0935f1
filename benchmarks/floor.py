"""What the floor scores, and the processor time that it takes.

    python -m benchmarks.floor

The rows are those of ``benchmarks.thresholds``; scores are on the validation rows and on untouched
ones, micro-F1 / macro-F1 in percent.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hpo
from benchmarks._arena_data import SHARED
from benchmarks.thresholds import SETS, split_of
from hpo.features import Bundle, save_bundle
from hpo.results import f1_scores
from hpo.results._baselines import constant_baseline, linear_baseline

_ROUNDS = 3


def main() -> None:
    """Print a line for each data set and baseline."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SETS:
            source = SHARED / "datasets" / name
            data = hpo.load_data(
                source, features=source / "features", cache=Path(folder), progress=False
            )
            bundle = save_bundle(
                Path(folder), data.dataset, data.features, split_of(data, name, repeat=0)
            )
            for make in (linear_baseline, constant_baseline):
                seconds = []
                for _ in range(_ROUNDS):
                    start = time.process_time()
                    baseline = make(bundle, "micro_f1")
                    seconds.append(time.process_time() - start)
                shown = [
                    f"{part} {_scores(bundle, baseline.predict(bundle.features.train, rows), part)}"
                    for part, rows in bundle.split.items()
                    if part != "train"
                ]
                print(f"{name}: {baseline.name}, {', '.join(shown)}, {min(seconds):.2f} s")
                print(f"    {baseline.about}", flush=True)


def _scores(bundle: Bundle, given: NDArray[np.bool_], part: str) -> str:
    scores = f1_scores(given, bundle.labels_of(part) > 0)
    return f"{scores['micro_f1']:.2f} / {scores['macro_f1']:.2f}"


if __name__ == "__main__":
    main()
