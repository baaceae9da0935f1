"""What a sampled search draws a value from: choices or a range, perhaps under a condition."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import Discriminator, Field, PositiveFloat, Tag, field_validator, model_validator

from hpo.models import is_whole_number, owner_of
from hpo.search._sampling import param_value
from hpo.search._values import Change, Frozen, checked_values

__all__ = ["Choices", "Domain", "Range", "changed_domain", "check_conditions", "distribution_of"]


#: Of a range: more than can be told apart, and some of them are listed.
_MOST_STEPS = 10**9
#: Of lengths, all of which are listed.
_MOST_LENGTHS = 10**6


class _Conditional(Frozen):
    """A domain that may exist under a condition only.

    Attributes:
        when: By name of another parameter, the values with which this one is drawn; with any other
            it has its fixed value. Empty for always.
    """

    when: dict[str, tuple[Any, ...]] = Field(default_factory=dict)

    @field_validator("when", mode="before")
    @classmethod
    def _as_lists(cls, when: Any) -> Any:
        if not isinstance(when, Mapping):
            return when
        return {
            name: values if isinstance(values, list | tuple) else [values]
            for name, values in when.items()
        }


class Choices(_Conditional):
    """One of several values.

    Attributes:
        choices: The values.
    """

    choices: Annotated[tuple[Any, ...], Field(min_length=1)]

    def holds(self, value: Any) -> bool:
        """Tell whether it is one of the values."""
        return value in self.choices

    def __str__(self) -> str:
        return "one of " + ", ".join(str(param_value(choice)) for choice in self.choices)


class Range(_Conditional):
    """A number between ``low`` and ``high``, both included.

    Attributes:
        low: The smallest value.
        high: The largest one.
        log: Whether it is drawn on a logarithmic scale, for which ``low`` must be above 0.
        step: Only values that are a whole number of steps above ``low``; None for all.
    """

    low: float
    high: float
    log: bool = False
    step: PositiveFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, but must be at most high, {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low > 0 and no step")
        if self.step is not None and (self.high - self.low) / self.step > _MOST_STEPS:
            raise ValueError(f"step is {self.step:g}, which makes more than {_MOST_STEPS:,} values")
        return self

    def holds(self, value: Any) -> bool:
        """Tell whether a number is in the range, and a whole number of steps above its low end."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8

    def last(self) -> float:
        """Return the largest value, which is below ``high`` where no step ends there."""
        if self.step is None:
            return self.high
        # in decimals, as people write them and Optuna counts
        low, high, step = (Decimal(str(one)) for one in (self.low, self.high, self.step))
        return self.high if (high - low) % step == 0 else float((high - low) // step * step + low)

    def __str__(self) -> str:
        step = "" if self.step is None else f" in steps of {self.step:g}"
        return f"{self.low:g} to {self.high:g}{step}"


def _domain_kind(domain: Any) -> str:
    choices = "choices" in domain if isinstance(domain, dict) else isinstance(domain, Choices)
    return "choices" if choices else "range"


Domain = Annotated[
    Annotated[Choices, Tag("choices")] | Annotated[Range, Tag("range")],
    Discriminator(_domain_kind),
]


def distribution_of(field: str, domain: Choices | Range) -> BaseDistribution:
    """Return a domain as Optuna has it."""
    if isinstance(domain, Choices):
        return CategoricalDistribution(list(dict.fromkeys(map(param_value, domain.choices))))
    top = domain.last()
    if is_whole_number(field):
        return IntDistribution(
            int(domain.low), int(top), log=domain.log, step=int(domain.step or 1)
        )
    return FloatDistribution(domain.low, top, log=domain.log, step=domain.step)


def changed_domain(field: str, domain: Choices | Range, change: Change) -> Choices | Range:
    """Return a domain with its values changed, and those that its condition names."""
    when = {
        name: tuple(change(name, value) for value in values) for name, values in domain.when.items()
    }
    if isinstance(domain, Choices):
        choices = tuple(change(field, value) for value in domain.choices)
        return Choices(choices=choices, when=when)
    ends = {"low": change(field, domain.low), "high": change(field, domain.high), "when": when}
    return domain.model_copy(update=ends)


def step_fault(field: str, domain: Choices | Range) -> str | None:
    """Say that a step doesn't fit a field of whole numbers, or return None."""
    if isinstance(domain, Choices) or domain.step is None or not is_whole_number(field):
        return None
    if float(domain.step).is_integer():
        return None
    return f"step of {field} is {domain.step:g}, but must be a whole number, as {field} is one"


def check_conditions(params: Mapping[str, Choices | Range]) -> dict[str, Choices | Range]:
    """Return domains whose conditions have values of the right type.

    Raises:
        ValueError: A condition names what isn't searched, or what it can't be.
    """
    checked: dict[str, Choices | Range] = {}
    lengths = params.get("epochs")
    if isinstance(lengths, Range):
        step = int(lengths.step or 1)
        if (lengths.high - lengths.low) / max(step, 1) > _MOST_LENGTHS:
            raise ValueError(
                f"epochs is {lengths}, but must have {_MOST_LENGTHS:,} values at most; a step "
                "makes them fewer"
            )
    for field, domain in params.items():
        if fault := step_fault(field, domain):
            raise ValueError(fault)
        if domain.when and any(_owner(name) == field for name in params):
            raise ValueError(f"{field} can't have a condition, since parameters of it are searched")
        when = {name: _condition(field, name, domain, params) for name in domain.when}
        checked[field] = domain.model_copy(update={"when": when})
    return checked


def _condition(
    field: str, name: str, domain: Choices | Range, params: Mapping[str, Choices | Range]
) -> tuple[Any, ...]:
    """Return the values of a parameter with which another one exists."""
    other = params.get(name)
    rule = None
    if other is None or name == field:
        names = ", ".join(known for known in params if known != field)
        rule = f"must name another parameter that is searched: {names}"
    elif not isinstance(other, Choices):
        rule = f"must name one with choices, which {name} hasn't"
    elif other.when:
        rule = f"must name one without a condition, which {name} has"
    if rule is not None:
        raise ValueError(f"when of {field} names {name}, but {rule}")
    assert isinstance(other, Choices)
    values = checked_values(name, domain.when[name])
    for value in values:
        if value not in other.choices:
            raise ValueError(
                f"when of {field} has {name} {param_value(value)}, but {name} is {other}"
            )
    return values


def _owner(name: str) -> str | None:
    """Return the field whose choice a parameter belongs to; None for a field."""
    owner = owner_of(name)
    return None if owner is None else owner[0]
