"""Links to the verdicts of comparisons."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """A row a comparison that is shared."""
    op.create_table(
        "shares",
        sa.Column(
            "comparison_id", sa.String(64), sa.ForeignKey("comparisons.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.Double, nullable=False),
    )
