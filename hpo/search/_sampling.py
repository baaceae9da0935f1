"""Suggestions of an Optuna sampler, drawn before the trial exists.

A configuration has to be known before its trial is created, so that two workers that draw the same
one find out first. The sampler is therefore asked directly, by the methods that ``Trial.suggest``
calls, with a trial that is not in the storage.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from hpo.models import Config
from hpo.search._registry import SAMPLERS
from hpo.search._space import GreedySearch, OptunaSearch, Range, Space
from hpo.search._view import StudyView

__all__ = ["Draw", "distributions_of", "make_sampler", "param_value", "redraw", "sample_config"]

_DRAFT_ID = -1


def make_sampler(search: OptunaSearch, position: int, attempt: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one suggestion.

    Its seed follows from the place in the study and the attempt, so that workers never share a
    stream and a suggestion can be drawn again from the same history.
    """
    seed = (search.seed * 1_000_003 + position * 1_009 + attempt) % 2**32
    return SAMPLERS[search.sampler.name](**search.sampler.arguments, seed=seed)


def distributions_of(space: Space) -> dict[str, BaseDistribution]:
    """Return the distribution of each searched parameter, as Optuna stores it with every trial.

    A greedy study's are categorical over all values that any stage tries or fixes, since a
    categorical parameter may not change its choices within a study.
    """
    if isinstance(space.search, GreedySearch):
        choices: dict[str, list[Any]] = {}
        for stage in space.search.stages:
            for field, values in stage.params.items():
                choices.setdefault(field, [getattr(space.fixed, field)]).extend(values)
        for stage in space.search.stages:
            for field in stage.fixed.keys() & choices.keys():
                choices[field].append(stage.fixed[field])
        return {
            field: CategoricalDistribution(list(dict.fromkeys(map(param_value, values))))
            for field, values in choices.items()
        }
    distributions: dict[str, BaseDistribution] = {}
    for field, domain in space.search.params.items():
        if not isinstance(domain, Range):
            distributions[field] = CategoricalDistribution(
                list(dict.fromkeys(map(param_value, domain.choices)))
            )
        elif Config.model_fields[field].annotation is int:
            distributions[field] = IntDistribution(
                int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1)
            )
        else:
            distributions[field] = FloatDistribution(
                domain.low, domain.high, log=domain.log, step=domain.step
            )
    return distributions


def param_value(value: Any) -> str | int | float | bool | None:
    """Return a value as Optuna can store it: widths become a text such as ``2048-512``."""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    assert value is None or isinstance(value, str | int | float | bool)
    return value


@dataclasses.dataclass(frozen=True)
class Draw:
    """What a suggestion followed from; with it, ``redraw`` gets the same one again.

    Attributes:
        position: Place of the task in the study; a part of the seed.
        attempt: How many earlier draws were repeats of other trials.
        trials: The trials numbered below this were there,
        unfinished: and all of them were finished but these.
    """

    position: int
    attempt: int
    trials: int
    unfinished: tuple[int, ...]


def sample_config(
    study: optuna.Study, space: Space, position: int, attempt: int
) -> tuple[Config, Draw]:
    """Draw a configuration from the study's history, without creating a trial.

    Args:
        study: Its finished and running trials are what the sampler learns from.
        space: A space with an ``optuna`` search.
        position: Place of the task in the study; a part of the seed.
        attempt: Raised to draw another one in its stead.
    """
    trials = study.get_trials(deepcopy=False)
    unfinished = tuple(trial.number for trial in trials if not trial.state.is_finished())
    config = _sample(study, trials, space, position, attempt)
    return config, Draw(position, attempt, len(trials), unfinished)


def redraw(study: optuna.Study, space: Space, draw: Draw) -> Config:
    """Draw the configuration of an earlier ``sample_config`` again, from the same history."""
    trials = []
    for trial in study.get_trials(deepcopy=True):
        if trial.number >= draw.trials:
            continue
        if trial.number in draw.unfinished:
            trial.state = TrialState.RUNNING
            trial.values = None
        trials.append(trial)
    return _sample(study, trials, space, draw.position, draw.attempt)


def _sample(
    study: optuna.Study,
    trials: Sequence[FrozenTrial],
    space: Space,
    position: int,
    attempt: int,
) -> Config:
    """Draw a configuration for a trial that is not in the storage.

    What TPE and GP note on it, the drawn parameters, other workers find on the trial itself later.
    """
    assert isinstance(space.search, OptunaSearch)
    sampler = make_sampler(space.search, position, attempt)
    distributions = distributions_of(space)
    draft = FrozenTrial(
        number=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=_DRAFT_ID,
    )
    view = StudyView(study, draft, trials)
    relative_space = sampler.infer_relative_search_space(view, draft)
    relative = sampler.sample_relative(view, draft, relative_space)
    values: dict[str, Any] = {}
    for field, distribution in distributions.items():
        if field in relative:
            drawn = relative[field]
        else:
            drawn = sampler.sample_independent(view, draft, field, distribution)
        domain = space.search.params[field]
        if isinstance(domain, Range):
            values[field] = drawn
        else:
            values[field] = next(item for item in domain.choices if param_value(item) == drawn)
    return Config.model_validate({**space.fixed.model_dump(), **values})
