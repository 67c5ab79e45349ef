"""The verdict in words: what to ship, why, and what the run cannot know."""

from advisor.data.dataset import Slice
from advisor.report.arms import candidates
from advisor.report.table import Cell, Table, row
from advisor.report.words import slice_words
from advisor.results.comparison import AuditFinding, Comparison, Severity, Verdict
from advisor.results.quantities import count, percent, scale_of

_STANDING = {
    Verdict.WINNER: "One arm is better than every other by more than the margin, and significantly so.",
    Verdict.BEST_CHOICE: (
        "No arm that may be as good costs less or answers faster. The headline names the largest loss that is still "
        "possible with this choice."
    ),
    Verdict.NO_CLEAR_WINNER: (
        "There is a trade-off: the arm with the highest score costs more, or is slower, than one that may be as good. "
        "More questions or a declared value of answers would settle it."
    ),
    Verdict.NOT_READY: (
        "The best arm does not reach the score that was declared to be good enough. The next steps below may get it "
        "there."
    ),
    Verdict.INSUFFICIENT_DATA: "There is not enough evidence for a verdict. The figures below are a first look.",
    Verdict.INVALID_COMPARISON: (
        "The audit found a fault that makes the figures misleading. They are shown so that you can fix it, not for a "
        "decision."
    ),
}


_ONLY_ONE_LEFT = (
    "All other arms break a declared constraint or could not be judged. This says nothing about how well the arm "
    "answers: look at its quality below before you ship it."
)


def standing(comparison: Comparison) -> str:
    """What kind of verdict this is, in a sentence or two."""
    if comparison.recommendation.verdict is Verdict.WINNER and _is_only_one_left(comparison):
        return _ONLY_ONE_LEFT
    return _STANDING[comparison.recommendation.verdict]


def unknowns(comparison: Comparison) -> tuple[str, ...]:
    """What this run cannot tell, in sentences."""
    recommendation = comparison.recommendation
    scale = scale_of(comparison, recommendation.metric)
    sentences = []
    effect = recommendation.minimum_detectable_effect
    if effect is None and _is_only_one_left(comparison):
        sentences.append("No difference was put to the test, because only one arm was left to choose.")
    elif comparison.race is not None:
        sentences.append(
            "A race has no smallest difference that it could detect: it asks until a difference is sure or the "
            "questions run out. What it could not tell apart is between the ends of the intervals below."
        )
    elif effect is None and recommendation.verdict is Verdict.NOT_READY:
        sentences.append("How the arms differ was not put to the test, because none is good enough.")
    elif effect is None:
        sentences.append("The smallest difference this test set could detect was not computed.")
    else:
        sentences.append(
            f"This test set detects a true difference of {scale.value(effect)} {scale.unit} or more four times out of "
            "five. A smaller one would often look like chance."
        )
    if recommendation.questions_needed is not None:
        sentences.append(
            f"About {count(recommendation.questions_needed)} test questions would settle the difference seen here; "
            f"this run had {count(_test_questions(comparison))}."
        )
    elif recommendation.verdict is Verdict.NO_CLEAR_WINNER and comparison.race is None:
        sentences.append("No realistic number of questions would settle a difference like the one seen here.")
    sentences.append(
        f"The overall figures assume that training covers {percent(recommendation.coverage)} of what users ask "
        f"({_weights(comparison)}). Another mix can change the verdict."
    )
    missing = {arm.id: _unscored(comparison, arm.id) for arm in candidates(comparison)}
    if any(missing.values()):
        listed = ", ".join(f"{kind} {count(number)}" for kind, number in missing.items() if number)
        sentences.append(f"Some answers could not be scored, and are left out rather than counted as wrong: {listed}.")
    return tuple(sentences)


def urgent_findings(comparison: Comparison) -> list[AuditFinding]:
    """Findings that block the verdict or warn of it, the blocking ones first."""
    return [
        finding
        for severity in (Severity.BLOCK, Severity.WARN)
        for finding in comparison.findings
        if finding.severity is severity
    ]


def severity_text(severity: Severity) -> str:
    """The severity as people read it."""
    return {
        Severity.BLOCK: "Blocks the verdict",
        Severity.WARN: "Warning",
        Severity.NOTE: "Note",
    }[severity]


def best_chance_table(comparison: Comparison) -> Table | None:
    """How often each candidate came out on top when the questions were drawn again."""
    shares = comparison.recommendation.probability_best
    if not shares or _is_only_one_left(comparison):
        return None
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return Table(
        caption="Chance of being the best",
        columns=("Arm", "Best in"),
        rows=tuple(row(kind, Cell(percent(share))) for kind, share in ordered),
        note="The test questions are drawn again many times; this is the share of draws in which the arm scores "
        "highest. It says nothing about how large the lead is.",
    )


def _is_only_one_left(comparison: Comparison) -> bool:
    """Whether there was nothing left to compare the arm with; chances are shared out among the arms compared."""
    return len(comparison.recommendation.probability_best) == 1


def _weights(comparison: Comparison) -> str:
    weights = comparison.recommendation.slice_weights
    return ", ".join(f"{_slice(name)} {percent(share)}" for name, share in weights.items()) or "no weights declared"


def _slice(name: str) -> str:
    return slice_words(Slice(name)) if name in set(Slice) else name


def _test_questions(comparison: Comparison) -> int:
    return max((arm.n_questions for arm in comparison.arms), default=0)


def _unscored(comparison: Comparison, kind: str) -> int:
    summary = comparison.arm(kind).metric(comparison.recommendation.metric)
    return summary.n_unscored if summary is not None else 0
