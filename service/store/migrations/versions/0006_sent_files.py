"""What callers sent in place of files, apart from settings, so that lists need not load it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """A column; rows that exist keep theirs among the settings."""
    op.add_column("comparisons", sa.Column("sent_files", sa.Text(), nullable=True))
