"""A trial that is held in memory is judged as Optuna's own loop would judge it."""

import copy
import random
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from hpo.search import Component, decision_steps, make_pruner
from hpo.trials import open_study, should_prune

STEPS = 60


def component(name: str, **arguments: Any) -> Component:
    return Component.model_validate({"name": name, **arguments})


PRUNERS = [
    component("SuccessiveHalvingPruner"),
    component("SuccessiveHalvingPruner", min_resource=5, reduction_factor=3),
    component("SuccessiveHalvingPruner", min_resource=2, min_early_stopping_rate=1),
    component("SuccessiveHalvingPruner", min_resource="auto", reduction_factor=2),
    component("HyperbandPruner"),
    component("HyperbandPruner", min_resource=4, reduction_factor=2),
    component("MedianPruner", n_startup_trials=3),
    component("MedianPruner", n_startup_trials=3, n_warmup_steps=7, interval_steps=10),
    component("MedianPruner", n_startup_trials=3, n_warmup_steps=20, interval_steps=10),
    component("PercentilePruner", percentile=60.0, n_startup_trials=2, interval_steps=9),
    component("ThresholdPruner", lower=30.0, n_warmup_steps=4, interval_steps=6),
    component("PatientPruner", patience=3, wrapped={"name": "MedianPruner"}),
]


def curves(seed: int) -> list[list[float]]:
    """Random curves of 30 trials."""
    rng = random.Random(seed)
    found = []
    for _ in range(30):
        quality = rng.uniform(0, 50)
        found.append([quality + step * rng.uniform(0, 1) for step in range(1, STEPS + 1)])
    return found


def pruned_at(pruner: Component, seed: int) -> list[int | None]:
    """Report every step to Optuna; return the step at which each trial is pruned."""
    # Hyperband's brackets follow from the name.
    study = open_study(InMemoryStorage(), "s", make_pruner(pruner, STEPS)).study
    found: list[int | None] = []
    for curve in curves(seed):
        trial = study.ask()
        end = None
        for step, value in enumerate(curve, start=1):
            trial.report(value, step)
            if step < STEPS and trial.should_prune():
                end = step
                break
        state = TrialState.COMPLETE if end is None else TrialState.PRUNED
        study.tell(trial, curve[-1] if end is None else None, state=state)
        found.append(end)
    return found


def pruned_from_memory_at(pruner: Component, seed: int) -> list[int | None]:
    """What ``pruned_at`` returns, with trials held in memory and written after each decision."""
    source = open_study(InMemoryStorage(), "s", make_pruner(pruner, STEPS))
    storage, asked = source.storage, decision_steps(pruner)
    found: list[int | None] = []
    for number, curve in enumerate(curves(seed)):
        trial_id = storage.create_new_trial(source.id)
        trial = copy.deepcopy(storage.get_trial(trial_id))
        end, written = None, 0
        for step, value in enumerate(curve, start=1):
            trial.intermediate_values[step] = value
            if step < STEPS and asked(step):
                pruned, noted = should_prune(source, trial)
                assert len(storage.get_trial(trial_id).intermediate_values) == written
                for there, known in list(trial.intermediate_values.items())[written:]:
                    storage.set_trial_intermediate_value(trial_id, there, known)
                for key, note in noted.items():
                    storage.set_trial_system_attr(trial_id, key, note)
                trial.system_attrs.update(noted)
                written = step
                if pruned:
                    end = step
                    break
        state = TrialState.COMPLETE if end is None else TrialState.PRUNED
        source.study.tell(number, curve[-1] if end is None else None, state=state)
        found.append(end)
    return found


@pytest.mark.parametrize("pruner", PRUNERS, ids=str)
def test_a_trial_in_memory_is_pruned_where_optuna_s_own_loop_prunes_it(pruner: Component) -> None:
    found = pruned_at(pruner, seed=1)
    assert pruned_from_memory_at(pruner, seed=1) == found
    assert any(step is not None for step in found)


def test_a_decision_leaves_trial_and_storage_as_they_were() -> None:
    pruner = component("SuccessiveHalvingPruner", min_resource=1, reduction_factor=2)
    source = open_study(InMemoryStorage(), "s", make_pruner(pruner, STEPS))
    for value in (1.0, 2.0, 3.0):
        other = source.study.ask()
        other.report(value, 1)
        other.should_prune()
    trial_id = source.storage.create_new_trial(source.id)
    trial = copy.deepcopy(source.storage.get_trial(trial_id))
    trial.intermediate_values[1] = 1.5
    assert should_prune(source, trial) == (True, {"completed_rung_0": 1.5})
    assert trial.system_attrs == {}
    stored = source.storage.get_trial(trial_id)
    assert (stored.system_attrs, stored.intermediate_values) == ({}, {})
