"""What a reader of a study's results has to know first: what failed, and who trained it."""

from collections import Counter
from collections.abc import Sequence

from hpo.search import Task, TaskState, format_params
from hpo.study._study import StoredStudy
from hpo.training import trained_by

__all__ = ["concerns", "failed_tasks", "retry_failed"]

#: So many failed tasks are named.
_NAMED = 5
#: Letters of a reason that are shown.
_LONGEST = 200


def concerns(study: StoredStudy, tasks: Sequence[Task], *, going_on: bool = False) -> list[str]:
    """Return what is to be said before the results of a study, a line each; none if all is well.

    Args:
        study: The study.
        tasks: All its tasks.
        going_on: Whether this process trains what is still to come.
    """
    found = [_about_failed(study, tasks), _about_trainers(study, tasks, going_on)]
    return [line for line in found if line]


def failed_tasks(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that failed for good."""
    return [task for task in tasks if task.state is TaskState.FAILED]


def retry_failed(study: StoredStudy) -> list[Task]:
    """Open all failed tasks of a study again; return them as they were.

    What they have in the run store is gone on with. Their trials in Optuna stay failed, and each
    gets another one.
    """
    failed = failed_tasks(study.tasks())
    if failed:
        study.ledger.retry(study.name)
    return failed


def _about_failed(study: StoredStudy, tasks: Sequence[Task]) -> str:
    failed = failed_tasks(tasks)
    if not failed:
        return ""
    named = []
    for task in failed[:_NAMED]:
        params = {} if task.config is None else study.strategy.params(task.config)
        shown = f" ({format_params(params)})" if params else ""
        trial = f"task {task.position}" if task.trial is None else f"trial {task.trial}"
        named.append(f"{trial}{shown}: {_short(task.reason or 'for an unknown reason')}")
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    were = "configuration" if len(tasks) == 1 else "configurations"
    return (
        f"{len(failed)} of {len(tasks)} {were} failed and took no part in what follows: "
        f"{'; '.join(named)}{more}. Once the cause is mended, `hpo study retry {study.name}` opens "
        "them again."
    )


def _short(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _about_trainers(study: StoredStudy, tasks: Sequence[Task], going_on: bool) -> str:
    """Say that trials were trained by versions whose numbers can't be compared, if they were."""
    counts: Counter[tuple[str, str | None]] = Counter()
    for task in tasks:
        if task.outcome is not None and task.outcome.is_scored:
            counts[_trainer_of(study, task)] += 1
    if going_on:
        counts[_parts(trained_by(study.definition.precision))] += 0
    known = {trainer for trainer, _ in counts}
    torches = {torch for _, torch in counts if torch is not None}
    if len(known) < 2 and len(torches) < 2:
        return ""
    listed = ", ".join(
        f"{count or 'what is still to come'} by {_shown(*who)}" for who, count in counts.items()
    )
    return (
        f"The trials of this study were trained by different versions: {listed}. Their numbers "
        "differ for that reason as well; a study that one version trains from its beginning "
        "(--study NAME --space FILE) has comparable ones."
    )


def _trainer_of(study: StoredStudy, task: Task) -> tuple[str, str | None]:
    """Return trainer and PyTorch of a trial; earlier versions noted the trainer of the study."""
    assert task.outcome is not None
    if task.outcome.trained_by is not None:
        return _parts(task.outcome.trained_by)
    noted = study.definition.trainer
    return ("an earlier trainer" if noted is None else f"trainer {noted}"), None


def _parts(said: str) -> tuple[str, str | None]:
    trainer, _, torch = said.partition(", ")
    return trainer, torch or None


def _shown(trainer: str, torch: str | None) -> str:
    return trainer if torch is None else f"{trainer} with {torch}"
