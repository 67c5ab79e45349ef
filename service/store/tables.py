"""The tables of the service: everything acknowledged to a caller is in one of them.

Files under the data directory (indexes, adapters, unpacked datasets) are made of what stands here and can be made
again. Times are seconds since 1970 in UTC; JSON is stored as text, so that SQLite and Postgres keep the same bytes.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from service.contract.scope import DEFAULT_WORKSPACE

metadata = MetaData()


def _workspace(*, primary_key: bool = False) -> Column[str]:
    """Whose a row is; `service.store.workspaces` narrows every statement by it, and by the parents of other tables."""
    # The server's default is for programs of earlier versions that still run while the tables are brought up to date.
    return Column(
        "workspace",
        String(64),
        primary_key=primary_key,
        nullable=False,
        default=DEFAULT_WORKSPACE,
        server_default=DEFAULT_WORKSPACE,
    )


api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),  # "read", "read run" or "read run admin"
    Column("requests_per_minute", Integer),  # None: no limit of its own
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
    _workspace(),
    Column("max_spend_usd", Double),  # None: no limit of its own
    Column("spent_usd", Double, nullable=False, default=0.0, server_default="0"),  # at endpoints, as it is told
)

datasets = Table(
    "datasets",
    metadata,
    _workspace(primary_key=True),
    # The content hash over all files: the same files are the same version, whoever uploads them.
    Column("version", String(64), primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("card", Text, nullable=False),  # JSON
    Column("findings", Text, nullable=False),  # JSON, of the audit at upload
    Column("n_documents", Integer, nullable=False),
    Column("split_sizes", Text, nullable=False),  # JSON
    Column("frozen", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
)

dataset_files = Table(
    "dataset_files",
    metadata,
    _workspace(primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("path", String(512), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    ForeignKeyConstraint(["workspace", "version"], ["datasets.workspace", "datasets.version"], ondelete="CASCADE"),
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("dataset", Text, nullable=False),  # name of a bundled dataset, or a version of `datasets`
    Column("settings", Text, nullable=False),  # JSON of ComparisonSettings
    Column("sent_files", Text),  # JSON: what a caller sent in place of files, megabytes perhaps, which no list needs
    Column("state", String(16), nullable=False),  # ComparisonState
    Column("cancel_requested", Boolean, nullable=False),
    Column("error", Text),  # what to tell the user, where it failed
    Column("idempotency_key", Text, unique=True),
    Column("request_sha256", String(64)),  # a key used again for another request is refused
    Column("estimate", Text),  # JSON
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("run_id", Text),  # of the measurement, once it has succeeded; equal comparisons share it
    _workspace(),
    Column("made_by", String(32)),  # id of the key whose limit of spending counts; None: no key
    Index("comparisons_by_age", "created_at"),
    # SQLite reads a row up to the last column it needs: the workspace lies behind what callers sent.
    Index("comparisons_by_workspace", "workspace", "created_at"),
)

QUESTION_RUN, FRESHNESS_RUN = "questions:", "freshness:"
"""Begin the ids of rows of `comparisons` that are side runs: worked on by the same jobs, through the same states, with
a result of their own (`service.run.side_run`). No id of a comparison holds a colon."""

IS_COMPARISON = comparisons.c.id.not_like("%:%")

events = Table(
    "events",
    metadata,
    Column("comparison_id", ForeignKey("comparisons.id", ondelete="CASCADE"), primary_key=True),
    # 1, 2, 3 … without a gap within a comparison: the id a stream is resumed at.
    Column("sequence", Integer, primary_key=True),
    Column("type", String(32), nullable=False),  # "state", "progress", "block", "training", "resources", …
    Column("data", Text, nullable=False),  # JSON
    Column("created_at", Double, nullable=False),
)

answer_blocks = Table(
    "answer_blocks",
    metadata,
    # Names arm and questions by the hash of all that decided the answers: comparisons share blocks.
    Column("stage", String(64), primary_key=True),
    Column("block", String(32), primary_key=True),  # hash of the question ids
    Column("answers", Text, nullable=False),  # JSON: {question id: answer}
    Column("wall_s", Double, nullable=False),
    Column("created_at", Double, nullable=False),
)

report_files = Table(
    "report_files",
    metadata,
    Column("comparison_id", ForeignKey("comparisons.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(64), primary_key=True),  # report.json, report.md, report.html, junit.xml, results.jsonl, …
    Column("content", LargeBinary, nullable=False),
)

baselines = Table(
    "baselines",
    metadata,
    _workspace(primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("comparison_id", ForeignKey("comparisons.id"), nullable=False),
    Column("created_at", Double, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    _workspace(primary_key=True),
    # The alias serves its highest revision; rolling back adds a revision that names the earlier target.
    Column("alias", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("comparison_id", ForeignKey("comparisons.id"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("created_at", Double, nullable=False),
)

votes = Table(
    "votes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("comparison_id", ForeignKey("comparisons.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("question", Text, nullable=False),
    Column("first", String(32), nullable=False),
    Column("second", String(32), nullable=False),
    Column("preferred", String(32)),  # None: neither
    Column("voter", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("comparison_id", "question", "first", "second", "voter"),
)

labels = Table(
    "labels",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("comparison_id", ForeignKey("comparisons.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("example_id", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("answer_hash", String(64), nullable=False),
    Column("good", Boolean),  # None: the person left it out
    Column("voter", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("comparison_id", "example_id", "answer_hash", "voter"),
)

shares = Table(
    "shares",
    metadata,
    Column("comparison_id", ForeignKey("comparisons.id", ondelete="CASCADE"), primary_key=True),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
)
