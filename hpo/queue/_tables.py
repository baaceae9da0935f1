"""The two tables of the ledger, and their rows as Python sees them."""

import dataclasses
from typing import Any

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["Fenced", "NewTask", "NewTrial", "StudyRow", "Task", "metadata", "studies", "tasks"]

metadata = MetaData()
studies = Table(
    "hpo_studies",
    metadata,
    Column("study", String(200), primary_key=True),
    Column("definition", Text, nullable=False),
    Column("deadline", Float),
    Column("max_tasks", Integer),
)
tasks = Table(
    "hpo_tasks",
    metadata,
    Column("study", String(200), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("stage", Integer, nullable=False),
    Column("config_key", String(40)),
    Column("config", Text),
    Column("runs", Text, nullable=False),
    Column("state", String(10), nullable=False, default="open"),
    Column("owner", String(200)),
    Column("token", Integer, nullable=False, default=0),
    Column("heartbeat", Float),
    Column("attempts", Integer, nullable=False, default=0),
    Column("trial", Integer),
    Column("progress", Text),
    Column("outcome", Text),
    Column("reason", Text),
    UniqueConstraint("study", "config_key", name="uq_hpo_tasks_config"),
    Index("ix_hpo_tasks_state", "study", "state", "position"),
    # counts what was claimed, however many there are
    Index("ix_hpo_tasks_token", "study", "token"),
)


class Fenced(RuntimeError):  # noqa: N818 - what happened to the worker, not a mistake of its
    """The task was taken over by another worker; nothing was written."""


@dataclasses.dataclass(frozen=True)
class NewTask:
    """A task to be opened; ``config`` is None where the sampler is asked at the claim."""

    position: int
    stage: int
    config_key: str | None = None
    config: dict[str, Any] | None = None
    runs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class NewTrial:
    """An Optuna trial that is to be created, running.

    Attributes:
        study_id: Optuna's id of the study.
        params: By name, the value as Optuna stores it and the distribution as JSON.
        attributes: User attributes, JSON-ready.
    """

    study_id: int
    params: dict[str, tuple[float, str]]
    attributes: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Task:
    """A row of the ledger, as it was read.

    Attributes:
        position: Place in the study.
        stage: Stage of a greedy study; 0 in a sampled one.
        config_key: Unique within the study; None until the sampler was asked, and for a repeat.
        config: The configuration.
        runs: Addresses of the runs of its heads.
        state: ``open``, ``claimed``, ``done`` or ``failed``.
        owner: Who claimed it last.
        token: Of the latest claim.
        age: Seconds since the last heartbeat, by the database's clock; None if never claimed.
        attempts: Failures so far.
        trial: Number of the latest Optuna trial.
        progress: What the owner last said of its progress.
        outcome: The result, once it is done.
        reason: Of the last failure.
    """

    position: int
    stage: int
    config_key: str | None
    config: dict[str, Any] | None
    runs: tuple[str, ...]
    state: str
    owner: str | None
    token: int
    age: float | None
    attempts: int
    trial: int | None
    progress: dict[str, Any] | None
    outcome: dict[str, Any] | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class StudyRow:
    """What all workers of a study must agree on.

    Attributes:
        definition: Space, bundle and settings, as JSON.
        seconds_left: Until the study's deadline, negative after it; None without one.
        max_tasks: No more tasks than this are claimed; None for all.
    """

    definition: dict[str, Any]
    seconds_left: float | None
    max_tasks: int | None
