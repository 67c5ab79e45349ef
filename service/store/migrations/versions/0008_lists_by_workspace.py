"""Lists of a workspace need not walk through what callers sent, which lies before the workspace in a row."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """One index; nothing that is there changes."""
    op.create_index("comparisons_by_workspace", "comparisons", ["workspace", "created_at"])
