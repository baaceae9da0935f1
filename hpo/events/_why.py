"""Why a study decided something, in words."""

from collections.abc import Mapping, Sequence

from hpo.search import Progress, StageTable, Task

__all__ = ["why_it_goes_on", "why_it_won"]


def why_it_won(table: StageTable) -> str:
    """Return what the winner of a table has before the others."""
    winner = next(row for row in table.rows if row.winner)
    scored = [row for row in table.rows if row.value is not None and row is not winner]
    if winner.value is None:
        return "it is the only one"
    if not scored:
        return f"{winner.value:.3f}, the only one with a score"
    second = max(scored, key=lambda row: row.value or 0.0)
    assert second.value is not None  # it is scored
    ahead = winner.value - second.value
    if ahead < 0:
        return f"{winner.value:.3f}; others with a higher score don't count"
    if ahead == 0:
        return f"{winner.value:.3f}, the first of equal ones"
    return f"{winner.value:.3f}, {ahead:.3f} ahead of {second.label or f'trial {second.trial}'}"


def why_it_goes_on(task: Task, step: int, pauses: Mapping[int, Sequence[Progress]]) -> str:
    """Return where a task stands among all that ever paused where it did.

    Args:
        task: It was paused, and is resumed.
        step: Where it was paused.
        pauses: Of all tasks, by position.
    """
    values = {
        position: past.value
        for position, all_of_it in pauses.items()
        for past in all_of_it
        if past.step == step
    }
    value = values.get(task.position)
    if value is None:
        return f"it was paused at epoch {step}"
    rank = 1 + sum(other > value for other in values.values())
    return f"{value:.3f} at epoch {step}, {_ordinal(rank)} of {len(values)} there"


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if number % 100 in (11, 12, 13) else ends.get(number % 10, "th")
    return f"{number}{end}"
