"""Which configuration of a study is refitted."""

from collections.abc import Sequence

from hpo.errors import InputError, did_you_mean
from hpo.search import Task
from hpo.study import StoredStudy

__all__ = ["PICKS", "check_pick", "pick_task"]

#: The ways to pick beside the number of a trial.
PICKS = ("best", "smallest_tied")


def check_pick(pick: str | int) -> str | int:
    """Return a way to pick: one of ``PICKS``, or the number of a trial.

    Raises:
        InputError: It is neither.
    """
    text = str(pick)
    if text.isdecimal():
        return int(text)
    if text in PICKS:
        return text
    raise InputError(
        f"--pick {text}: must be best, smallest_tied or the number of a trial"
        f"{did_you_mean(text, PICKS)}."
    )


def pick_task(
    study: StoredStudy,
    tasks: Sequence[Task],
    device: str,
    pick: str | int | None = None,
) -> Task:
    """Return the task whose configuration is refitted.

    Args:
        study: A complete study.
        tasks: All its tasks.
        device: Where to compare predictions.
        pick: ``best``: the best score. ``smallest_tied``: of those that can't be told from it on
            the validation rows (95%, paired), the one with the smallest model; or, in a study
            against the latency, with the shortest. Or the number of a trial. By default what the
            space says.

    Raises:
        InputError: The study has no result; the trial has none; or the weights to compare with
            are gone from the run store.
    """
    asked = check_pick(_default(study) if pick is None else pick)
    if isinstance(asked, int):
        return _numbered(study, tasks, asked)
    best = study.best(list(tasks))
    if best is None or best.config is None or best.outcome is None:
        raise InputError(f"The study '{study.name}' has no trial with a result.")
    if asked == "best":
        return best
    from hpo.results._judge import tied_with  # PyTorch takes a second, see hpo/_lazy.py

    tied = tied_with(study, best, tasks, device)
    if tied is None:
        raise InputError(
            f"--pick {asked}: the weights of trial {best.trial} are no longer in the run store, so "
            "that it can't be compared with others; pick best, or the number of a trial."
        )
    against = study.space.against or "model_mb"
    return min((best, *tied), key=lambda task: _cost(task, against))


def _default(study: StoredStudy) -> str:
    return "best" if study.space.refit is None else study.space.refit.pick


def _cost(task: Task, against: str) -> tuple[float, float]:
    """Return what the smallest is chosen by; of equal costs the better score."""
    assert task.outcome is not None
    cost = getattr(task.outcome, against)
    return (float("inf") if cost is None else cost), -task.outcome.value


def _numbered(study: StoredStudy, tasks: Sequence[Task], number: int) -> Task:
    for task in tasks:
        if task.trial == number and task.outcome is not None and task.outcome.is_scored:
            return task
    scored = sum(task.outcome is not None and task.outcome.is_scored for task in tasks)
    raise InputError(
        f"--pick {number}: the study '{study.name}' has no trial {number} with a result; "
        f"{scored} of its trials have one (hpo report --study {study.name} lists them)."
    )
