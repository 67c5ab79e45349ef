"""Comparisons name the run that measured them, so that one made on the command line is found by the same name."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Finished comparisons have the run's name in their report."""
    op.add_column("comparisons", sa.Column("run_id", sa.Text))
    connection = op.get_bind()
    reports = sa.text("SELECT comparison_id, content FROM report_files WHERE name = 'report.json'")
    for comparison_id, content in connection.execute(reports).all():
        try:
            run_id = json.loads(bytes(content))["id"]
        except (ValueError, KeyError, TypeError):
            continue
        update = sa.text("UPDATE comparisons SET run_id = :run_id WHERE id = :id")
        connection.execute(update, {"run_id": run_id, "id": comparison_id})
