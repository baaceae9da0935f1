"""Which values of a configuration are numbers."""

from typing import Any

from hpo.models._choices import option_parameter
from hpo.models._config import Config
from hpo.models._rules import kinds_in

__all__ = ["is_number", "is_whole_number"]


def is_whole_number(name: str) -> bool:
    """Tell whether a field or parameter takes whole numbers only."""
    annotation = _annotation(name)
    return getattr(annotation, "__origin__", annotation) is int  # with constraints or without


def is_number(name: str) -> bool:
    """Tell whether a field or parameter is a number."""
    kinds = kinds_in(_annotation(name))
    return bool(kinds & {int, float}) and ... not in kinds  # which a list of numbers has


def _annotation(name: str) -> Any:
    parameter = option_parameter(name)
    return Config.model_fields[name].annotation if parameter is None else parameter.annotation
