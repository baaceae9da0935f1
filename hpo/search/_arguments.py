"""The arguments of samplers and pruners: checked where the file is read, not at the first trial."""

import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from optuna.pruners import SuccessiveHalvingPruner
from pydantic import ValidationError

from hpo.errors import shown
from hpo.search._problem import Problem
from hpo.search._registry import PRUNERS, experimental
from hpo.search._values import Component, Place

__all__ = ["check_arguments"]

#: Whole numbers that can't be 0; others can.
_ABOVE_0 = ("n_ei_candidates", "interval_steps", "min_resource", "max_resource")
_MOST = 2**31
#: What isn't in the file, but comes from elsewhere.
_GIVEN = ("self", "seed", "wrapped_pruner")


def check_arguments(
    place: Place, component: Callable[..., object], raw: Mapping[str, Any]
) -> list[Problem]:
    """Check the values of a component's arguments, whose names were checked.

    Args:
        place: Of the component in the file.
        component: The sampler or pruner.
        raw: Its name and arguments.
    """
    try:
        given = Component.model_validate(raw).arguments
    except ValidationError:
        return []  # the schema says what is wrong
    given.pop("wrapped", None)
    parameters = inspect.signature(component).parameters
    lacking = [
        name
        for name, one in parameters.items()
        if one.default is one.empty and name not in (*given, *_GIVEN)
    ]
    problems = [Problem(place, f"{raw['name']} must have {name}") for name in lacking]
    for name, value in given.items():
        annotation = parameters[name].annotation
        rule = _broken_rule(name, value, getattr(annotation, "__name__", str(annotation)))
        if rule:
            problems.append(Problem((*place, name), f"{name} is {shown(value)}, but {rule}"))
    return problems or _refusal(place, component, given)


def _broken_rule(name: str, value: Any, annotation: str) -> str:
    """Return what a value must be by its annotation, if it isn't."""
    kinds = set(re.findall(r"\w+", annotation))
    if value is None and "None" in kinds:
        return ""
    if not kinds <= {"int", "float", "bool", "str", "None"}:
        return "must be left out: it is no value that a file can give"
    if "bool" in kinds:
        return "" if isinstance(value, bool) else "must be true or false"
    if "str" in kinds and value == "auto":
        return ""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if "float" in kinds:
        return "" if number and math.isfinite(value) else "must be a number"
    least = 1 if name in _ABOVE_0 else 0
    if number and isinstance(value, int) and least <= value < _MOST:
        return ""
    return f"must be a whole number from {least} to {_MOST - 1:,}"


def _refusal(
    place: Place, component: Callable[..., object], given: Mapping[str, Any]
) -> list[Problem]:
    """Return what a component itself has against its arguments."""
    arguments = dict(given)
    try:
        with experimental():
            if component is PRUNERS["PatientPruner"]:
                component(None, **arguments)
            elif component is PRUNERS["HyperbandPruner"]:
                # It makes its brackets, which are pruners of another kind, at the first trial.
                most = arguments.pop("max_resource", "auto")
                SuccessiveHalvingPruner(**{"min_resource": 1, "reduction_factor": 3} | arguments)
                if isinstance(most, int) and most < arguments.get("min_resource", 1):
                    raise ValueError("max_resource must be at least min_resource")
            else:
                component(**arguments)
    except (ValueError, TypeError) as error:
        return [Problem(place, str(error).rstrip("."))]
    return []
