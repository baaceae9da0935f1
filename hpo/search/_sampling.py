"""Optuna's samplers and parameters, as a space names them."""

from typing import Any

import optuna

from hpo.search._registry import SAMPLERS, experimental
from hpo.search._values import Component

__all__ = ["make_sampler", "param_value"]


def make_sampler(
    component: Component, seed: int, position: int, attempt: int
) -> optuna.samplers.BaseSampler:
    """Return the sampler of one suggestion.

    Its seed follows from the place in the study and the attempt, so that workers never share a
    stream and a suggestion can be drawn again from the same history.

    Args:
        component: Name and arguments.
        seed: Of the study.
        position: Place of the task in the study.
        attempt: How many earlier draws were repeats of other trials.
    """
    mixed = (seed * 1_000_003 + position * 1_009 + attempt) % 2**32
    arguments = component.arguments
    if component.name == "GPSampler":
        # Parameters under a condition are drawn apart from the others, which is as it should be.
        arguments.setdefault("warn_independent_sampling", False)
    with experimental():
        return SAMPLERS[component.name](**arguments, seed=mixed)


def param_value(value: Any) -> str | int | float | bool | None:
    """Return a value as Optuna can store it: widths become a text such as ``2048-512``."""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    assert value is None or isinstance(value, str | int | float | bool)
    return value
