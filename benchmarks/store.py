"""The store's share of the time at epochs of a millisecond, in studies of several sizes.

A worker as it is trains configurations whose epochs are a millisecond of processor time; what it
waits for the store, and what its other thread computes for it, is added up and compared with the
epochs. The studies are filled with finished trials directly. Beside it, what Optuna's own
``report`` and ``should_prune`` after every epoch take on the same study.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np
import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from benchmarks._clock import watched
from benchmarks._filled import fill
from benchmarks._result import Result, main
from benchmarks._servers import postgres, sqlite
from benchmarks._studies import write_space
from hpo.models import Config
from hpo.queue import open_storage
from hpo.search import Decision, Progress, Space, TaskState, TrialOutcome, Verdict, load_space
from hpo.study import Definition, StoredStudy
from hpo.trials import open_study
from hpo.worker import Worker, WorkerSettings, _assignment

__all__ = ["run"]

T = TypeVar("T")

_SIZES = (10, 1_000, 5_000)
#: The paper's length.
_EPOCHS = 300
_EPOCH_S = 0.001
#: Trials that are timed together.
_BLOCK = 5
_OPTUNA_STEPS = 20
_SPACE: dict[str, Any] = {
    "name": "store",
    "metric": "micro_f1",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 10},
    "fixed": {"epochs": _EPOCHS},
    "search": {
        "kind": "optuna",
        "trials": 100_000,
        "sampler": {"name": "RandomSampler"},
        "pruner": {"name": "SuccessiveHalvingPruner", "min_resource": 20, "reduction_factor": 3},
        "params": {"lr": {"low": 1.0e-4, "high": 1.0e-1, "log": True}},
    },
}


def run(arguments: argparse.Namespace) -> list[Result]:
    """Measure both stores."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for store, urls in (("SQLite", sqlite(folder)), ("PostgreSQL", postgres())):
            with urls as new_url:
                results += _one_store(store, new_url, folder, arguments.rounds)
    return results


def _one_store(store: str, new_url: Callable[[], str], folder: Path, rounds: int) -> list[Result]:
    results = []
    costs = []
    for size in _SIZES:
        study = _study(new_url(), folder)
        fill(open_study(open_storage(study.url), study.name), size, _EPOCHS)
        optuna_step = _optuna_step(study)
        cost, waited = _cost(study, rounds)
        costs.append(cost)
        for seeds, per_seeds in ((1, "1 seed"), (3, "3 seeds")):
            epochs = seeds * _EPOCHS * _EPOCH_S
            results.append(
                Result(
                    f"store: {store}, {size:,} trials, share of the time, {per_seeds}",
                    cost / (cost + epochs),
                    cost,
                    cost + epochs,
                    "s/trial",
                    f"the whole of a trial of {_EPOCHS} epochs of 1 ms",
                    0.10,
                    "at most",
                    note=f"training waits {1000 * waited:.0f} ms of it; the rest runs beside it",
                )
            )
        results.append(
            Result(
                f"store: {store}, {size:,} trials, an epoch's report",
                optuna_step / (cost / _EPOCHS),
                1000 * cost / _EPOCHS,
                1000 * optuna_step,
                "ms/epoch",
                "Optuna's report() and should_prune() after every epoch",
                note="ours with claim, outcome and everything else that a trial stores",
            )
        )
    results.append(
        Result(
            f"store: {store}, growth from {_SIZES[0]} to {_SIZES[-1]:,} trials",
            costs[-1] / costs[0],
            1000 * costs[-1],
            1000 * costs[0],
            "ms/trial",
            "the smallest study",
            1.2,
            "at most",
        )
    )
    return results


class _Bench:
    """A place to train where there is nothing to train with."""

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        yield

    @property
    def device(self) -> "_Bench":
        return self

    def costs(self, config: Config) -> dict[str, float]:
        """There is no model whose size could be told."""
        return {}

    def carry_out(self, job: Callable[[Any], T]) -> T:
        return job(SimpleNamespace(epochs_trained=0))  # all that is asked of a trainer

    def tidy(self, waiting: Callable[[], Any]) -> None:
        """There is no run store."""


def _pretend(
    trainer: Any,
    space: Space,
    config: Config,
    *,
    on_step: Callable[[Progress], Verdict],
) -> TrialOutcome:
    """Do as if a configuration were trained, by epochs of a millisecond of nothing."""
    pruned, step = None, 0
    while step < _EPOCHS and pruned is None:
        step += 1
        _compute(_EPOCH_S)
        verdict = on_step(Progress(step, _EPOCHS, 100.0))
        if verdict.decision is Decision.PRUNE:
            pruned = verdict.reason
    metrics = {"micro_f1": 50.0}
    return TrialOutcome(50.0, 0.0, (50.0,), metrics, step, step, (("a" * 20,),), pruned)


def _compute(seconds: float) -> None:
    """Take so much processor time, giving Python's lock back as training does."""
    a = np.ones((128, 128), dtype=np.float32)
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        a @ a


def _cost(study: StoredStudy, blocks: int) -> tuple[float, float]:
    """Return what a trial costs in the store, in seconds, and how much of it the training waits."""
    costs, waits = [], []
    # The first trials open connections and read the study.
    for index in range(blocks + 1):
        finished = study.counts()[TaskState.DONE]
        study.ledger.limit(study.name, None, finished + _BLOCK)
        study.open_next()
        with watched(study) as clock, patch.object(_assignment, "run_trial", _pretend):
            worker = Worker(study, WorkerSettings())
            worker._bench = _Bench()  # type: ignore[assignment]
            worker.run()
        if study.counts()[TaskState.DONE] != finished + _BLOCK:
            raise RuntimeError("The worker didn't finish the trials that were to be timed.")
        if index:
            costs.append((clock.blocked + clock.beside) / _BLOCK)
            waits.append(clock.blocked / _BLOCK)
    return median(costs), median(waits)


def _optuna_step(study: StoredStudy) -> float:
    """Return the seconds that Optuna's own reporting takes for a step, on its own storage."""
    storage = RDBStorage(study.url)
    plain = optuna.load_study(study_name=study.name, storage=storage, pruner=study.optuna.pruner)
    trial = plain.ask()
    taken = []
    for step in range(1, _OPTUNA_STEPS + 1):
        started = time.perf_counter()
        trial.report(100.0, step)
        trial.should_prune()
        taken.append(time.perf_counter() - started)
    plain.tell(trial, state=TrialState.FAIL)
    storage.engine.dispose()
    return median(taken)


def _study(url: str, folder: Path) -> StoredStudy:
    space = load_space(write_space(folder / "store.yaml", _SPACE), [])
    definition = Definition(
        space=space,
        cache=str(folder),
        bundle_key="none",
        modalities=("image", "text"),
        train_rows=25_000,
        threads=1,
        checkpoint_every=50,
        dataset={},
    )
    return StoredStudy.create(url, "store", definition)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main(run, __doc__)
