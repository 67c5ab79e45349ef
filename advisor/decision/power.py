"""What a test set can show before anything is run, by its counts alone."""

from dataclasses import dataclass
from math import ceil, sqrt

from advisor.decision.recommendation import are_too_few, too_few_headline
from advisor.evidence.statistics import minimum_detectable_effect, questions_needed
from advisor.results.quantities import count

DISCORDANCE = 0.35
"""Assumed share of questions that one of two arms answers rightly and the other wrongly."""
CLUSTER_CORRELATION = 0.2
"""Assumed correlation of that within questions on one document or fact."""
WORTHWHILE = 0.1
"""A difference that most teams would act on, in score units."""


@dataclass(frozen=True, slots=True)
class TestSetPower:
    """What a test set is expected to show of two arms, with power .8 at alpha .05.

    Attributes:
        detectable: Smallest true difference it would show, in score units; at most 1.
        questions_for_margin: Test questions that would show a difference of the margin; None for a margin of 0.
        questions_for_ten_points: The same for a difference of 10 points.
        message: All of it in sentences, with what to do.
    """

    __test__ = False

    detectable: float
    questions_for_margin: int | None
    questions_for_ten_points: int
    message: str


def expected_power(n_questions: int, n_clusters: int, margin: float) -> TestSetPower:
    """What so many test questions on so many documents or facts can show.

    The standard error of a paired difference is sqrt(discordance / n), times the design effect of clusters.

    Source:
        Miller 2024, arXiv:2411.00640, section 5; Kish 1965, "Survey sampling", for the design effect.
    """
    spread = DISCORDANCE * (1 + (n_questions / n_clusters - 1) * CLUSTER_CORRELATION)
    error = sqrt(spread / n_questions)
    detectable = min(1.0, minimum_detectable_effect(error))

    def needed(effect: float) -> int:
        found = questions_needed(effect / minimum_detectable_effect(1.0), error, n_questions)
        assert found is not None
        return _rounded(found)

    for_margin, for_ten = needed(margin) if margin > 0 else None, needed(WORTHWHILE)
    return TestSetPower(
        detectable, for_margin, for_ten, _told(n_questions, n_clusters, detectable, margin, for_margin, for_ten)
    )


def _told(
    n_questions: int, n_clusters: int, detectable: float, margin: float, for_margin: int | None, for_ten: int
) -> str:
    told = f"{count(n_questions)} test questions can show differences above about {100 * detectable:.0f} points."
    if are_too_few(n_questions, n_clusters):
        told = too_few_headline(n_questions, n_clusters)
    wanted = {WORTHWHILE: for_ten} | ({margin: for_margin} if for_margin is not None else {})
    takes = [
        f"{'the margin of ' if effect == margin else ''}{100 * effect:g} points{' takes' if i == 0 else ''} about "
        f"{count(n)}{' questions' if i == 0 else ''}"
        for i, (effect, n) in enumerate((effect, n) for effect, n in wanted.items() if effect < detectable)
    ]
    return f"{told} Showing {', '.join(takes)}." if takes else told


def _rounded(n: int) -> int:
    """Upwards to two figures, which is what an assumption bears."""
    step = int(10 ** max(0, len(str(n)) - 2))
    return ceil(n / step) * step
