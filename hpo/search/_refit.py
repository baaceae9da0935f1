"""The last step of a study: what is trained on all rows."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from hpo.search._values import Frozen

__all__ = ["Ensemble", "Refit"]


class Refit(Frozen):
    """The last step: the best configuration trained on all labelled rows in use.

    Attributes:
        rows: Training and validation rows.
        seed: Of weights, masks and order; the first of several.
        pick: Which configuration: the one with the best score, or, of those that can't be told
            from it, the one with the smallest model (or the shortest latency, where the study is
            against that).
        seeds: So many models with different seeds, whose probabilities are averaged.
        epochs: With mini-batches, ``keep`` the epochs of the trial on the larger data, or its
            ``steps``. With full batches the two are the same.
    """

    rows: Literal["all"] = "all"
    seed: Annotated[int, Field(ge=0)] = 0
    pick: Literal["best", "smallest_tied"] = "best"
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
