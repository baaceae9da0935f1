"""Rows of the ledger's tables as typed objects, and back."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.errors import InputError
from hpo.models import Config
from hpo.queue._sealed import seal, unseal
from hpo.search import NewTask, Progress, Task, TaskState, TrialOutcome
from hpo.trials import damage

__all__ = [
    "config_columns",
    "new_row",
    "pauses_column",
    "pauses_of",
    "progress_column",
    "task_of",
]

_PAUSES = "pauses"
_CONFIG, _KEY, _RUNS, _PLACE, _TRIAL = "config", "key", "runs", "place", "trial"
_Beside = tuple[tuple[str, Any], ...]


def new_row(study: str, task: NewTask) -> dict[str, Any]:
    """Return the row of a task that is to be opened."""
    return {
        "study": study,
        "position": task.position,
        "stage": task.stage,
        **config_columns(task, None),
        "state": TaskState.OPEN.value,
        "token": 0,
        "attempts": 0,
    }


def config_columns(task: NewTask | Task, trial: int | None) -> dict[str, Any]:
    """Return the columns that say what is trained, where in the study, and as which trial.

    The configuration's checksum is over all of them.

    Args:
        task: With its configuration, if that is decided.
        trial: Optuna's number of its trial; None while it has none.
    """
    text = None
    if task.config is not None:
        record = {_CONFIG: task.config.model_dump(mode="json"), _KEY: task.key, _RUNS: task.runs}
        text = seal({**record, _PLACE: [task.position, task.stage], _TRIAL: trial})
    runs = json.dumps(task.runs)
    return {"config_key": task.key, "config": text, "runs": runs, "trial": trial}


def progress_column(progress: Progress | None) -> str | None:
    """Return the column that says how far a task is."""
    return None if progress is None else seal(dataclasses.asdict(progress))


def pauses_column(pauses: Sequence[Progress]) -> str:
    """Return the column that says how far a task was whenever it was paused."""
    return seal({_PAUSES: [dataclasses.asdict(progress) for progress in pauses]})


def pauses_of(text: str | None, position: int) -> tuple[Progress, ...]:
    """Return what the column of pauses says.

    Args:
        text: As it is stored; that of an earlier version is a list.
        position: Of the task.

    Raises:
        InputError: It isn't what was written.
    """
    if text is None:
        return ()
    what = f"how far task {position} was"
    try:
        listed = json.loads(text) if text.startswith("[") else unseal(text, what)[_PAUSES]
        return tuple(Progress(**raw) for raw in listed)
    except (KeyError, TypeError, json.JSONDecodeError):
        raise damage(what) from None


def task_of(row: Mapping[str, Any]) -> Task:
    """Return the task of a row, whose heartbeat is given as its ``age``.

    Raises:
        InputError: It isn't what was written.
    """
    try:
        return _task_of(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise damage(f"what it has of task {row['position']}") from None


def _task_of(row: Mapping[str, Any]) -> Task:
    progress, outcome = row["progress"], row["outcome"]
    told = None if outcome is None else unseal(outcome, f"the outcome of task {row['position']}")
    far = None if progress is None else unseal(progress, f"how far task {row['position']} is")
    key, runs, trial = row["config_key"], tuple(json.loads(row["runs"])), row["trial"]
    config, place = None, (row["position"], row["stage"])
    # of one that isn't drawn yet
    beside: _Beside = ((_KEY, None), (_RUNS, ()), (_PLACE, (place[0], 0)), (_TRIAL, None))
    if row["config"] is not None:
        config, beside = _config_of(row["config"])
    here = {_KEY: key, _RUNS: runs, _PLACE: place, _TRIAL: trial}
    if any(value != here[name] for name, value in beside):
        raise ValueError("what stands beside its configuration isn't what was written with it")
    return Task(
        position=row["position"],
        stage=row["stage"],
        key=key,
        config=config,
        runs=runs,
        state=TaskState(row["state"]),
        owner=row["owner"],
        token=row["token"],
        age=row["age"],
        attempts=row["attempts"],
        trial=trial,
        progress=None if far is None else Progress(**far),
        outcome=None if told is None else _outcome_of(told),
        reason=row["reason"],
        ending=row["ending"],
    )


def _outcome_of(raw: Mapping[str, Any]) -> TrialOutcome:
    """Return a stored outcome, by which a study decides.

    Raises:
        ValueError: It has no numbers where they must be.
    """
    found = TrialOutcome.from_json(raw)
    if not (isinstance(found.value, int | float) and isinstance(found.std, int | float)):
        raise ValueError("the score must be a number")
    return found


@functools.lru_cache(maxsize=4096)
def _config_of(text: str) -> tuple[Config, _Beside]:
    """Return a stored configuration; the tasks of a study are read again and again.

    With it comes what was written beside it, by name: key, runs, place and trial. Earlier versions
    have the first two of them, or none.
    """
    record = unseal(text, "the configuration of a task")
    if _CONFIG not in record:
        return Config.from_stored(record), ()
    found = [(name, record[name]) for name in (_KEY, _RUNS, _PLACE, _TRIAL) if name in record]
    beside = tuple((name, tuple(v) if isinstance(v, list) else v) for name, v in found)
    return Config.from_stored(record[_CONFIG]), beside
