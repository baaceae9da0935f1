"""What Optuna's samplers and pruners say of a trial that the storage doesn't know yet, or not all.

A configuration has to be known before its trial is created, so that two workers that draw the same
one find out first. And a trial is judged by values that aren't written yet. So the algorithms are
asked directly, by the public methods that Optuna's ``Trial.suggest_*`` and ``should_prune`` call,
about a trial that this process holds. Nothing here uses a private name of Optuna.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.trial import FrozenTrial, TrialState

from hpo.models import Config
from hpo.trials._learned import as_learned_from
from hpo.trials._partial import as_pruned, at_one_step, last_scored
from hpo.trials._study import OptunaStudy
from hpo.trials._view import StorageView

__all__ = ["Draw", "Searched", "redraw", "sample_config", "should_prune"]

#: Of a trial that isn't in the storage.
_NO_ID = -1
_NO_NUMBER = -1


@dataclasses.dataclass(frozen=True)
class Searched:
    """What a study searches over, as Optuna has to know it.

    Attributes:
        domains: Given the values drawn so far, the distributions of the parameters that are
            searched, in a fixed order: the same ones always, or more once a value that others
            depend on is known. Given all parameters of a trial, at least theirs.
        shown: The parameters that a trial of a configuration shows, by name, as Optuna stores
            them: text, number, bool or None.
        to_config: Makes a configuration of drawn values. Only asked where something is drawn.
        sampler: Makes the sampler of one suggestion, for a position and an attempt, which its seed
            must follow from. Only asked where something is drawn.
        learns_early: Whether samplers learn from running trials, by their last score.
        one_step: Where samplers are to compare trials by their scores at one step, how many of
            them are enough; None for their values.
        limits: What trials have to keep within, by the user attribute that it is about.
        against: The attribute of an outcome that is the second objective; None for one objective.
    """

    domains: Callable[[Mapping[str, Any]], Mapping[str, BaseDistribution]]
    shown: Callable[[Config], Mapping[str, Any]]
    to_config: Callable[[Mapping[str, Any]], Config]
    sampler: Callable[[int, int], BaseSampler]
    learns_early: bool = False
    one_step: int | None = None
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    against: str | None = None


@dataclasses.dataclass(frozen=True)
class Draw:
    """What a suggestion followed from; with it, ``redraw`` gets the same one again.

    Attributes:
        position: Place of the task in the study; a part of the seed.
        attempt: How many earlier draws were repeats of other trials.
        trials: The trials numbered below this were there,
        unfinished: and all of them were finished but these.
        paused: Of these the ones that were learned from, since they waited or were trained, each
            with the last step that it had a score of.
        noted: What a genetic sampler notes on the trial: its generation. Not a part of the
            history, but kept with it since later suggestions follow from it.
    """

    position: int
    attempt: int
    trials: int
    unfinished: tuple[int, ...]
    paused: tuple[tuple[int, int], ...] = ()
    noted: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> "Draw":
        """Return what the trial attribute ``draw`` holds."""
        paused = tuple((number, step) for number, step in raw.get("paused", ()))
        return Draw(**{**raw, "unfinished": tuple(raw["unfinished"]), "paused": paused})


def sample_config(
    source: OptunaStudy, searched: Searched, position: int, attempt: int
) -> tuple[Config, Draw]:
    """Draw a configuration from the study's history, without creating a trial.

    Args:
        source: Its finished and running trials are what the sampler learns from.
        searched: What is searched.
        position: Place of the task in the study; a part of the seed.
        attempt: Raised to draw another one in its stead.
    """
    trials = source.study.get_trials(deepcopy=False)
    # One look at each of what may be thousands; finished ones are as they are.
    waiting, running = TrialState.WAITING, TrialState.RUNNING
    begun = [
        (index, trial)
        for index, trial in enumerate(trials)
        if trial.state is waiting or trial.state is running
    ]
    seen = list(trials)
    paused: list[tuple[int, int]] = []
    for index, trial in begun:
        if trial.state is running and not searched.learns_early:
            continue
        step = last_scored(trial)
        if step is not None:
            seen[index] = as_pruned(trial, step)
            paused.append((trial.number, step))
    config, noted = _sample(source, seen, searched, position, attempt)
    unfinished = tuple(trial.number for _, trial in begun)
    return config, Draw(position, attempt, len(trials), unfinished, tuple(paused), noted)


def redraw(source: OptunaStudy, searched: Searched, draw: Draw) -> Config:
    """Draw the configuration of an earlier ``sample_config`` again, from the same history."""
    trials = []
    paused = dict(draw.paused)
    for trial in source.study.get_trials(deepcopy=True):
        if trial.number >= draw.trials:
            continue
        if trial.number in paused:
            trial = as_pruned(trial, paused[trial.number])
        elif trial.number in draw.unfinished:
            trial.state = TrialState.RUNNING
            trial.values = None
        trials.append(trial)
    config, _ = _sample(source, trials, searched, draw.position, draw.attempt)
    return config


def should_prune(source: OptunaStudy, trial: FrozenTrial) -> tuple[bool, dict[str, Any]]:
    """Ask a study's pruner about a running trial, as Optuna's ``Trial.should_prune`` does.

    Args:
        source: Its trials are what the trial is compared with, those of other workers as far as
            they are in the storage now. No finished trial is missing.
        trial: As it is in this process, with all of its values so far; not changed.

    Returns:
        Whether to prune, and the system attributes that the pruner noted on the trial: to be
        stored with the values before anything follows from the decision.
    """
    view = StorageView(source, trial)
    return source.study.pruner.prune(view.study(), trial), view.noted


def _sample(
    source: OptunaStudy,
    trials: Sequence[FrozenTrial],
    searched: Searched,
    position: int,
    attempt: int,
) -> tuple[Config, Mapping[str, Any]]:
    """Draw a configuration for a trial that is not in the storage.

    What TPE and GP note on it, the drawn parameters, other workers find on the trial itself later.
    What a genetic sampler notes, they don't; it is the second value.
    """
    draft = FrozenTrial(
        number=_NO_NUMBER,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=_NO_ID,
    )
    if searched.one_step is not None:
        trials = at_one_step(trials, searched.one_step)
    seen = as_learned_from(trials, limited=bool(searched.limits), against=searched.against)
    view = StorageView(source, draft, seen)
    study = view.study()
    sampler = searched.sampler(position, attempt)
    relative_space = sampler.infer_relative_search_space(study, draft)
    relative = sampler.sample_relative(study, draft, relative_space)
    values: dict[str, Any] = {}
    while wanted := _wanted(searched, values):
        for name, distribution in wanted.items():
            if name in relative:
                values[name] = relative[name]
            else:
                values[name] = sampler.sample_independent(study, draft, name, distribution)
    noted = view.noted if isinstance(sampler, NSGAIISampler) else {}
    return searched.to_config(values), noted


def _wanted(searched: Searched, values: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Return the domains, in their order, of the parameters that have no value yet."""
    domains = searched.domains(values)
    return {name: domain for name, domain in domains.items() if name not in values}
