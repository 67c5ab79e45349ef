"""Links to one verdict each: random tokens of which only a hash is kept."""

import re
import secrets
import time

from sqlalchemy import Engine, delete, insert, select

from lm.files import sha256
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import find_comparison
from service.store.database import writing
from service.store.reports.stored_reports import NotFinishedError
from service.store.tables import shares

PREFIX = "tfs_"
_TOKEN = re.compile(r"tfs_[A-Za-z0-9_-]{43}")


def share_comparison(engine: Engine, comparison_id: str) -> str:
    """A token that opens the verdict of a finished comparison; an earlier one of the same comparison ends.

    Raises:
        ComparisonNotFoundError: there is no such comparison.
        NotFinishedError: it has no verdict.
    """
    found = find_comparison(engine, comparison_id)
    if found.state is not ComparisonState.SUCCEEDED:
        raise NotFinishedError(f"{comparison_id} is {found.state} and has no verdict to share; wait until it has one")
    token = PREFIX + secrets.token_urlsafe(32)
    with writing(engine) as connection:
        connection.execute(delete(shares).where(shares.c.comparison_id == comparison_id))
        connection.execute(
            insert(shares).values(comparison_id=comparison_id, token_sha256=sha256(token), created_at=time.time())
        )
    return token


def revoke_share(engine: Engine, comparison_id: str) -> None:
    """End the link of a comparison, if it has one.

    Raises:
        ComparisonNotFoundError: there is no such comparison.
    """
    find_comparison(engine, comparison_id)
    with writing(engine) as connection:
        connection.execute(delete(shares).where(shares.c.comparison_id == comparison_id))


def shared_comparison(engine: Engine, token: str) -> str | None:
    """The comparison that a token opens; None where it is unknown, malformed or revoked."""
    if not _TOKEN.fullmatch(token):
        return None
    # The database compares hashes of 256-bit secrets, whose order tells a caller nothing about the secret.
    query = select(shares.c.comparison_id).where(shares.c.token_sha256 == sha256(token))
    with engine.connect() as connection:
        found: str | None = connection.execute(query).scalar()
    return found
