"""What class weights, oversampling and other losses do for rare classes.

    python -m benchmarks.unequal
    python -m benchmarks.unequal --sets movies --seeds 5

The recommended study's first configuration is trained with one change each. Printed are micro-,
macro- and samples-F1 at 0.5, macro-F1 of the rarer half of the classes, mean average precision, and
micro- and macro-F1 at thresholds that the validation rows chose; the mean over seeds.
"""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from benchmarks._recipe import SETS, Bench, opened
from hpo.results import class_scores, f1_scores, tune_thresholds

CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "class_weight sqrt": {"class_weight": "sqrt"},
    "class_weight balanced": {"class_weight": "balanced"},
    "oversample 0.01": {"oversample": 0.01},
    "oversample 0.05": {"oversample": 0.05},
    "oversample 0.1": {"oversample": 0.1},
    "oversample 0.3": {"oversample": 0.3},
    "focal": {"loss": "focal"},
    "asl": {"loss": "asl"},
    "two_way": {"loss": "two_way"},
    "two_way, T₊ = 1": {"loss": "two_way", "two_way.temp_pos": 1.0},
}
_COLUMNS = ("micro", "macro", "samples", "rare", "mAP", "tuned micro", "tuned macro")


def main() -> None:
    """Train and print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--only", nargs="+", choices=list(CHANGES), default=list(CHANGES))
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    arguments = parser.parse_args()
    for name in arguments.sets:
        with opened(name, arguments.seeds, arguments.threads) as bench:
            print(f"\n## {name}\n\n| | {' | '.join(_COLUMNS)} |")
            print(f"| --- |{' ---: |' * len(_COLUMNS)}", flush=True)
            for change in arguments.only:
                cells = " | ".join(f"{score:.2f}" for score in _scores(bench, CHANGES[change]))
                print(f"| {change} | {cells} |", flush=True)


def _scores(bench: Bench, change: dict[str, Any]) -> NDArray[np.float64]:
    """Return the columns, each the mean over seeds."""
    config = bench.recipe.replace(**change)
    truth, held = bench.truth("test"), bench.truth("val")
    positives = bench.truth("train").sum(axis=0)
    rare = np.argsort(positives)[: len(positives) // 2]
    rows = []
    for p, p_val in zip(
        bench.probabilities(config), bench.probabilities(config, "val"), strict=True
    ):
        scores = f1_scores(p > 0.5, truth)
        by_class = [score.f1 for score in class_scores([p], truth, bench.classes).values()]
        thresholds = tune_thresholds(p_val, held, ["micro_f1", "macro_f1"])
        tuned = f1_scores(p > thresholds, truth)
        rows.append(
            [
                *(scores["micro_f1"], scores["macro_f1"], scores["samples_f1"]),
                np.mean([by_class[k] for k in rare]),
                100 * average_precision_score(truth, p, average="macro"),
                *(tuned["micro_f1"], tuned["macro_f1"]),
            ]
        )
    means: NDArray[np.float64] = np.mean(rows, axis=0)
    return means


if __name__ == "__main__":
    main()
