"""A study can have a budget in epochs and be stopped early; a task can be resumed to be ended."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("hpo_studies", sa.Column("epochs", sa.Integer))
    op.add_column("hpo_studies", sa.Column("allotted", sa.Integer))
    op.add_column(
        "hpo_studies", sa.Column("revision", sa.Integer, nullable=False, server_default="0")
    )
    op.add_column("hpo_studies", sa.Column("stopped", sa.Text))
    op.add_column("hpo_tasks", sa.Column("ending", sa.Text))
