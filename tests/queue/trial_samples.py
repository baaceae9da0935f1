"""Tasks and their trials as processes deal with them, for the tests of both."""

import dataclasses
import itertools

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial
from queue_samples import GRACE, config

from hpo.models import Config
from hpo.queue import Ledger, Trials, open_ledger, open_storage, open_trials
from hpo.search import NewTask, Task
from hpo.trials import SEAL, LiveTrial, OptunaStudy, Searched, open_study

DOMAINS: dict[str, BaseDistribution] = {
    "loss": CategoricalDistribution(["bce", "focal"]),
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "epochs": IntDistribution(1, 300),
}
SHOWN = {
    "std": 0.5,
    "scores": [1.5, 2.5],
    "metrics": {"micro_f1": 2.0},
    "runs": [["a", "b"], ["c", "d"]],
    "epochs_trained": 8,
}
TAKEN_OVER = r"Task \d+ of the study was taken over\."

NUMBERS = itertools.count()


def sampler(position: int, attempt: int) -> BaseSampler:
    return TPESampler(n_startup_trials=3, seed=100 * position + attempt)


SEARCHED = Searched(
    domains=lambda values: DOMAINS,
    shown=lambda config: {name: getattr(config, name) for name in DOMAINS},
    to_config=Config.model_validate,
    sampler=sampler,
)


class Process:
    """What a process that works on a study has open.

    Args:
        url: The store.
        name: The study.
        before: One whose connections it has, to save the time of opening them.
    """

    def __init__(self, url: str, name: str, before: "Process | None" = None) -> None:
        self.name = name
        self.ledger: Ledger = open_ledger(url) if before is None else before.ledger
        self.ledger.define(name, {})
        pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
        storage = open_storage(url) if before is None else before.source.backend
        self.source: OptunaStudy = open_study(storage, name, pruner)
        self.source.hold(None)  # what the one before held went with it
        self.trials: Trials = open_trials(self.source, self.ledger, SEARCHED)

    def close(self) -> None:
        self.ledger.close()
        engine = getattr(self.source.backend, "engine", None)
        if engine is not None:
            engine.dispose()

    def open(self, *numbers: int) -> None:
        """Open a task for each number, which is its position and stands for its configuration."""
        self.ledger.open_tasks(self.name, [NewTask(i, 0, config(i), ()) for i in numbers])

    def claim(self, owner: str = "a", grace: float = GRACE) -> Task:
        task = self.ledger.claim(self.name, owner, grace)
        assert task is not None
        return task

    def begin(self, task: Task) -> LiveTrial:
        trial = self.trials.begin(task, {"stage": "loss"})
        assert trial is not None
        return trial

    def started(self) -> tuple[Task, LiveTrial]:
        """A claimed task and its trial."""
        self.open(0)
        task = self.claim()
        return task, self.begin(task)

    def stored(self) -> list[FrozenTrial]:
        """The trials as they are in the storage, with nothing left out."""
        storage = self.source.storage
        trials = storage.get_all_trials(self.source.id)
        return [
            storage.get_trial(
                storage.get_trial_id_from_study_id_trial_number(self.source.id, trial.number)
            )
            for trial in trials
        ]

    def tasks(self) -> list[Task]:
        return self.ledger.tasks(self.name)


def noted(trial: FrozenTrial) -> dict[str, object]:
    """Its system attributes, but for the checksum, which is of one way to write trials alone."""
    return {key: value for key, value in trial.system_attrs.items() if key != SEAL}


def content(trial: FrozenTrial) -> dict[str, object]:
    """What a trial holds, but for what makes it another one than its neighbour."""
    return {
        **{name: getattr(trial, name) for name in ("state", "values", "params", "distributions")},
        "user_attrs": trial.user_attrs,
        "system_attrs": noted(trial),
        "curve": {step: repr(value) for step, value in trial.intermediate_values.items()},
    }


def drawn(task: Task, number: int, key: bool = True) -> Task:
    chosen = config(number)
    return dataclasses.replace(task, key=chosen.key if key else None, config=chosen, runs=("run",))
