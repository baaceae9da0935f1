"""What the parts of a search space have in common: strictness, components, scale, typed values."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hpo.errors import shown
from hpo.models import holds_truth, rule_of, typed_value

__all__ = ["Change", "Component", "Frozen", "Given", "Place", "Scale", "checked_values"]

#: Gives the new value of a configuration field, from its name and its old value.
Change = Callable[[str, Any], Any]

#: Arguments of pruners that are numbers of epochs.
_IN_EPOCHS = ("min_resource", "max_resource", "n_warmup_steps", "interval_steps", "patience")


#: A place in a file, such as ``("search", "stages", 0, "params")``.
Place = tuple[str | int, ...]


class Given(NamedTuple):
    """A configuration field that a file gives a value to.

    Attributes:
        place: Where in the mapping of the search.
        field: Its name.
        value: As it stands there.
        many: Whether it must be a list of values.
    """

    place: Place
    field: str
    value: Any
    many: bool


class Frozen(BaseModel):
    """Base of everything that stands in a search-space file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number must be, which pydantic takes for 1 and 0."""
        field = cls.model_fields[info.field_name or ""]
        if holds_truth(value, field.annotation):
            raise PydanticCustomError("number_type", "Input should be a number")
        return value


_Factor = Annotated[float, Field(ge=1e-6, le=1e6)]


class Scale(Frozen):
    """Factors that shrink a space to smaller data or a smaller machine.

    Attributes:
        width: Factor of all hidden widths (rounded to even numbers, at least 2).
        epochs: Factor of all lengths, those of pruners included (at least 1).
        batch: Factor of all batch sizes (at least 1).
    """

    width: _Factor = 1.0
    epochs: _Factor = 1.0
    batch: _Factor = 1.0

    def apply(self, field: str, value: Any) -> Any:
        """Return the value of a configuration field at this scale."""
        if field == "hidden":
            return tuple(max(2, 2 * round(width * self.width / 2)) for width in value)
        if field == "epochs":
            return max(1, round(value * self.epochs))
        if field == "batch_size":
            return max(1, round(value * self.batch))
        return value


class Component(BaseModel):
    """A sampler or pruner by name, with its arguments.

    Attributes:
        name: Of the class; its arguments stand beside it.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str

    @model_validator(mode="before")
    @classmethod
    def _take_numbers(cls, raw: Any) -> Any:
        if isinstance(raw, str):
            return {"name": raw}
        if not isinstance(raw, Mapping):
            return raw
        return {
            key: value if key == "name" else _argument(key, value) for key, value in raw.items()
        }

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the class."""
        return dict(self.__pydantic_extra__ or {})

    def scaled(self, scale: Scale) -> "Component":
        """Return the component with the arguments that are numbers of epochs at a scale."""
        changed = self.arguments
        for key in _IN_EPOCHS:
            if isinstance(changed.get(key), int) and changed[key] > 0:
                changed[key] = scale.apply("epochs", changed[key])
        if isinstance(changed.get("wrapped"), Mapping):
            wrapped = Component.model_validate(changed["wrapped"])
            changed["wrapped"] = wrapped.scaled(scale).model_dump()
        return Component(name=self.name, **changed)


def _argument(argument: str, value: Any) -> Any:
    """Return an argument in its type; what is wrapped is a component itself."""
    if argument != "wrapped":
        return _number(argument, value)
    named = isinstance(value, Mapping) and isinstance(value.get("name"), str)
    if not named and not isinstance(value, str):
        return value
    return Component.model_validate(value).model_dump()


def _number(argument: str, value: Any) -> Any:
    """Return an argument with a number in quotes, or as 1e3, as the number that it is.

    Raises:
        ValueError: It is a number that is not finite.
    """
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
    if not isinstance(number, float):
        return number
    if not math.isfinite(number):
        raise ValueError(f"{argument} is {value}, but must be a finite number")
    return int(number) if number.is_integer() else number


def checked_values(field: str, values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values of a configuration field in their type.

    Raises:
        ValueError: One breaks a rule, or there is no such field.
    """
    typed = []
    for value in values:
        try:
            typed.append(typed_value(field, value))
        except KeyError:
            raise ValueError(f"unknown parameter '{field}'") from None
        except ValidationError as error:
            raise ValueError(f"{field} is {shown(value)}, but {rule_of(error)}") from None
    return tuple(typed)
