"""How long the command takes to say its help, and to print a finished study again."""

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
    return results


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
