"""How long the command takes to say its help, to print a finished study again, to begin and to end.

Of a study of one run of four epochs: from the command to the start of the trial, and from the last
epoch of the refit to ``metrics.json``, with the predictions beside it. Figures come after that.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks._result import Result, main
from benchmarks._studies import ROOT, command, make_folder, write_space
from hpo.study import StoredStudy

__all__ = ["run"]

_SPACE = {
    "name": "short",
    "metric": "micro_f1",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 100},
    "fixed": {"epochs": 2, "hidden": [16], "fusion": "sum"},
    "search": {"kind": "greedy", "stages": [{"name": "loss", "params": {"loss": ["bce", "asl"]}}]},
    "refit": {"rows": "all"},
}

_ONE = {
    "name": "one",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 100},
    "fixed": {"epochs": 4, "hidden": [64], "fusion": "sum_joint", "batch_size": 250},
    "search": {"kind": "greedy", "stages": [{"name": "one", "params": {"lr": [0.001]}}]},
    "refit": {"rows": "all"},
}


def run(arguments: argparse.Namespace) -> list[Result]:
    """Measure both, beside a Python that does nothing."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_folder(folder / "data", rows=1000, width=64)
        study = [
            "hpo.run",
            "--study=short",
            f"--space={write_space(folder / 'short.yaml', _SPACE)}",
            f"--data={data}",
            f"--features={data / 'features'}",
        ]
        command(study, folder)
        for what, target, action in (
            ("hpo.run --help", 0.5, lambda: command(["hpo.run", "--help"], ROOT)),
            ("a finished study, resumed", 3.0, lambda: command(study, folder)),
        ):
            ours, nothing = _alternate(action, arguments.rounds)
            results.append(
                Result(
                    f"start-up: {what}",
                    ours,
                    ours,
                    nothing,
                    "s",
                    "python -c pass",
                    target,
                    "at most",
                    note="the ratio is the time in seconds; imports are in the page cache",
                )
            )
        begins, ends = zip(*(_short(folder, data) for _ in range(arguments.rounds)), strict=True)
        results += [
            Result(
                f"start-up: {what}",
                median(seconds),
                median(seconds),
                None,
                "s",
                "a study of one run of four epochs with two workers, refit included",
                target,
                "at most",
                note="the ratio is the time in seconds; imports are in the page cache",
            )
            for what, seconds, target in (
                ("from the command to the first epoch", begins, 3.0),
                ("from the last epoch to the numbers", ends, 1.0),
            )
        ]
    return results


def _short(folder: Path, data: Path) -> tuple[float, float]:
    """Run a study that was not there before; return the seconds until it begins, and at its end."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        space = write_space(Path(place) / "one.yaml", _ONE)
        started = time.time()
        command(
            [
                *("hpo.run", "--study=one", f"--space={space}", f"--data={data}"),
                *(f"--features={data / 'features'}", "--workers=2"),
            ],
            Path(place),
        )
        study = StoredStudy.join(f"sqlite:///{Path(place) / 'studies.db'}", "one")
        (trial,) = study.optuna.get_trials(deepcopy=False)
        assert trial.datetime_start is not None
        # The refit's state is written when its last epoch is done.
        files = (Path(place) / ".hpo" / "runs").rglob("*")
        last = max(path.stat().st_mtime for path in files if path.is_file())
        numbers = (Path(place) / "runs" / "one" / "metrics.json").stat().st_mtime
        return trial.datetime_start.timestamp() - started, numbers - last


def _alternate(action: Callable[[], object], rounds: int) -> tuple[float, float]:
    ours, nothing = [], []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        action()
        between = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        ours.append(between - started)
        nothing.append(time.perf_counter() - between)
    return median(ours[1:]), median(nothing[1:])


if __name__ == "__main__":
    main(run, __doc__)
