"""What people say of single answers of a comparison."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """A row a person and answer."""
    op.create_table(
        "labels",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("comparison_id", sa.String(64), sa.ForeignKey("comparisons.id", ondelete="CASCADE"), nullable=False),
        sa.Column("example_id", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("answer_hash", sa.String(64), nullable=False),
        sa.Column("good", sa.Boolean),
        sa.Column("voter", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.UniqueConstraint("comparison_id", "example_id", "answer_hash", "voter"),
    )
    op.create_index("ix_labels_comparison_id", "labels", ["comparison_id"])
