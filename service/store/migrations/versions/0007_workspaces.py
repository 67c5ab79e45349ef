"""Workspaces: keys, and what is made with them, belong to one; and how much a key may spend."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """All that is there belongs to the workspace `default`."""
    op.add_column("api_keys", _workspace())
    op.add_column("api_keys", sa.Column("max_spend_usd", sa.Double()))
    op.add_column("api_keys", sa.Column("spent_usd", sa.Double(), nullable=False, server_default="0"))
    op.add_column("comparisons", _workspace())
    op.add_column("comparisons", sa.Column("made_by", sa.String(32)))
    _made_again(
        "datasets",
        [
            sa.Column("version", sa.String(64), primary_key=True),
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("card", sa.Text(), nullable=False),
            sa.Column("findings", sa.Text(), nullable=False),
            sa.Column("n_documents", sa.Integer(), nullable=False),
            sa.Column("split_sizes", sa.Text(), nullable=False),
            sa.Column("frozen", sa.Boolean(), nullable=False),
            sa.Column("created_at", sa.Double(), nullable=False),
        ],
    )
    op.drop_index("ix_datasets_name", "datasets_before")
    op.create_index("ix_datasets_name", "datasets", ["name"])
    _made_again(
        "dataset_files",
        [
            sa.Column("version", sa.String(64), primary_key=True),
            sa.Column("path", sa.String(512), primary_key=True),
            sa.Column("content", sa.LargeBinary(), nullable=False),
            sa.ForeignKeyConstraint(
                ["workspace", "version"], ["datasets.workspace", "datasets.version"], ondelete="CASCADE"
            ),
        ],
    )
    _made_again(
        "baselines",
        [
            sa.Column("name", sa.String(128), primary_key=True),
            sa.Column("comparison_id", sa.String(64), sa.ForeignKey("comparisons.id"), nullable=False),
            sa.Column("created_at", sa.Double(), nullable=False),
        ],
    )
    _made_again(
        "deployments",
        [
            sa.Column("alias", sa.String(64), primary_key=True),
            sa.Column("revision", sa.Integer(), primary_key=True),
            sa.Column("comparison_id", sa.String(64), sa.ForeignKey("comparisons.id"), nullable=False),
            sa.Column("kind", sa.String(32), nullable=False),
            sa.Column("created_at", sa.Double(), nullable=False),
        ],
    )
    for table in ("dataset_files", "datasets", "baselines", "deployments"):
        op.drop_table(f"{table}_before")


def _workspace(*, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column("workspace", sa.String(64), primary_key=primary_key, nullable=False, server_default="default")


def _made_again(table: str, items: list[sa.schema.SchemaItem]) -> None:
    """The table with the workspace in its primary key, which SQLite cannot change, and all rows."""
    before = f"{table}_before"
    op.rename_table(table, before)
    if op.get_bind().dialect.name == "postgresql":
        # The index of the primary key would keep the name that the new one is to have.
        op.execute(f"ALTER INDEX {table}_pkey RENAME TO {before}_pkey")
    op.create_table(table, _workspace(primary_key=True), *items)
    names = ", ".join(item.name for item in items if isinstance(item, sa.Column))
    op.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {before}")
