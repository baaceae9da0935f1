"""What a person who makes a configuration in Python is told of values that it can't have."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError

from hpo.errors import InputError, did_you_mean
from hpo.models._rules import rule_in_words

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)  # whose name isn't public

__all__ = ["InOurWords", "checked_values"]

_TITLE = "The configuration can't have these values:"


class InOurWords(ModelMetaclass):
    """The type of models that raise ``InputError`` where they are called with wrong values."""

    def __call__(self, *args: Any, **values: Any) -> Any:
        if args:
            raise InputError(f"{self.__name__} takes its values by name, such as lr=0.01.")
        try:
            return super().__call__(**values)
        except ValidationError as error:
            fields = cast(type[BaseModel], self).model_fields
            known = [name for name in fields if name != "options"]
            problems = [_said(details, values, known) for details in error.errors()]
        raise InputError(problems, _TITLE)


def checked_values(
    values: Mapping[str, Any], known: Sequence[str], check: Callable[[str, Any], Any]
) -> dict[str, Any]:
    """Return values, each as ``check`` returns it.

    Args:
        values: By name.
        known: All names that there are.
        check: Returns a value in its type, or raises pydantic's error.

    Raises:
        InputError: Names are unknown, or values break rules; all of it is listed.
    """
    problems = [_unknown(name, known) for name in values if name not in known]
    checked = {}
    for name, value in values.items():
        if name not in known:
            continue
        try:
            checked[name] = check(name, value)
        except ValidationError as error:
            problems += [_broken(details, name, value) for details in error.errors()]
    if problems:
        raise InputError(problems, _TITLE)
    return checked


def _said(details: Mapping[str, Any], values: Mapping[str, Any], known: Sequence[str]) -> str:
    name = str(next(iter(details["loc"]), ""))
    if details["type"] == "extra_forbidden":
        return _unknown(name, known)
    if not name:  # a rule that names the values that break it
        return rule_in_words(details).removeprefix("Value error, ")
    return _broken(details, name, values[name])


def _unknown(name: str, known: Sequence[str]) -> str:
    return f"unknown name '{name}'{did_you_mean(name, known)}; there are: {', '.join(known)}"


def _broken(details: Mapping[str, Any], name: str, value: Any) -> str:
    choices = str(details.get("ctx", {}).get("expected", "")).replace(" or ", ", ").split(", ")
    near = did_you_mean(value, [choice.strip("'") for choice in choices])
    return f"{name} is {value!r}{near}, but {rule_in_words(details)}"
