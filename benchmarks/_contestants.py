"""The contestants of the arena: each gets a data folder and leaves predictions."""

import dataclasses
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._arena_data import SHARED, held_out, read_labels, split_of
from hpo.results import f1_scores

__all__ = ["CONTESTANTS", "INGREDIENTS", "Contestant", "Outcome", "Round", "best_within"]

ROOT = Path(__file__).resolve().parents[1]
_TUTORIAL_LINE = re.compile(
    r"trial +\d+ +([\d.]+) s +(\d+) epochs .* micro ([\d.]+) macro ([\d.]+)"
)


@dataclasses.dataclass(frozen=True)
class Round:
    """What a contestant is given.

    Attributes:
        name: The data set.
        data: Its folder in this repetition.
        work: Where the contestant works; empty.
        seed: Of the study.
        trials: Of contestants that have no number of their own.
    """

    name: str
    data: Path
    work: Path
    seed: int
    trials: int


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one contestant did in one repetition.

    Attributes:
        micro: Micro-F1 on the untouched rows, in percent.
        macro: Macro-F1.
        epochs: Trained, the refit included; None where it has none.
        seconds: From the command to the prediction file.
        predicted: Labels of the untouched rows, [rows, K]; None where only scores are known.
        truth: The right ones.
    """

    micro: float
    macro: float
    epochs: int | None
    seconds: float
    predicted: NDArray[np.bool_] | None = None
    truth: NDArray[np.bool_] | None = None


Contestant = Callable[[Round], Outcome]


def best_within(seconds: float) -> Contestant:
    """Return a contestant that is ``best`` with so much time, imports and predictions included."""
    return _study("best", options=("--time-limit", f"{seconds:.0f}s"))


def _study(
    space: str, *settings: str, seeded: bool = True, options: Sequence[str] = ()
) -> Contestant:
    """Return a contestant that is a study of hpo's, with these values set in its space."""

    def run(this: Round) -> Outcome:
        seed = [f"search.seed={this.seed}"] if seeded else []
        command = [sys.executable, "-m", "hpo.run", "--study", space, "--data", str(this.data)]
        command += ["--space", str(ROOT / "search_spaces" / f"{space}.yaml")]
        command += ["--features", str(this.data / "features"), *options]
        for setting in (split_of(this.name), *seed, *settings):
            command += ["--set", setting]
        start = time.time()
        subprocess.run(command, cwd=this.work, check=True, stdout=subprocess.DEVNULL)
        out = this.work / "runs" / space
        seconds = (out / "predictions.csv").stat().st_mtime - start
        epochs = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["epochs_trained"]
        return _scored(read_labels(out / "predictions.csv", this.data), this, epochs, seconds)

    return run


def _tutorial(this: Round) -> Outcome:
    """Run the script of Optuna's tutorial; its time leaves out the refits that it only prints."""
    command = [sys.executable, str(SHARED / "arena" / "tutorial.py"), str(this.data)]
    command += [str(this.trials), str(held_out(this.name, this.data))]
    done = subprocess.run(command, cwd=this.work, check=True, capture_output=True, text=True)
    lines = [match for match in map(_TUTORIAL_LINE.match, done.stdout.splitlines()) if match]
    end = re.search(r"end ([\d.]+) s (\d+) epochs", done.stdout)
    assert end is not None
    last = lines[-1]
    return Outcome(float(last[3]), float(last[4]), int(end[2]), float(end[1]))


def _ray(this: Round) -> Outcome:
    """Ray Tune's ASHA, see ``_arena_ray.py``."""
    out = this.work / "predictions.csv"
    command = [sys.executable, "-m", "benchmarks._arena_ray", str(this.data), str(this.trials)]
    command += [str(held_out(this.name, this.data)), str(out)]
    start = time.time()
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    seconds = out.stat().st_mtime - start
    end = re.search(r"end (\d+) epochs", done.stdout)
    assert end is not None
    return _scored(read_labels(out, this.data), this, int(end[1]), seconds)


def _logistic(this: Round) -> Outcome:
    """scikit-learn's logistic regression, one a class, over a grid of penalties."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import StandardScaler

    start = time.monotonic()
    features = this.data / "features"
    names = sorted(p.stem for p in features.glob("*.npy") if not p.stem.endswith("_test"))

    def beside(ending: str) -> NDArray[np.float32]:
        arrays = [np.load(features / f"{n}{ending}.npy").astype(np.float32) for n in names]
        return np.concatenate(arrays, axis=1)

    scaler = StandardScaler().fit(beside(""))
    x, x_test = scaler.transform(beside("")), scaler.transform(beside("_test"))
    y = read_labels(this.data / "train.csv", this.data).astype(int)
    held = held_out(this.name, this.data)
    scored = []
    for penalty in (1e-4, 1e-3, 1e-2):
        model = OneVsRestClassifier(LogisticRegression(C=penalty, max_iter=200))
        model.fit(x[:-held], y[:-held])
        predicted = model.predict(x[-held:]) > 0
        scored.append((f1_scores(predicted, y[-held:] > 0)["micro_f1"], penalty))
    best = OneVsRestClassifier(LogisticRegression(C=max(scored)[1], max_iter=200)).fit(x, y)
    predicted = best.predict(x_test) > 0
    return _scored(predicted, this, None, time.monotonic() - start)


def _scored(
    predicted: NDArray[np.bool_], this: Round, epochs: int | None, seconds: float
) -> Outcome:
    truth = read_labels(this.data / "truth.csv", this.data)
    scores = f1_scores(predicted, truth)
    return Outcome(scores["micro_f1"], scores["macro_f1"], epochs, seconds, predicted, truth)


_TPE = ("scale.width=0.25", "search.trials=40")
CONTESTANTS: dict[str, Contestant] = {
    "best": _study("best"),
    "greedy": _study("greedy", "scale.width=0.25", "seeds=1", seeded=False),
    "tutorial": _tutorial,
    "ray asha": _ray,
    "logistic": _logistic,
    "tpe, halving": _study("tpe", *_TPE),
    "tpe, hyperband": _study(
        "tpe",
        *_TPE,
        "search.pruner={name: HyperbandPruner, min_resource: 20, max_resource: 300, "
        "reduction_factor: 3}",
    ),
}
#: ``best`` with one of its ingredients taken away.
INGREDIENTS: dict[str, Contestant] = {
    "best, one trial": _study("best", "search.trials=1"),
    "best, no input dropout": _study(
        "best", "fixed.input_dropout=0", "search.params.input_dropout={choices: [0.0]}"
    ),
    "best, no EMA": _study("best", "fixed.ema_decay=null"),
    "best, full batch": _study("best", "fixed.batch_size=25000", "min_steps=null"),
    "best, large batches": _study("best", "min_steps=null"),
    "best, embeddings as they are": _study("best", "fixed.feature_scaling=none"),
    "best, two-step fusions": _study(
        "best", "fixed.fusion=mixed", "search.params.fusion={choices: [sum, mixed]}"
    ),
    "best, no thresholds": _study("best", "thresholds=null"),
}
