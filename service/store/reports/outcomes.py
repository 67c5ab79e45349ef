"""What came of finished comparisons, for lists: read once from each report and kept."""

from dataclasses import dataclass

from sqlalchemy import Engine

from advisor.results.comparison import Interval
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import StoredComparison
from service.store.recently_used import RecentlyUsed
from service.store.reports.stored_reports import readable_report

N_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of a comparison; nothing where it has no report that can be read.

    Attributes:
        score: Of the recommended arm, by the deciding metric and in its units.
    """

    verdict: str | None = None
    recommended_arm: str | None = None
    headline: str | None = None
    metric: str | None = None
    score: Interval | None = None


class Outcomes:
    """Outcomes of the comparisons that were listed last."""

    def __init__(self) -> None:
        self._kept: RecentlyUsed[tuple[str, float], Outcome] = RecentlyUsed(N_KEPT, lambda _: 1)

    def find(self, engine: Engine, stored: StoredComparison) -> Outcome:
        """The outcome of a comparison."""
        if stored.state is not ComparisonState.SUCCEEDED:
            return Outcome()
        return self._kept.find((stored.id, stored.finished_at or 0.0), lambda: read_outcome(engine, stored.id))


def read_outcome(engine: Engine, comparison_id: str) -> Outcome:
    """What the stored report says."""
    found = readable_report(engine, comparison_id)
    if found is None:
        return Outcome()
    advice = found.recommendation
    arm = next((one for one in found.arms if one.id == advice.arm), None)
    summary = arm.metric(advice.metric) if arm is not None else None
    score = summary.interval if summary is not None else None
    return Outcome(advice.verdict, advice.arm, advice.headline, advice.metric, score)
