"""When a pruner is asked, and when a run is given up as diverged."""

import math
import random
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.search import Component, Divergence, DivergenceRule, decision_steps, make_pruner
from hpo.search._registry import PRUNERS

STEPS = 60


def component(name: str, **arguments: Any) -> Component:
    return Component.model_validate({"name": name, **arguments})


def pruned_at(pruner: Component, asked: Any, seed: int) -> list[int | None]:
    """Run 30 trials with random curves; return the step at which each is pruned.

    Args:
        pruner: What to ask.
        asked: Tells at which steps it is asked.
        seed: Of the curves, which are the same for equal seeds.
    """
    rng = random.Random(seed)
    # Hyperband's brackets follow from the name.
    study = optuna.create_study(
        study_name="s", direction="maximize", pruner=make_pruner(pruner, STEPS)
    )
    found: list[int | None] = []
    for _ in range(30):
        quality = rng.uniform(0, 50)
        curve = [quality + step * rng.uniform(0, 1) for step in range(1, STEPS + 1)]
        trial = study.ask()
        end = None
        for step, value in enumerate(curve, start=1):
            trial.report(value, step)
            if step < STEPS and asked(step) and trial.should_prune():
                end = step
                break
        state = TrialState.COMPLETE if end is None else TrialState.PRUNED
        study.tell(trial, curve[(end or STEPS) - 1] if end is None else None, state=state)
        found.append(end)
    return found


PRUNERS_TO_COMPARE = [
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


@pytest.mark.parametrize("pruner", PRUNERS_TO_COMPARE, ids=str)
def test_asking_at_decision_steps_alone_changes_nothing(pruner: Component) -> None:
    everywhere = pruned_at(pruner, lambda step: True, seed=1)
    assert pruned_at(pruner, decision_steps(pruner), seed=1) == everywhere
    assert any(step is not None for step in everywhere)


@pytest.mark.parametrize(
    ("pruner", "steps"),
    [
        (component("NopPruner"), []),
        (component("SuccessiveHalvingPruner", min_resource=20, reduction_factor=3), [20, 60, 180]),
        (component("SuccessiveHalvingPruner", min_resource=2), [2, 8, 32, 128]),
        (component("HyperbandPruner", min_resource=10), [10, 30, 90]),
        (component("MedianPruner", n_warmup_steps=50, interval_steps=60), [50, 110, 170]),
        (component("MedianPruner", interval_steps=60), [1, 60, 120, 180]),
    ],
    ids=str,
)
def test_steps_at_which_the_store_is_asked(pruner: Component, steps: list[int]) -> None:
    decides = decision_steps(pruner)
    assert [step for step in range(1, 200) if decides(step)] == steps


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_can_be_made(name: str) -> None:
    arguments: dict[str, Any] = {
        "PercentilePruner": {"percentile": 25.0},
        "PatientPruner": {"patience": 3, "wrapped": {"name": "MedianPruner"}},
        "ThresholdPruner": {"lower": 0.0},
    }.get(name, {})
    pruner = make_pruner(component(name, **arguments), 300)
    assert type(pruner) is PRUNERS[name]


def test_hyperband_s_longest_trial_is_the_space_s() -> None:
    study = optuna.create_study(direction="maximize")
    trial: FrozenTrial = create_trial(state=TrialState.COMPLETE, value=1.0)
    for given, brackets in (({}, 6), ({"max_resource": 9}, 3)):
        pruner = make_pruner(component("HyperbandPruner", **given), 300)
        pruner.prune(study, trial)
        assert pruner._n_brackets == brackets  # type: ignore[attr-defined]


def reasons(rule: DivergenceRule, records: list[tuple[float, float]]) -> list[str | None]:
    watch = Divergence(rule, constant_score=59.163)
    return [watch.update(loss, score) for loss, score in records]


RULE = DivergenceRule(explode=10.0, patience=3)


def test_a_run_that_learns_is_left_alone() -> None:
    assert reasons(RULE, [(1.0, 50.0 + step) for step in range(9)]) == [None] * 9


def test_an_exploded_loss_must_last() -> None:
    records = [(1.0, 70.0), (11.0, 70.0), (12.0, 70.0), (9.0, 70.0)]
    assert reasons(RULE, records * 3) == [None] * 12
    found = reasons(RULE, [(2.0, 70.0), (20.0, 70.0), *[(20.5, 70.0)] * 3])
    assert found == [None] * 4 + [
        "the training loss was over 10 times that of the first epoch for 3 epochs"
    ]


@pytest.mark.parametrize("score", [59.163, 59.2, 59.12, 0.0, 0.04])
def test_a_run_stuck_at_a_constant_prediction_is_given_up(score: float) -> None:
    found = reasons(RULE, [(1.0, 60.0), *[(1.0, score)] * 2, (1.0, 65.0), *[(1.0, score)] * 3])
    assert found == [None] * 6 + [
        f"the micro-F1 was that of a constant prediction, {score:.3f}, for 3 epochs"
    ]


@pytest.mark.parametrize("score", [59.1, 59.3, 0.1])
def test_near_is_within_the_tolerance(score: float) -> None:
    assert reasons(RULE, [(1.0, score)] * 9) == [None] * 9


def test_a_loss_that_is_no_number_is_left_to_the_training() -> None:
    assert reasons(RULE, [(math.nan, 70.0)] * 9) == [None] * 9
