"""How often the stated 95% intervals hold what they are meant to hold, on real data.

    python -m benchmarks.coverage

``best`` is run once on the arena's data. Of the untouched rows, some are drawn as a test part
would be, 200 times: a quarter of COMP5329's 20,000, that is 5,000, and half of the movies' 1,064.
Each time the interval that ``hpo`` states for them is compared with the score of all untouched
rows, and with the score of as many other rows, drawn afresh. An interval is about the former: the
score that the model has on rows of this kind. A fresh sample has chance of its own, so that an
exact interval holds its score in only 83% of the cases; one that is √2 as wide holds it in 95%.
"""

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np

from benchmarks._arena_data import SETS, build
from benchmarks._contestants import CONTESTANTS, Outcome, Round
from hpo.results import f1_intervals, f1_scores

_RESAMPLINGS = 200
_SHARE = {"comp5329": 4, "movies": 2}


def main() -> None:
    """Print a line for each data set and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    for name in parser.parse_args().sets:
        with tempfile.TemporaryDirectory() as folder:
            data, work = Path(folder) / "data", Path(folder) / "best"
            build(name, data, repeat=0)
            work.mkdir()
            outcome = CONTESTANTS["best"](Round(name, data, work, seed=0, trials=0))
        report(name, outcome)


def report(name: str, outcome: Outcome) -> None:
    """Draw test parts of the untouched rows and print how many intervals hold."""
    assert outcome.predicted is not None and outcome.truth is not None
    predicted, truth = outcome.predicted, outcome.truth
    size = len(truth) // _SHARE[name]
    whole = f1_scores(predicted, truth)
    held = {score: {"all": 0, "fresh": 0, "fresh, √2 as wide": 0} for score in whole}
    rng = np.random.default_rng(0)
    for _ in range(_RESAMPLINGS):
        order = rng.permutation(len(truth))
        drawn, other = order[:size], order[size : 2 * size]
        stated = f1_intervals([predicted[drawn]], truth[drawn])
        fresh = f1_scores(predicted[other], truth[other])
        for score, counts in held.items():
            low, value, high = stated[score].low, stated[score].value, stated[score].high
            counts["all"] += low <= whole[score] <= high
            counts["fresh"] += low <= fresh[score] <= high
            wide_low = value - math.sqrt(2) * (value - low)
            wide_high = value + math.sqrt(2) * (high - value)
            counts["fresh, √2 as wide"] += wide_low <= fresh[score] <= wide_high
    for score, counts in held.items():
        shares = ", ".join(f"{n} {count / _RESAMPLINGS:.1%}" for n, count in counts.items())
        print(f"{name} {score}, {size:,} of {len(truth):,} rows: {shares}", flush=True)


if __name__ == "__main__":
    main()
