"""Trials that are not at their end: samplers learn from them, and a suggestion is repeatable."""

import dataclasses
from collections.abc import Mapping

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from test_trials_draw import Witness, searched_by, study_of, trial_of

from hpo.trials import OptunaStudy, Searched, last_scored, redraw, sample_config
from hpo.trials._partial import as_pruned, at_one_step

X = FloatDistribution(0.0, 1.0)


def trial(state: TrialState, steps: Mapping[int, float], value: float | None = None) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value,
        params={"x": 0.5},
        distributions={"x": X},
        intermediate_values=dict(steps),
    )


def running(source: OptunaStudy, searched: Searched, *values: float) -> int:
    """Create a running trial with these scores; return its id."""
    number = len(source.study.trials)
    config, _ = sample_config(source, searched, 50 + number, attempt=0)
    trial_id = source.storage.create_new_trial(source.id, trial_of(searched, config, None))
    for step, value in enumerate(values, start=1):
        source.storage.set_trial_intermediate_value(trial_id, step, value)
    return trial_id


def test_the_last_score_is_the_last_that_is_a_number() -> None:
    nan = float("nan")
    assert last_scored(trial(TrialState.RUNNING, {1: 5.0, 2: 6.0, 3: nan})) == 2
    assert last_scored(trial(TrialState.RUNNING, {1: nan})) is None
    assert last_scored(trial(TrialState.RUNNING, {})) is None


@pytest.mark.parametrize("early", [True, False])
def test_who_is_being_trained_is_learned_from_where_the_study_promotes(early: bool) -> None:
    searched = dataclasses.replace(searched_by(), learns_early=early)
    source = study_of(searched, 1)
    running(source, searched, 60.0, 61.0)
    running(source, searched)
    seen: list[FrozenTrial] = []
    witness = dataclasses.replace(searched, sampler=lambda position, attempt: Witness(seen))
    _, draw = sample_config(source, witness, 9, attempt=0)
    found = [(t.number, t.state, t.value) for t in seen]
    assert found == [
        (0, TrialState.COMPLETE, 50.0),
        *([(1, TrialState.PRUNED, 61.0)] if early else []),
    ]
    assert draw.paused == (((1, 2),) if early else ())
    assert draw.unfinished == (1, 2)


def test_a_suggestion_that_knew_of_running_trials_is_drawn_again() -> None:
    sampler = {"name": "TPESampler", "multivariate": True, "n_startup_trials": 3}
    searched = dataclasses.replace(searched_by(sampler), learns_early=True)
    source = study_of(searched, 5)
    without, _ = sample_config(source, searched, 9, attempt=0)
    ids = [running(source, searched, 99.0, 98.0) for _ in range(4)]
    config, draw = sample_config(source, searched, 9, attempt=0)
    assert config != without
    for trial_id in ids:
        source.storage.set_trial_intermediate_value(trial_id, 3, 1.0)
        source.storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [1.0])
    assert redraw(source, searched, draw) == config


def test_trials_are_compared_at_the_furthest_step_that_enough_have() -> None:
    trials = [
        trial(TrialState.COMPLETE, {2: 50.0, 6: 60.0, 20: 70.0}, 70.0),
        trial(TrialState.PRUNED, {2: 51.0, 6: 61.0}, 61.0),
        as_pruned(trial(TrialState.WAITING, {2: 52.0, 6: float("nan")}), 2),
        trial(TrialState.RUNNING, {}),
        trial(TrialState.FAIL, {2: 99.0}),
    ]

    def values(enough: int) -> list[float | None]:
        found = at_one_step(trials, enough)
        assert {t.state for t in found} == {TrialState.COMPLETE, TrialState.RUNNING}
        assert found[-1] is trials[3]
        return [t.value for t in found[:-1]]

    assert values(1) == [70.0]
    assert values(2) == [60.0, 61.0]
    assert values(3) == [50.0, 51.0, 52.0]
    assert values(4) == [50.0, 51.0, 52.0]  # the step that most have
    assert trials[1].state is TrialState.PRUNED  # nothing was changed
    assert at_one_step(trials[3:4], 2) == trials[3:4]


class CompleteOnly(RandomSampler):
    """Notes the complete trials, which are all that Optuna's GP looks at."""

    def __init__(self, seen: list[float | None]) -> None:
        super().__init__(seed=0)
        self._seen = seen

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, optuna.distributions.BaseDistribution]:
        found = study.get_trials(states=(TrialState.COMPLETE,))
        self._seen += [trial.value for trial in found]
        return {}


def test_a_gaussian_process_learns_from_rungs() -> None:
    searched = dataclasses.replace(searched_by(), learns_early=True, one_step=3)
    source = study_of(searched, 0)
    for values in ((40.0, 60.0), (41.0,), (42.0, 50.0)):
        running(source, searched, *values)
    seen: list[float | None] = []
    witness = dataclasses.replace(searched, sampler=lambda position, attempt: CompleteOnly(seen))
    sample_config(source, witness, 9, attempt=0)
    assert seen == [40.0, 41.0, 42.0]


def test_the_gp_sampler_uses_them_and_is_drawn_again() -> None:
    sampler = {"name": "GPSampler", "n_startup_trials": 3}
    searched = dataclasses.replace(searched_by(sampler), learns_early=True, one_step=3)
    source = study_of(searched, 0)
    blank, _ = sample_config(source, searched, 9, attempt=0)
    for value in (40.0, 60.0, 50.0, 45.0):
        running(source, searched, value)
    config, draw = sample_config(source, searched, 9, attempt=0)
    assert config != blank
    running(source, searched, 99.0)
    assert redraw(source, searched, draw) == config
