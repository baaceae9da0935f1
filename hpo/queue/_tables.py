"""The two tables of the ledger, as the latest migration leaves them."""

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

__all__ = ["metadata", "studies", "tasks"]

metadata = MetaData()
studies = Table(
    "hpo_studies",
    metadata,
    Column("study", String(200), primary_key=True),
    Column("definition", Text, nullable=False),
    Column("deadline", Float),
    Column("max_tasks", Integer),
    Column("epochs", Integer),
    Column("allotted", Integer),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("stopped", Text),
    Column("identity", String(40)),
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
    Column("state", String(10), nullable=False),
    Column("owner", String(200)),
    Column("token", Integer, nullable=False),
    Column("heartbeat", Float),
    Column("attempts", Integer, nullable=False),
    Column("trial", Integer),
    Column("progress", Text),
    Column("outcome", Text),
    Column("reason", Text),
    Column("pauses", Text),
    Column("ending", Text),
    UniqueConstraint("study", "config_key", name="uq_hpo_tasks_config"),
    Index("ix_hpo_tasks_state", "study", "state", "position"),
    # counts what was claimed, however many there are
    Index("ix_hpo_tasks_token", "study", "token"),
)
