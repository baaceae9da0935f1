"""The last step of a study: what is trained on all rows."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from hpo.search._values import Frozen

__all__ = ["Ensemble", "Refit"]


class Refit(Frozen):
    """The last step: the best configuration trained on all labelled rows in use.

    Attributes:
        rows: Training and validation rows.
        seed: Of the run; the first of several.
        seeds: So many models with different seeds, whose probabilities are averaged.
        epochs: With mini-batches, ``keep`` the epochs of the trial on the larger data, or its
            ``steps``. With full batches the two are the same.
    """

    rows: Literal["all"] = "all"
    seed: Annotated[int, Field(ge=0)] = 0
    seeds: PositiveInt = 1
    epochs: Literal["keep", "steps"] = "keep"


class Ensemble(Frozen):
    """An average of different trials, kept where it is better than the best one alone.

    Attributes:
        members: At most so many different models.
        neighbours: Whether a vote of the nearest rows may be one of them.
    """

    members: Annotated[int, Field(ge=2)] = 5
    neighbours: bool = True
