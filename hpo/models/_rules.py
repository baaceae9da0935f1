"""The rules that pydantic checks, in words that a person who writes YAML knows."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

__all__ = ["holds_truth", "kinds_in", "rule_in_words", "rule_of"]

_WORDS = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "must be a mapping"),
    "string_type": "must be text, in quotes if it looks like something else",
    "missing": "must be there",
    "too_short": "must not be empty",
}


def rule_of(error: ValidationError) -> str:
    """Return what the first broken rule demands, such as ``must be greater than 0``."""
    return rule_in_words(error.errors()[0])


def rule_in_words(details: Mapping[str, Any]) -> str:
    """Return what a broken rule demands.

    Args:
        details: One of ``ValidationError.errors()``.
    """
    message: str = details["msg"]
    return _WORDS.get(details["type"]) or message.replace("Input should be", "must be")


def kinds_in(annotation: Any) -> set[Any]:
    """Return the types that an annotation is made of."""
    inner = get_args(annotation)
    return {kind for one in inner for kind in kinds_in(one)} if inner else {annotation}


def holds_truth(value: Any, annotation: Any) -> bool:
    """Tell whether true or false stands where a number must be; pydantic takes it for 1 or 0."""
    kinds = {kind for kind in kinds_in(annotation) if isinstance(kind, type)}
    if not kinds & {int, float} or bool in kinds:
        return False
    return any(
        isinstance(one, bool) for one in (value if isinstance(value, list | tuple) else [value])
    )
