"""The end of a study's time, where the store's clock is set meanwhile."""

import time

from hpo.study import StoredStudy

__all__ = ["SteadyDeadline"]

#: Clocks that differ by less weren't set: they drift, and the processor is busy.
_SET_S = 5.0


class SteadyDeadline:
    """Moves the deadline of a study along with the store's clock.

    A worker counts the time itself once it was told how much is left. One that joins later asks
    the store, and if the store's clock was set, that would tell it something else.

    Args:
        study: The study, with its deadline, if it has one.
    """

    def __init__(self, study: StoredStudy) -> None:
        self._study = study
        self._deadline: float | None = None
        self._end = 0.0

    def check(self) -> None:
        """Compare what the store says is left with the time that has passed here."""
        asked = time.monotonic()
        row = self._study.ledger.study(self._study.name)
        now = time.monotonic()
        if row is None or row.deadline is None or row.seconds_left is None:
            self._deadline = None
        elif row.deadline != self._deadline:  # it is new, or somebody moved it
            self._deadline, self._end = row.deadline, now + row.seconds_left
        elif abs(now + row.seconds_left - self._end) > _SET_S + (now - asked):
            self._study.ledger.ration(self._study.name, self._end - now, row.epochs)
