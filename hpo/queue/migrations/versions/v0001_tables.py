"""The two tables as they were before they had a version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "hpo_studies",
        sa.Column("study", sa.String(200), primary_key=True),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("deadline", sa.Float),
        sa.Column("max_tasks", sa.Integer),
    )
    op.create_table(
        "hpo_tasks",
        sa.Column("study", sa.String(200), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("config_key", sa.String(40)),
        sa.Column("config", sa.Text),
        sa.Column("runs", sa.Text, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("owner", sa.String(200)),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("heartbeat", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("trial", sa.Integer),
        sa.Column("progress", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text),
        sa.UniqueConstraint("study", "config_key", name="uq_hpo_tasks_config"),
    )
    op.create_index("ix_hpo_tasks_state", "hpo_tasks", ["study", "state", "position"])
    op.create_index("ix_hpo_tasks_token", "hpo_tasks", ["study", "token"])
