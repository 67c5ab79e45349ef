"""Leases and handed-on stages go: one process works on a comparison (docs/adr/0012-one-engine.md)."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Both held only what is made again."""
    op.drop_table("stage_files")
    op.drop_table("leases")
