"""Tasks can be paused: the state ``paused``, and how far they were whenever they were."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    op.add_column("hpo_tasks", sa.Column("pauses", sa.Text))
