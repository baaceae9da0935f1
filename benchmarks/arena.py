"""What a user gets, and how soon: contestants on rows that none of their decisions saw.

    python -m benchmarks.arena --repeats 5
    python -m benchmarks.arena --only best tutorial --sets comp5329 --repeats 1

Each contestant gets a data folder with labelled rows and, as test.csv, rows whose labels it can't
see, and has to leave ``predictions.csv``. The time is that of the whole command, imports and all.

- COMP5329: the first 5,000 rows to train, the last 5,000 to validate, the 20,000 between untouched.
- Movies: a fifth of the rows untouched, drawn by label with the seed of the repetition; of the
  others a fifth to validate.

``tutorial`` is ``../shared/arena/tutorial.py``, a script as Optuna's tutorial has it; it is scored
with the labels of the untouched rows by itself, whenever its best trial changes.
"""

import argparse
import csv
import dataclasses
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.data import Dataset, StratifiedSplit, load_dataset, make_split
from hpo.results import f1_differences, f1_scores

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
_SPLITS = {
    "comp5329": "split={kind: tail, val_rows: 5000}",
    "movies": "split={kind: stratified, val_fraction: 0.2}",
}
_TUTORIAL_LINE = re.compile(
    r"trial +\d+ +([\d.]+) s +(\d+) epochs .* micro ([\d.]+) macro ([\d.]+)"
)


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


def main() -> None:
    """Run the contestants and print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--sets", nargs="+", choices=list(_SPLITS), default=list(_SPLITS))
    parser.add_argument("--trials", type=int, default=40, help="of the tutorial's script")
    arguments = parser.parse_args()
    for name in arguments.sets:
        print(f"\n## {name}\n", flush=True)
        results: dict[str, list[Outcome]] = {}
        for repeat in range(arguments.repeats):
            with tempfile.TemporaryDirectory() as folder:
                data = Path(folder) / "data"
                build(name, data, repeat)
                for contestant in arguments.only:
                    if repeat and contestant in _ONCE:
                        continue
                    work = Path(folder) / contestant
                    work.mkdir()
                    outcome = CONTESTANTS[contestant](name, data, work, repeat, arguments)
                    results.setdefault(contestant, []).append(outcome)
                    print(_line(contestant, repeat, outcome), flush=True)
        print("\n" + "\n".join(table(results)), flush=True)


def build(name: str, folder: Path, repeat: int) -> None:
    """Write the data folder of a repetition, and the labels of its untouched rows beside it."""
    source = SHARED / "datasets" / name
    dataset = load_dataset(source, images="ignore")
    if name == "comp5329":
        labelled = np.r_[0:5000, 25000:30000]
        untouched = np.arange(5000, 25000)
    else:
        split = make_split(
            dataset, StratifiedSplit(kind="stratified", val_fraction=0.2, seed=repeat)
        )
        labelled, untouched = split["train"], split["val"]
    (folder / "features").mkdir(parents=True)
    _write_rows(folder / "train.csv", dataset, labelled, labels=True)
    _write_rows(folder / "test.csv", dataset, untouched, labels=False)
    _write_rows(folder / "truth.csv", dataset, untouched, labels=True)
    for path in (source / "features").glob("*.npy"):
        if not path.stem.endswith("_test"):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            np.save(folder / "features" / path.name, array[labelled])
            np.save(folder / "features" / f"{path.stem}_test.npy", array[untouched])


def _write_rows(path: Path, dataset: Dataset, rows: NDArray[np.int64], *, labels: bool) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ImageID", *(["Labels"] if labels else []), "Caption"])
        for row in rows:
            given = [dataset.classes[k] for k in np.flatnonzero(dataset.labels[row])]
            cells = [" ".join(given)] if labels else []
            writer.writerow([dataset.train.ids[row], *cells, f"row {row}"])


def _study(space: str, *settings: str) -> Callable[..., Outcome]:
    """Return a contestant that is a study of hpo's."""

    def run(name: str, data: Path, work: Path, repeat: int, _: argparse.Namespace) -> Outcome:
        seed = [f"search.seed={repeat}"] if space != "greedy" else []
        command = [sys.executable, "-m", "hpo.run", "--study", space, "--data", str(data)]
        command += ["--space", str(ROOT / "search_spaces" / f"{space}.yaml")]
        command += ["--features", str(data / "features")]
        for setting in (_SPLITS[name], *seed, *settings):
            command += ["--set", setting]
        start = time.monotonic()
        subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - start
        out = work / "runs" / space
        predicted = _read(out / "predictions.csv", data)
        epochs = json.loads((out / "metrics.json").read_text())["epochs_trained"]
        return _scored(predicted, data, epochs, seconds)

    return run


def _tutorial(
    name: str, data: Path, work: Path, repeat: int, arguments: argparse.Namespace
) -> Outcome:
    """Run the script of Optuna's tutorial; its time leaves out the refits that it only prints."""
    rows = sum(1 for _ in csv.reader((data / "train.csv").open(encoding="utf-8"))) - 1
    held = 5000 if name == "comp5329" else rows // 5
    script = SHARED / "arena" / "tutorial.py"
    command = [sys.executable, str(script), str(data), str(arguments.trials), str(held)]
    done = subprocess.run(command, cwd=work, check=True, capture_output=True, text=True)
    lines = [match for match in map(_TUTORIAL_LINE.match, done.stdout.splitlines()) if match]
    last = lines[-1]
    end = re.search(r"end ([\d.]+) s (\d+) epochs", done.stdout)
    assert end is not None
    return Outcome(float(last[3]), float(last[4]), int(end[2]), float(end[1]))


def _logistic(
    name: str, data: Path, work: Path, repeat: int, arguments: argparse.Namespace
) -> Outcome:
    """scikit-learn's logistic regression, one a class, over a grid of penalties."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import StandardScaler

    start = time.monotonic()
    features = data / "features"
    names = sorted(p.stem for p in features.glob("*.npy") if not p.stem.endswith("_test"))

    def beside(ending: str) -> NDArray[np.float32]:
        arrays = [np.load(features / f"{n}{ending}.npy").astype(np.float32) for n in names]
        return np.concatenate(arrays, axis=1)

    scaler = StandardScaler().fit(beside(""))
    x, x_test = scaler.transform(beside("")), scaler.transform(beside("_test"))
    y = _read(data / "train.csv", data).astype(int)
    held = 5000 if name == "comp5329" else len(y) // 5
    scored = []
    for penalty in (1e-4, 1e-3, 1e-2):
        model = OneVsRestClassifier(LogisticRegression(C=penalty, max_iter=200))
        model.fit(x[:-held], y[:-held])
        predicted = model.predict(x[-held:]) > 0
        scored.append((f1_scores(predicted, y[-held:] > 0)["micro_f1"], penalty))
    best = OneVsRestClassifier(LogisticRegression(C=max(scored)[1], max_iter=200)).fit(x, y)
    predicted = best.predict(x_test) > 0
    seconds = time.monotonic() - start
    return _scored(predicted, data, None, seconds)


def _scored(
    predicted: NDArray[np.bool_], data: Path, epochs: int | None, seconds: float
) -> Outcome:
    truth = _read(data / "truth.csv", data)
    scores = f1_scores(predicted, truth)
    return Outcome(scores["micro_f1"], scores["macro_f1"], epochs, seconds, predicted, truth)


CONTESTANTS: dict[str, Callable[..., Outcome]] = {
    "best": _study("best"),
    "greedy": _study("greedy", "scale.width=0.25", "seeds=1"),
    "tpe": _study("tpe", "scale.width=0.25", "search.trials=40"),
    "tutorial": _tutorial,
    "logistic": _logistic,
}
#: What doesn't depend on the seed of a study, or takes too long for more than one repetition.
_ONCE = ("greedy", "tpe", "tutorial", "logistic")


def _read(path: Path, data: Path) -> NDArray[np.bool_]:
    """Return the labels of a table as [rows, K], classes in the order of train.csv's."""
    with (data / "train.csv").open(newline="", encoding="utf-8") as file:
        names = {label for row in csv.DictReader(file) for label in row["Labels"].split()}
    index = {label: place for place, label in enumerate(sorted(names))}
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row["Labels"].replace(";", " ").split() for row in csv.DictReader(file)]
    matrix = np.zeros((len(rows), len(index)), dtype=bool)
    for row, labels in enumerate(rows):
        matrix[row, [index[label] for label in labels]] = True
    return matrix


def table(results: dict[str, list[Outcome]]) -> list[str]:
    """Return a Markdown table: means over repetitions, and differences from ``greedy``.

    The differences are those of the first repetition, paired over rows, with 95% intervals.
    """
    lines = [
        "| contestant | micro-F1 | macro-F1 | against greedy: micro | macro | epochs | s |",
        "| --- | --- | --- | --- | --- | ---: | ---: |",
    ]
    for name, outcomes in results.items():
        cells = [
            _mean([outcome.micro for outcome in outcomes]),
            _mean([outcome.macro for outcome in outcomes]),
            *_against(results.get("greedy"), outcomes),
            _mean([float(o.epochs) for o in outcomes if o.epochs is not None], digits=0),
            _mean([outcome.seconds for outcome in outcomes], digits=0),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _against(greedy: list[Outcome] | None, outcomes: list[Outcome]) -> tuple[str, str]:
    if not greedy or greedy is outcomes:
        return "", ""
    mine, theirs = outcomes[0], greedy[0]
    if mine.predicted is None or theirs.predicted is None or theirs.truth is None:
        return f"{mine.micro - theirs.micro:+.2f}", f"{mine.macro - theirs.macro:+.2f}"
    (difference,) = f1_differences([mine.predicted], [[theirs.predicted]], theirs.truth)
    return str(difference["micro_f1"]), str(difference["macro_f1"])


def _mean(values: list[float], digits: int = 2) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"


def _line(contestant: str, repeat: int, outcome: Outcome) -> str:
    return (
        f"{contestant} {repeat}: micro {outcome.micro:.2f} macro {outcome.macro:.2f}, "
        f"{outcome.epochs} epochs, {outcome.seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
