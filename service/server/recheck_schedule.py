"""Decisions that somebody relies on are looked at again, and the operator is told when one falls."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
from sqlalchemy import Engine, select

from advisor.decision.record import Recheck, RecheckOutcome
from advisor.results.plain_data import to_plain
from lm.errors import TuningForkError
from service.contract.comparison_state import ComparisonState
from service.run.finished.recheck import recheck_comparison
from service.serving.deployment_store import list_deployments
from service.store.comparisons.comparison_store import StoredComparison, find_comparison
from service.store.comparisons.events import RECHECK, append_event, newest_event
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.tables import IS_COMPARISON, baselines, comparisons

LOOK_INTERVAL_S = 60.0
WEBHOOK_TIMEOUT_S = 10.0

_LOG = logging.getLogger("tuning_fork.service")

Tell = Callable[[str, Recheck], None]
"""Takes the id of a comparison, and what became of its decision."""


def recheck_due(engine: Engine, directory: DataDirectory, every_s: float, tell: Tell) -> None:
    """Recheck each comparison that is relied on and was not looked at for that long."""
    for comparison_id in relied_on(engine):
        stored = find_comparison(engine, comparison_id)
        looked_at, known = _last(engine, stored)
        if time.time() - looked_at < every_s:
            continue
        try:
            found = recheck_comparison(engine, directory, stored, datetime.now(UTC).date())
        except TuningForkError as error:
            _LOG.warning("the decision of %s cannot be rechecked: %s", comparison_id, error)
            continue
        with writing(engine) as connection:
            append_event(connection, comparison_id, RECHECK, to_plain(found))
        if found.outcome is not RecheckOutcome.HOLDS and found.outcome != known:
            tell(comparison_id, found)


def relied_on(engine: Engine) -> list[str]:
    """Comparisons that an alias serves or a baseline names; where there are none, the one that finished last."""
    newest = (
        select(comparisons.c.id)
        .where(IS_COMPARISON, comparisons.c.state == ComparisonState.SUCCEEDED)
        .order_by(comparisons.c.finished_at.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        named = list(connection.execute(select(baselines.c.comparison_id)).scalars())
        last = list(connection.execute(newest).scalars())
    named += [deployment.comparison_id for deployment in list_deployments(engine)]
    return sorted(set(named)) or last


def webhook(url: str) -> Tell:
    """Posts JSON to an address of the operator's: comparison, and the recheck as `tuningfork recheck --json` has it."""

    def tell(comparison_id: str, found: Recheck) -> None:
        try:
            body = {"comparison": comparison_id, "recheck": to_plain(found)}
            httpx.post(url, json=body, timeout=WEBHOOK_TIMEOUT_S).raise_for_status()
        except httpx.HTTPError as error:
            _LOG.warning("the webhook call about the decision of %s failed: %s", comparison_id, error)

    return tell


def _last(engine: Engine, stored: StoredComparison) -> tuple[float, str]:
    """When the decision was made or looked at last, and what was found."""
    event = newest_event(engine, stored.id, RECHECK)
    if event is None:
        return stored.finished_at or 0.0, RecheckOutcome.HOLDS
    return event.created_at, str(event.data["outcome"])
