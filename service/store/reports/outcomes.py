"""What came of finished comparisons, for lists: read once from each report and kept."""

from dataclasses import dataclass

from sqlalchemy import Engine

from advisor.errors import EvaluationError
from advisor.results.json_report import read_comparison
from service.contract.comparison_state import ComparisonState
from service.store.comparison_store import StoredComparison
from service.store.data_directory import REPORT_FILE
from service.store.recently_used import RecentlyUsed
from service.store.reports.stored_reports import read_report_files

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
    score: float | None = None


class Outcomes:
    """Outcomes of the comparisons that were listed last."""

    def __init__(self, n_kept: int = N_KEPT) -> None:
        self._kept: RecentlyUsed[tuple[str, float], Outcome] = RecentlyUsed(n_kept, lambda _: 1)

    def find(self, engine: Engine, stored: StoredComparison) -> Outcome:
        """The outcome of a comparison."""
        if stored.state is not ComparisonState.SUCCEEDED:
            return Outcome()
        return self._kept.find((stored.id, stored.finished_at or 0.0), lambda: _read(engine, stored.id))


def _read(engine: Engine, comparison_id: str) -> Outcome:
    content = read_report_files(engine, comparison_id, REPORT_FILE).get(REPORT_FILE)
    try:
        found = read_comparison((content or b"").decode("utf-8"))
    except (EvaluationError, ValueError):
        return Outcome()
    advice = found.recommendation
    arm = next((one for one in found.arms if one.id == advice.arm), None)
    summary = arm.metric(advice.metric) if arm is not None else None
    score = summary.interval.estimate if summary is not None and summary.interval is not None else None
    return Outcome(advice.verdict, advice.arm, advice.headline, advice.metric, score)
