"""What each private part of Optuna that the package uses saves of a study's time.

One process goes through trials as a worker does: it claims, draws, begins, notes 300 epochs of
which it trains none, writes what it has with every decision and every heartbeat, and completes.
The time that this takes is all the store's; how much of a study it is follows from what an epoch
takes. It is measured with all private parts, without the one that reads, and with public calls
alone; then, beside it, Optuna's own ask, report, should_prune (at the same steps) and tell.
"""

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from benchmarks._filled import LR, add_running, fill
from benchmarks._result import Result, main
from benchmarks._servers import postgres, sqlite
from hpo.models import Config
from hpo.queue import Ledger, open_ledger, open_storage
from hpo.queue._atomic import AtomicTrials
from hpo.queue._public import PublicTrials
from hpo.search import NewTask, Progress, TrialOutcome
from hpo.trials import OptunaStudy, Searched, check_url, engine_arguments, open_study, tune

__all__ = ["run"]

_EPOCHS = 300
_RUNGS = (20, 60, 180)
_EPOCH_MS = (1, 10, 1000)
_HEARTBEAT_S = 2.0
#: Finished trials, and other workers. While one trial is timed, each of them is in the midst of one
#: and has ended another since the last one.
_STUDIES = ((10, 0), (1000, 7))
_RUNNING_STEPS = 150
#: Trials that are timed in turn.
_BLOCK = 2
_NAME = "room"

Way = Callable[[OptunaStudy, Ledger, int], None]


def run(arguments: argparse.Namespace) -> list[Result]:
    """Measure both stores."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        for store, urls in (("SQLite", sqlite(Path(name))), ("PostgreSQL", postgres())):
            with urls as new_url:
                for trials, others in _STUDIES:
                    results += _one_study(store, new_url, trials, others, arguments.rounds)
    return results


def _one_study(
    store: str, new_url: Callable[[], str], trials: int, others: int, rounds: int
) -> list[Result]:
    sides: dict[str, tuple[Callable[[str], BaseStorage], Way]] = {
        "all": (open_storage, _work_atomic),
        "its reading": (_plain_storage, _work_atomic),
        "its writing and reading": (_plain_storage, _work_public),
        "all of it, by ask, report and tell": (_plain_storage, _work_plainly),
    }
    studies = {}
    for side, (open_it, way) in sides.items():
        url = new_url()
        ledger = open_ledger(url)
        ledger.define(_NAME, {})
        pruner = SuccessiveHalvingPruner(min_resource=_RUNGS[0], reduction_factor=3)
        source = open_study(open_it(url), _NAME, pruner)
        fill(source, trials, _EPOCHS)
        ledger.open_tasks(_NAME, [NewTask(trials + i, 0) for i in range(10_000)])
        studies[side] = (source, ledger, way)
    results = []
    for epoch_ms in _EPOCH_MS:
        every = max(1, round(1000 * _HEARTBEAT_S / epoch_ms))
        taken: dict[str, list[float]] = {side: [] for side in sides}
        for index in range(rounds + 1):
            for side, (source, ledger, way) in studies.items():
                for _ in range(_BLOCK):
                    add_running(source, others, _RUNNING_STEPS)
                    started = time.perf_counter()
                    way(source, ledger, every)
                    if index:  # the first ones open connections and read the study
                        taken[side].append(time.perf_counter() - started)
        costs = {side: median(times) for side, times in taken.items()}
        results += _saved(f"{store}, {trials:,} trials, {others + 1} workers", epoch_ms, costs)
    for _, ledger, _ in studies.values():
        ledger.close()
    return results


def _saved(place: str, epoch_ms: int, costs: Mapping[str, float]) -> list[Result]:
    epochs = _EPOCHS * epoch_ms / 1000
    return [
        Result(
            f"optuna room: {place}, {epoch_ms:,} ms an epoch, without {side}",
            (cost - costs["all"]) / (cost + epochs),
            1000 * costs["all"],
            1000 * cost,
            "ms/trial",
            f"the store's time without {side}; the ratio is the share of a study that it saves",
        )
        for side, cost in costs.items()
        if side != "all"
    ]


def _plain_storage(url: str) -> RDBStorage:
    """Open Optuna's storage as the package does, but for the class."""
    parsed = check_url(url)
    storage = RDBStorage(
        parsed.render_as_string(hide_password=False), engine_kwargs=engine_arguments(parsed)
    )
    tune(storage.engine)
    return storage


def _sampler(position: int, attempt: int) -> BaseSampler:
    return TPESampler(seed=position + attempt)


_SEARCHED = Searched(
    domains=lambda values: {"lr": LR},
    shown=lambda config: {"lr": config.lr},
    to_config=lambda values: Config(epochs=_EPOCHS, **values),
    sampler=_sampler,
)


def _work_atomic(source: OptunaStudy, ledger: Ledger, every: int) -> None:
    _work(AtomicTrials(source, ledger, _SEARCHED), ledger, every)


def _work_public(source: OptunaStudy, ledger: Ledger, every: int) -> None:
    _work(PublicTrials(source, ledger, _SEARCHED), ledger, every)


def _work(trials: AtomicTrials | PublicTrials, ledger: Ledger, every: int) -> None:
    """Go through a trial as a worker does."""
    task = ledger.claim(_NAME, "me", 60.0)
    assert task is not None
    config, draw = trials.draw(task.position, 0)
    task = dataclasses.replace(task, config=config, key=config.key, runs=(config.key,))
    trial = trials.begin(task, {}, draw)
    assert trial is not None
    values: list[tuple[int, float]] = []
    for step in range(1, _EPOCHS + 1):
        trial.note(step, 50.0)
        values.append((step, 50.0))
        if step in _RUNGS:
            _, noted = trials.should_prune(trial)
            trials.append(trial, values, noted)
            trial.remember(noted)
            values = []
        if step % every == 0:
            ledger.heartbeat(_NAME, task, Progress(step, _EPOCHS, 50.0, trial.number))
            trials.append(trial, values, {})
            ledger.study(_NAME)
            values = []
    outcome = TrialOutcome(50.0, 0.0, (50.0,), {}, _EPOCHS, _EPOCHS, (("a" * 20,),), None)
    trials.complete(task, trial, outcome, values)
    trials.leave()


def _work_plainly(source: OptunaStudy, ledger: Ledger, every: int) -> None:
    """Go through a trial as Optuna's tutorial does; with the ledger's part as well."""
    task = ledger.claim(_NAME, "me", 60.0)
    assert task is not None
    study = source.study
    study.sampler = _sampler(task.position, 0)
    trial: Any = study.ask({"lr": LR})
    for step in range(1, _EPOCHS + 1):
        trial.report(50.0, step)
        if step in _RUNGS:
            trial.should_prune()
        if step % every == 0:
            ledger.heartbeat(_NAME, task, Progress(step, _EPOCHS, 50.0, trial.number))
            ledger.study(_NAME)
    outcome = TrialOutcome(50.0, 0.0, (50.0,), {}, _EPOCHS, _EPOCHS, (("a" * 20,),), None)
    ledger.complete(_NAME, task, outcome)
    study.tell(trial, 50.0, state=TrialState.COMPLETE)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main(run, __doc__)
