"""Let each call of a small study fail once, and damage each file it stores, in this process.

    python scripts/faults.py
    python scripts/faults.py --only store answer --every 5
    python scripts/faults.py --encode --flips 4
    python scripts/faults.py --encode --skip 700

First the study runs in peace, and all its calls are noted: every file that is opened, written,
flushed or renamed, and every statement and commit of the store. Then it runs once for each of them,
from nothing, with that call failing. It has to end as in peace; or with one sentence, after which
the same command ends as in peace. After that one byte of each stored file is changed, and the study
is run again from what is stored, with the same demands. ``pytest tests/faults`` takes a sample.
"""

import argparse
import contextlib
import csv
import dataclasses
import io
import json
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fault_points import ERRORS, Fault, Injector, Point
from PIL import Image
from rich.console import Console

import hpo
from hpo._options import guarded
from hpo.launch import ThreadWorker
from hpo.report import finish_study
from hpo.worker import WorkerSettings

__all__ = [
    "SPACE",
    "Trial",
    "flips",
    "judge",
    "judge_again",
    "make_data",
    "run",
    "run_fault",
    "run_flip",
    "run_in_peace",
    "sampled",
]

_ROWS, _TEST_ROWS, _CLASSES = 60, 8, 3
_WIDTHS = {"image": 6, "text": 4}
SPACE: dict[str, Any] = {
    "name": "faults",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 20},
    "fixed": {"hidden": [4], "fusion": "sum", "epochs": 2, "batch_size": 40, "lr": 0.01},
    "search": {"kind": "greedy", "stages": [{"name": "f", "params": {"dropout": [0.1, 0.3]}}]},
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """What came of a run: its exit status, what it printed as an error, and its results."""

    status: int
    printed: str
    results: dict[str, Any]


def make_data(folder: Path, *, encode: bool = False) -> None:
    """Write a data folder: tables, and embeddings or images.

    Args:
        folder: Made.
        encode: Whether there are images, which are to be encoded.
    """
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    labels = (rng.random((_ROWS, _CLASSES)) < [0.6, 0.4, 0.3]).astype(np.int64)
    labels[: len(labels) // 10] = 1
    kinds = (("train.csv", _ROWS), ("test.csv", _TEST_ROWS))
    for name, rows in kinds:
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file)
            head = ["ImageID", *(["Labels"] if name == "train.csv" else []), "Caption"]
            writer.writerow(head)
            for row in range(rows):
                said = " ".join(str(k + 1) for k in np.flatnonzero(labels[row])) or "1"
                middle = [said] if name == "train.csv" else []
                writer.writerow([f"{name[:2]}{row}.png", *middle, f"caption {row}"])
        if encode:
            (folder / "images").mkdir(exist_ok=True)
            for row in range(rows):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "images" / f"{name[:2]}{row}.png")
    if not encode:
        embeddings = folder / "embeddings"
        embeddings.mkdir()
        for name, width in _WIDTHS.items():
            array = labels @ rng.normal(size=(_CLASSES, width)) + rng.normal(size=(_ROWS, width))
            np.save(embeddings / f"{name}.npy", array.astype(np.float16))
            test = rng.normal(size=(_TEST_ROWS, width)).astype(np.float16)
            np.save(embeddings / f"{name}_test.npy", test)


def run(
    place: Path,
    data: Path,
    injector: Injector | None = None,
    space: dict[str, Any] = SPACE,
    trials: int | None = None,
) -> Trial:
    """Run the study in ``place`` from whatever is there to its end, as a command does.

    Args:
        place: For store, cache and results.
        data: The data folder.
        injector: Lets a call fail.
        space: Of the study.
        trials: Of a sampled study; by default those of its space.
    """

    def main(_: Sequence[str] | None) -> int:
        return _carry_out(place, data, space, trials)

    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.ExitStack() as stack:
        if injector is not None:
            stack.enter_context(injector.in_place())
        status = guarded(main, [])
    return Trial(status, errors.getvalue(), _results(place) if status == 0 else {})


def _carry_out(place: Path, data: Path, space: dict[str, Any], trials: int | None) -> int:
    embeddings = data / "embeddings"
    given = {"features": embeddings} if embeddings.exists() else {"encoder": "demo"}
    loaded = hpo.load_data(data, **given, cache=place / "cache", device="cpu", progress=False)
    study = hpo.create_study(loaded, space, storage=f"sqlite:///{place / 's.db'}")
    settings = WorkerSettings(heartbeat=0.2, grace=1.5)
    limits = study.limits(trials=trials)
    if not study.run(lambda: ThreadWorker(study.stored, settings), lambda tasks: None, limits):
        return 3
    console = Console(file=io.StringIO(), width=120)
    finish_study(study.stored, console, place / "out", "cpu", refit=True)
    return 0


def _results(place: Path) -> dict[str, Any]:
    """Return all that must be the same however the study got there.

    That is without numbers of trials: a claim whose answer is lost is free again after a while, and
    another task is begun before it.
    """
    metrics = json.loads((place / "out" / "metrics.json").read_text())
    study = hpo.load_study("faults", f"sqlite:///{place / 's.db'}")
    done = [task for task in study.stored.tasks() if task.outcome is not None]
    ended = {str(t.user_attrs["config"]): t for t in study.optuna.trials if t.state.is_finished()}
    judged = metrics.get("judged", {})
    return {
        "best": {k: v for k, v in metrics["best"].items() if k not in ("latency_ms", "trial")},
        "judged": {k: v for k, v in judged.items() if k not in ("tied", "compared")},
        # by trial, whose numbers move on where a task is claimed once more
        "compared": sorted(map(json.dumps, judged.get("compared", {}).values())),
        "concerns": metrics.get("concerns"),
        "floor": metrics.get("floor"),
        "classes": metrics.get("classes"),
        "scores": sorted((task.key, task.outcome.value) for task in done if task.outcome),
        "curves": {config: trial.intermediate_values for config, trial in ended.items()},
        "model": (place / "out/model/model.safetensors").read_bytes(),
        "predictions": (place / "out/predictions.csv").read_bytes(),
        "report": (place / "out/report/index.html").exists(),
    }


def run_in_peace(place: Path, data: Path) -> tuple[Trial, list[Point]]:
    """Run the study undisturbed; return what came of it, and all calls that it made."""
    injector = Injector(place)
    trial = run(place, data, injector)
    if trial.status != 0:
        raise RuntimeError(f"The study in peace ended with {trial.status}:\n{trial.printed}")
    return trial, injector.points


def run_fault(place: Path, data: Path, fault: Fault, peace: Trial) -> list[str]:
    """Run the study from nothing with a fault, and once more if that ended it.

    Returns:
        What is wrong with what came of it.
    """
    injector = Injector(place, fault)
    first = run(place, data, injector)
    found = judge(first, peace)
    if first.status != 0 and not found:
        found = judge_again(run(place, data), peace)
    return [f"{fault}: {text}" for text in found]


def run_flip(place: Path, data: Path, file: Path, byte: int, peace: Trial) -> list[str]:
    """Change a byte of a stored file and run the study again, once more where that ended it.

    Args:
        place: Where the study was run to its end.
        data: The data folder.
        file: Below ``place``.
        byte: Which one.
        peace: What came of the study in peace.
    """
    content = bytearray(file.read_bytes())
    content[byte % len(content)] ^= 1 << (byte % 8)
    file.write_bytes(content)
    what = f"byte {byte % len(content)} of {file.relative_to(place)}"
    if "cache" in file.relative_to(place).parts[0]:
        # the store and the results go, so that all of it comes out of the cache
        for path in place.glob("s.db*"):
            path.unlink()
        shutil.rmtree(place / "out")
    first = run(place, data)
    found = judge(first, peace)
    if first.status != 0 and not found:
        file.unlink(missing_ok=True)  # the cause is gone
        found = judge_again(run(place, data), peace)
    return [f"{what}: {text}" for text in found]


def judge(trial: Trial, peace: Trial) -> list[str]:
    if trial.status == 0:
        differ = [key for key, value in peace.results.items() if trial.results.get(key) != value]
        return [f"other {', '.join(differ)} than in peace"] if differ else []
    if "unforeseen" in trial.printed or "Traceback" in trial.printed:
        return [f"no sentence of ours, status {trial.status}: {trial.printed.strip()[:600]}"]
    if trial.printed.count("error: ") != 1:
        return [f"status {trial.status}, but not one error: {trial.printed.strip()[:600]}"]
    return []


def judge_again(trial: Trial, peace: Trial) -> list[str]:
    if trial.status != 0:
        return [f"the same command again ends with {trial.status}: {trial.printed.strip()[:600]}"]
    return [f"run again: {text}" for text in judge(trial, peace)]


def sampled(points: Sequence[Point], every: int = 1, only: Sequence[str] = ()) -> list[Fault]:
    """Return a fault for each point, or for every nth of them; the errors take turns.

    Args:
        points: All calls of the study.
        every: Take one of so many.
        only: Kinds of calls; empty for all.
    """
    chosen = [point for point in points if not only or point.kind in only][::every]
    return [
        Fault(point, ERRORS[point.kind][zlib.crc32(str(point).encode()) % len(ERRORS[point.kind])])
        for point in chosen
    ]


def flips(place: Path, each: int = 1) -> Iterator[tuple[Path, int]]:
    """Yield each stored file of a study with places of bytes in it, the same each time."""
    for file in sorted(place.rglob("*")):
        if not file.is_file() or ".db" in file.name or "report" in file.parts:
            continue
        size, name = file.stat().st_size, str(file.relative_to(place))
        for nth in range(each if size else 0):
            yield file, zlib.crc32(f"{name} {nth}".encode()) % size


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 1 if a fault had another end than it should."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", default=[], choices=sorted(ERRORS))
    parser.add_argument("--every", type=int, default=1, help="take one of so many calls")
    parser.add_argument("--flips", type=int, default=2, help="bytes that are changed in each file")
    parser.add_argument("--encode", action="store_true", help="encode images and captions")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many, which were run")
    arguments = parser.parse_args(argv)
    failed: list[str] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        data = folder / "data"
        make_data(data, encode=arguments.encode)
        peace, points = run_in_peace(folder / "peace", data)
        jobs: list[Callable[[Path], list[str]]] = []
        for fault in sampled(points, arguments.every, arguments.only):
            jobs.append(lambda place, fault=fault: run_fault(place, data, fault, peace))  # type: ignore[misc]
        count = len(jobs)
        for file, byte in [] if arguments.only else flips(folder / "peace", arguments.flips):
            jobs.append(lambda place, f=file, b=byte: _flip_copy(folder, place, data, f, b, peace))  # type: ignore[misc]
        print(f"{len(points)} calls; {count} faults, {len(jobs) - count} changed bytes", flush=True)
        jobs = jobs[arguments.skip :]
        for number, job in enumerate(jobs, start=arguments.skip):
            place = folder / f"run-{number}"
            found = job(place)
            shutil.rmtree(place, ignore_errors=True)
            for text in found:
                print(f"FAIL {text}", flush=True)
            failed += found
    print(f"{'FAIL' if failed else 'PASS'}: {len(failed)} of {len(jobs)}", flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _flip_copy(
    folder: Path, place: Path, data: Path, file: Path, byte: int, peace: Trial
) -> list[str]:
    shutil.copytree(folder / "peace", place)
    return run_flip(place, data, place / file.relative_to(folder / "peace"), byte, peace)


if __name__ == "__main__":
    sys.exit(main())
