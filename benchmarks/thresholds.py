"""Thresholds by class on rows that nothing has seen: how far to draw them, and to what.

    python -m benchmarks.thresholds
    python -m benchmarks.thresholds --sets movies --repeats 5 --folds 5

The head of ``search_spaces/best.yaml`` (what its first trial is) is trained on the training rows.
Its predictions of the validation rows choose the thresholds; the same head, refitted on both, is
scored with them on untouched rows. COMP5329: the first 5,000 rows to train, the last 5,000 to
validate, the 20,000 between untouched. Movies: a fifth untouched, a fifth to validate, drawn by
label with the seed of the repetition. Tables are means over repetitions: micro-F1 / macro-F1 /
samples-F1 in percent, as differences from thresholds of 0.5.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hpo
from benchmarks._arena_data import SHARED
from benchmarks._recipe import recipe
from hpo.data import Split
from hpo.features import save_bundle
from hpo.results import calibrate, calibration_error, f1_scores, tune_thresholds
from hpo.training import RunStore, Trainer, open_device, out_of_fold

SETS = ("comp5329", "movies")
PRIORS = (0.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
WANTED = {
    "micro": ("micro_f1",),
    "macro": ("macro_f1",),
    "samples": ("samples_f1",),
    "micro + macro": ("micro_f1", "macro_f1"),
}
F1 = ("micro_f1", "macro_f1", "samples_f1")

Probabilities = NDArray[np.floating]
Truth = NDArray[np.bool_]


def main() -> None:
    """Train, choose, score, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--folds", type=int, metavar="K", help="also out-of-fold, by K models")
    parser.add_argument("--cache", type=Path, help="folder that is kept (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache or Path(temporary)
        for name in arguments.sets:
            print(f"\n## {name}\n", flush=True)
            rows: dict[str, list[tuple[float, ...]]] = {}
            for repeat in range(arguments.repeats):
                for line, scores in measure(name, repeat, cache.absolute(), arguments.folds):
                    rows.setdefault(line, []).append(scores)
            for line, found in rows.items():
                print(f"| {line} | {_mean(found)} |")


def measure(
    name: str, repeat: int, cache: Path, folds: int | None
) -> list[tuple[str, tuple[float, ...]]]:
    """Return the lines of one repetition: what was done, and the differences that it made."""
    source = SHARED / "datasets" / name
    data = hpo.load_data(source, features=source / "features", cache=cache, progress=False)
    bundle = save_bundle(cache, data.dataset, data.features, split_of(data, name, repeat))
    config = recipe(len(bundle.split["train"]))
    trainer = Trainer(
        bundle, open_device("cpu"), RunStore(cache / "runs"), scored=[], milestones=[config.epochs]
    )
    val = _trained(trainer, config, "train", "val", repeat)
    test = _trained(trainer, config, "all", "test", repeat)
    truth, right = bundle.labels_of("val") > 0, bundle.labels_of("test") > 0
    half = f1_scores(test > 0.5, right)
    lines = [("at 0.5", tuple(half[f] for f in F1))]

    def add(line: str, thresholds: Probabilities) -> None:
        scores = f1_scores(test > thresholds, right)
        lines.append((line, tuple(scores[f] - half[f] for f in F1)))

    for goal, metrics in WANTED.items():
        # with a prior beyond all counts, all classes have the shared one
        add(f"{goal}: one shared", tune_thresholds(val, truth, metrics, prior=1e12))
        for prior in PRIORS:
            for word, towards in (("0.5", 0.5), ("shared", None)):
                found = tune_thresholds(val, truth, metrics, prior=prior, towards=towards)
                add(f"{goal}: towards {word}, prior {prior:g}", found)
    if folds is not None:
        logits = out_of_fold(trainer, config, folds=folds, seed=repeat)
        out = 1 / (1 + np.exp(-logits.astype(np.float64)))
        every = bundle.labels[trainer.data.index("all")] > 0
        for goal, metrics in WANTED.items():
            add(f"{goal}: {folds} folds", tune_thresholds(out, every, metrics))
        for one in calibrate([out], every):
            corrected = one.calibration.apply(test)
            lines.append((f"ECE, {one.calibration.method}, folds", _errors(corrected, right)))
    lines.append(
        ("ECE, validation and test, as it is", (*_errors(val, truth), *_errors(test, right)))
    )
    for one in calibrate([val], truth):
        corrected = one.calibration.apply(test)
        after = (one.after.value, one.gain.low, *_errors(corrected, right))
        lines.append((f"ECE, {one.calibration.method}: cross-fitted, gain's low, test", after))
    return lines


def split_of(data: hpo.Data, name: str, repeat: int) -> Split:
    """Return training, validation and untouched rows of a data set."""
    if name == "comp5329":
        return Split(
            train=np.arange(5000), val=np.arange(25_000, 30_000), test=np.arange(5000, 25_000)
        )
    from hpo.data import StratifiedSplit, make_split

    spec = StratifiedSplit(kind="stratified", val_fraction=0.16, test_fraction=0.2, seed=repeat)
    return make_split(data.dataset, spec)


def _trained(
    trainer: Trainer, config: hpo.Config, rows: str, part: str, seed: int
) -> NDArray[np.float32]:
    """Return the probabilities of a part by a model that was trained on some rows."""
    run = trainer.model(config, seed, rows=rows)
    while not run.done:
        run.advance()
    run.finish()
    logits = trainer.stored_logits(config, seed, config.epochs, part, trained_on=rows)
    assert logits is not None
    return logits.sigmoid().numpy()


def _errors(probabilities: Probabilities, truth: Truth) -> tuple[float]:
    return (calibration_error([probabilities], truth).value,)


def _mean(found: Sequence[tuple[float, ...]]) -> str:
    columns = list(zip(*found, strict=True))
    means = " / ".join(f"{statistics.fmean(column):+.2f}" for column in columns)
    if len(found) == 1:
        return means
    spread = " / ".join(f"{statistics.stdev(column):.2f}" for column in columns)
    return f"{means} (± {spread})"


if __name__ == "__main__":
    main()
