"""One stage of a greedy search, as a file says it."""

import math
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from hpo.search._values import Frozen, checked_values

__all__ = ["Stage"]


class Stage(Frozen):
    """One step of a greedy study: a grid over ``params`` with all else as it is best so far.

    Attributes:
        name: Shown on trials and tables.
        params: Values to try for each field; the first parameter varies slowest.
        fixed: Values that hold in this stage only.
        reference: Published scores in the order of the grid; None where there is none.
    """

    name: Annotated[str, Field(min_length=1)]
    params: Annotated[dict[str, tuple[Any, ...]], Field(min_length=1)]
    fixed: dict[str, Any] = Field(default_factory=dict)
    reference: tuple[float | None, ...] = ()

    @field_validator("params")
    @classmethod
    def _type_params(cls, params: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        empty = [field for field, values in params.items() if not values]
        if empty:
            raise ValueError(f"{empty[0]} must be a list of values, but has none")
        return {field: checked_values(field, values) for field, values in params.items()}

    @field_validator("fixed")
    @classmethod
    def _type_fixed(cls, fixed: dict[str, Any]) -> dict[str, Any]:
        return {field: checked_values(field, [value])[0] for field, value in fixed.items()}

    @model_validator(mode="after")
    def _check_reference(self) -> "Stage":
        grid = math.prod(len(values) for values in self.params.values())
        if self.reference and len(self.reference) != grid:
            raise ValueError(f"reference has {len(self.reference)} values, but the grid has {grid}")
        return self
