"""What a study may take: epochs of single runs, and time, the refit included."""

from typing import Any

from pydantic import PositiveInt, field_validator

from hpo._duration import seconds_of
from hpo.search._values import Frozen

__all__ = ["Budget"]


class Budget(Frozen):
    """Limits with which a study ends with what it has, and can be gone on with later.

    Attributes:
        epochs: Epochs of single runs of all trials and of the refit, those of earlier commands
            included.
        time_limit: Seconds that one command may take, from its begin to its last file. A file has
            it as ``90s``, ``10m`` or ``1h30m``.
    """

    epochs: PositiveInt | None = None
    time_limit: float | None = None

    @field_validator("time_limit", mode="before")
    @classmethod
    def _parse_time(cls, value: Any) -> float | None:
        if value is None:
            return None
        try:
            return seconds_of(value)
        except ValueError as error:
            raise ValueError(f"time_limit {error}") from None
