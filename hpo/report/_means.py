"""With what the results of a study are made."""

import dataclasses
from collections.abc import Callable

from hpo.events import Tell, nobody
from hpo.report._row_facts import RowFacts

__all__ = ["Means"]


@dataclasses.dataclass(frozen=True)
class Means:
    """With what the results of a study are made.

    Attributes:
        device: Where to train and predict.
        memory_gb: What the rows of the refit may take, see ``WorkerSettings``.
        models: Says how many models may be refitted, given the epochs that were trained; None for
            any number.
        enough: Whether the refit is to be cut short; see ``refit``.
        known: Captions and pictures of the labelled rows, for the report.
        tell: Is told of what is trained, and of the results.
    """

    device: str
    memory_gb: float | None = None
    models: Callable[[int], int | None] = lambda trained: None
    enough: Callable[[], bool] = lambda: False
    known: RowFacts | None = None
    tell: Tell = nobody
