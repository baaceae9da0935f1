"""What is stored as JSON has a checksum in it, which earlier versions can't read past."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Change nothing: rows without a checksum are read as before."""
