"""Constraints and second objectives of trials, on every store, as Optuna's own calls leave them."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import NSGAIISampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from queue_samples import GRACE, OUTCOME, config

from hpo.models import Config
from hpo.queue import Ledger, Trials, open_ledger, open_storage, open_trials
from hpo.search import NewTask, Task, TrialOutcome
from hpo.trials import LiveTrial, OptunaStudy, Searched, open_study

DOMAINS: dict[str, BaseDistribution] = {"lr": FloatDistribution(1e-4, 1e-1, log=True)}
LIMITS = {"model_mb": 2.0, "latency_ms": 0.5}
_numbers = itertools.count()


class Opened:
    """A study with limits, of one or two objectives."""

    def __init__(self, url: str, against: str | None) -> None:
        self.name = f"o{next(_numbers)}"
        self.ledger: Ledger = open_ledger(url)
        self.ledger.define(self.name, {})
        self.source: OptunaStudy = open_study(
            open_storage(url), self.name, two_objectives=against is not None
        )
        searched = Searched(
            domains=lambda values: DOMAINS,
            shown=lambda config: {"lr": config.lr},
            to_config=Config.model_validate,
            sampler=lambda position, attempt: NSGAIISampler(population_size=2, seed=position),
            limits=LIMITS,
            against=against,
        )
        self.trials: Trials = open_trials(self.source, self.ledger, searched)
        self.position = 0

    def begin(self, **costs: float) -> tuple[Task, LiveTrial]:
        self.ledger.open_tasks(self.name, [NewTask(self.position, 0, config(self.position))])
        self.position += 1
        task = self.ledger.claim(self.name, "a", GRACE)
        assert task is not None
        trial = self.trials.begin(task, costs)
        assert trial is not None
        return task, trial

    def stored(self) -> list[FrozenTrial]:
        self.trials.leave()
        return self.source.storage.get_all_trials(self.source.id)

    def close(self) -> None:
        self.ledger.close()
        engine = getattr(self.source.backend, "engine", None)
        if engine is not None:
            engine.dispose()


@pytest.fixture(params=[None, "model_mb", "latency_ms"], ids=["one", "size", "latency"])
def here(either_store: tuple[str, str, bool], request: pytest.FixtureRequest) -> Iterator[Opened]:
    opened = Opened(either_store[0], request.param)
    yield opened
    opened.close()


def outcome_of(**costs: float) -> TrialOutcome:
    return dataclasses.replace(OUTCOME, **costs)


def test_values_and_constraints_are_optuna_s_own(here: Opened) -> None:
    costs = {"model_mb": 1.5, "latency_ms": 0.75}
    task, trial = here.begin(**costs)
    assert trial.frozen.constraints == {"model_mb": -0.5, "latency_ms": 0.25}
    against = here.trials._searched.against  # type: ignore[attr-defined]
    here.trials.complete(task, trial, outcome_of(**costs), [(1, 2.0)])
    values = [2.0] if against is None else [2.0, costs[against]]
    # the same by what Optuna gives its users
    theirs = here.source.study.ask()
    theirs.suggest_float("lr", 1e-4, 1e-1, log=True)
    theirs.set_constraint("model_mb", -0.5)
    theirs.set_constraint("latency_ms", 0.25)
    here.source.study.tell(theirs, values)
    mine, other = here.stored()
    assert (mine.state, mine.values) == (TrialState.COMPLETE, values)
    assert (other.state, other.values) == (TrialState.COMPLETE, values)
    assert mine.constraints == other.constraints == {"model_mb": -0.5, "latency_ms": 0.25}
    assert {key: mine.user_attrs[key] for key in costs} == costs
    directions = [direction.name for direction in here.source.study.directions]
    assert directions == ["MAXIMIZE", "MINIMIZE"][: len(values)]


def test_what_broke_a_constraint_is_pruned_without_a_value(here: Opened) -> None:
    task, trial = here.begin(model_mb=3.0, latency_ms=0.1)
    broken = dataclasses.replace(TrialOutcome.untrained("too large"), model_mb=3.0, latency_ms=0.1)
    for _ in range(2):  # an answer may be lost
        here.trials.complete(task, trial, broken, [])
    task, trial = here.begin(model_mb=1.0, latency_ms=0.1)
    here.trials.complete(task, trial, outcome_of(model_mb=1.0, latency_ms=0.1), [])
    first, second = here.stored()
    assert (first.state, first.values) == (TrialState.PRUNED, None)
    assert first.constraints == {"model_mb": 1.0, "latency_ms": -0.4}
    assert first.user_attrs["pruned"] == "too large"
    assert second.state is TrialState.COMPLETE
    study = here.source.study
    assert [t.number for t in study.best_trials] == [1]
    done = here.ledger.tasks(here.name)[0].outcome
    assert done is not None and math.isnan(done.value)
    assert dataclasses.replace(done, value=0.0) == dataclasses.replace(broken, value=0.0)


def test_what_is_not_known_is_no_constraint(here: Opened) -> None:
    _, trial = here.begin(model_mb=1.0)
    assert trial.frozen.constraints == {"model_mb": -1.0}


def test_a_trial_that_is_lost_is_made_again_with_both(here: Opened) -> None:
    task, trial = here.begin(model_mb=1.0, latency_ms=0.25)
    here.ledger.complete(here.name, task, outcome_of(model_mb=1.0, latency_ms=0.25))
    here.source.storage.set_trial_state_values(trial.id, TrialState.FAIL)
    here.trials.leave()
    here.trials.reconcile()
    _, made = here.stored()
    assert (made.state, made.values and made.values[0]) == (TrialState.COMPLETE, 2.0)
    assert made.constraints == {"model_mb": -1.0, "latency_ms": -0.25}
    assert len(made.values) == len(here.source.study.directions)


def test_what_a_genetic_sampler_notes_stays_with_the_trial(here: Opened) -> None:
    for _ in range(5):
        here.ledger.open_tasks(here.name, [NewTask(here.position, 0)])
        task = here.ledger.claim(here.name, "a", GRACE)
        assert task is not None
        drawn, draw = here.trials.draw(here.position, 0)
        here.position += 1
        whole = dataclasses.replace(task, config=drawn, key=drawn.key)
        trial = here.trials.begin(whole, {"model_mb": 1.0, "latency_ms": 0.1}, draw)
        assert trial is not None
        here.trials.complete(whole, trial, outcome_of(model_mb=1.0, latency_ms=0.1), [])
    noted = [trial.system_attrs["NSGAIISampler:generation"] for trial in here.stored()]
    assert noted == [0, 0, 1, 1, 2]


def test_two_values_read_as_optuna_reads_them(either_store: tuple[str, str, bool]) -> None:
    storage = open_storage(either_store[1])
    assert isinstance(storage, RDBStorage)
    study = optuna.create_study(storage=storage, directions=["maximize", "minimize"])
    study.add_trial(optuna.trial.create_trial(values=[2.0, math.inf]))
    study.add_trial(optuna.trial.create_trial(values=[-math.inf, 1.0]))
    everything = (study._study_id, None, set[int](), -1)
    read = storage._get_trials(*everything)
    assert [trial.values for trial in read] == [[2.0, math.inf], [-math.inf, 1.0]]
    assert read == RDBStorage._get_trials(storage, *everything)
    storage.engine.dispose()
