"""A study can have an identity, by which it is told from another one of the same name."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("hpo_studies", sa.Column("identity", sa.String(40)))
