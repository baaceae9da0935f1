"""What trials cost, in epochs of single runs: those that were trained, and those still to come."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.models import Config, head_names, is_two_step, modalities_read

if TYPE_CHECKING:
    from hpo.search._space import Space

__all__ = [
    "costliest",
    "first_seed_steps",
    "last_step",
    "reached_length",
    "refit_epochs",
    "refit_epochs_of",
    "trained_epochs",
]


def first_seed_steps(config: Config) -> int:
    """Return the steps in which the seeds that are trained first get all of their epochs."""
    return config.epochs * (2 if is_two_step(config.fusion) else 1)


def last_step(space: "Space", config: Config) -> int:
    """Return the last step of a trial that goes all the way."""
    groups = space.seed_groups()
    return len(groups) if space.seeds_apart else first_seed_steps(config) + len(groups) - 1


def trained_epochs(space: "Space", config: Config, modalities: Sequence[str], step: int) -> int:
    """Return the epochs of single runs that a trial has trained after so many steps.

    Runs that other trials share, and epochs after a run's early end, are counted as well, so that
    it is never less than what was trained.
    """
    groups = space.seed_groups()
    whole = _of_one_seed(config, modalities, first_seed_steps(config))
    if space.seeds_apart:
        return step * whole
    first = min(step, first_seed_steps(config))
    later = groups[1 : 1 + step - first]
    return len(groups[0]) * _of_one_seed(config, modalities, first) + sum(map(len, later)) * whole


def costliest(space: "Space", modalities: Sequence[str]) -> Config:
    """Return a configuration whose trial costs as much as any of the space."""
    fusions = {space.fixed.fusion, *space.search.values_of("fusion")}
    possible = [name for name in fusions if modalities_read(name, modalities) is not None]
    configs = [
        space.fixed.taken({"fusion": fusion, "epochs": max(space.ends())})
        for fusion in sorted(possible) or [modalities[0]]
    ]
    return max(configs, key=lambda c: (_of_one_seed(c, modalities, first_seed_steps(c)), c.fusion))


def refit_epochs(space: "Space", modalities: Sequence[str]) -> int:
    """Return the epochs that the refit of a configuration trains at most; 0 without a refit."""
    return refit_epochs_of(space, costliest(space, modalities), modalities)


def refit_epochs_of(space: "Space", config: Config, modalities: Sequence[str]) -> int:
    """Return the epochs that the refit of one configuration trains at most; 0 without a refit.

    Those of the folds are among them, by which a refit's thresholds may be chosen.
    """
    if space.refit is None:
        return 0
    folds = 0 if space.thresholds is None else space.thresholds.folds or 0
    one = _of_one_seed(config, modalities, first_seed_steps(config))
    return (space.refit.seeds + folds) * one


def reached_length(space: "Space", config: Config, step: int) -> int:
    """Return how many epochs long the runs of a trial are that got to a step.

    In the second step of a two-step fusion these are the epochs of its heads, which are whole.
    """
    return config.epochs if space.seeds_apart else min(step, config.epochs)


def _of_one_seed(config: Config, modalities: Sequence[str], step: int) -> int:
    """Return the epochs of single runs in the first steps of one seed."""
    if not is_two_step(config.fusion):
        return step
    heads = min(step, config.epochs)
    return len(head_names(config.fusion, modalities)) * heads + max(step - config.epochs, 0)
