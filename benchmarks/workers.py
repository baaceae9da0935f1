"""Two workers with a thread each, one worker with one thread, and one worker with two.

The same reduced greedy study three times on its own store, timed from the first trial's start to
the last one's end, so that reading the data doesn't count; and the store's share of one worker's
time in it. It needs ``--data``, and gives nothing where that folder is absent.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks._clock import watched
from benchmarks._result import Result, main
from benchmarks._studies import ROOT, command
from hpo.study import Definition, StoredStudy
from hpo.worker import Worker, WorkerSettings

__all__ = ["run"]

# Long enough that what the first and the last trial wait for is small beside the training.
_SETTINGS = ("train_rows=5000", "scale.width=0.25", "scale.epochs=0.05", "seeds=1")
_PLACES = {"one of one thread": (1, 1), "two of one thread": (2, 1), "one of two threads": (1, 2)}


def run(arguments: argparse.Namespace) -> list[Result]:
    """Run the study with each number of workers in turn."""
    if not (arguments.data / "features").is_dir():
        print(f"workers: left out, there are no features in {arguments.data}", file=sys.stderr)
        return []
    seconds: dict[str, list[float]] = {name: [] for name in _PLACES}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(max(1, arguments.rounds // 3)):
            for name, (workers, threads) in _PLACES.items():
                place = Path(folder) / f"{turn}-{workers}-{threads}"
                study = _study(arguments.data, place, workers, threads)
                seconds[name].append(_span(study))
        store, wall = _store(study, Path(folder) / "again")
    one, two, threaded = (median(seconds[name]) for name in _PLACES)
    turns = len(seconds["two of one thread"])
    settings = ", ".join(_SETTINGS) + f"; each placement ran it {turns} times in turn"
    return [
        Result(
            "workers: two with one thread, against one with one thread",
            one / two,
            two,
            one,
            "s",
            "one worker with one thread",
            1.7,
            note=f"the greedy study with {settings}",
        ),
        Result(
            "workers: two with one thread, against one with two threads",
            threaded / two,
            two,
            threaded,
            "s",
            "one worker with two threads",
            1.0,
            note=f"the greedy study with {settings}",
        ),
        Result(
            "workers: the store's share of a worker's time",
            store / wall,
            store,
            wall,
            "s",
            "the whole study with one worker",
            0.02,
            "at most",
            note=f"the greedy study with {settings}",
        ),
    ]


def _study(data: Path, folder: Path, workers: int, threads: int) -> StoredStudy:
    """Run the study in an empty folder; return it."""
    folder.mkdir()
    url = f"sqlite:///{folder / 'studies.db'}"
    command(
        [
            "hpo.run",
            "--study=greedy",
            f"--space={ROOT / 'search_spaces' / 'greedy.yaml'}",
            f"--data={data}",
            f"--features={data / 'features'}",
            f"--storage={url}",
            f"--workers={workers}",
            f"--threads={threads}",
            *(f"--set={setting}" for setting in _SETTINGS),
            "--devices=cpu",
            "--no-refit",
        ],
        folder,
    )
    return StoredStudy.join(url, "greedy")


def _span(study: StoredStudy) -> float:
    """Return the seconds from the first trial's start to the last one's end."""
    trials = study.optuna.get_trials(deepcopy=False)
    starts = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete is not None]
    return (max(ends) - min(starts)).total_seconds()


def _store(study: StoredStudy, folder: Path) -> tuple[float, float]:
    """Run a study like this one by a worker in this process; return its store's and all seconds."""
    folder.mkdir()
    raw = study.definition.to_json() | {"threads": 1}
    definition = Definition.from_json(raw)
    # The bundle is there already; the run store must be empty.
    cache = folder / "cache"
    cache.mkdir()
    for name in ("bundles", "features"):
        (cache / name).symlink_to(Path(definition.cache) / name)
    definition = Definition.from_json(raw | {"cache": str(cache)})
    again = StoredStudy.create(f"sqlite:///{folder / 'studies.db'}", "greedy", definition)
    started = time.perf_counter()
    with watched(again) as clock:
        again.open_next()
        Worker(again, WorkerSettings()).run()
    return clock.blocked + clock.beside, time.perf_counter() - started


if __name__ == "__main__":
    main(run, __doc__)
