"""What a reader wants first: one row an arm, what to do next, and three answers side by side. Data, no drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from advisor.arms import ARM_KINDS
from advisor.data.dataset import Slice
from advisor.metrics.abstention import declines
from advisor.report.arms import arm_name, candidates, pivot_arm, row_kind, shown_arms
from advisor.report.failures import is_wrong, main_score
from advisor.report.table import Cell, Row, Table
from advisor.report.words import metric_words
from advisor.results.comparison import ArmRole, ArmSummary, Comparison, Interval, QuestionRecord, Severity, Verdict
from advisor.results.quantities import count, percent, scale_of, seconds, usd

SHOWN_ANSWERS = 3


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """One row of the first table. Shares are of all test questions that were scored, in [0, 1].

    Attributes:
        right: The deciding metric, weighed by traffic; None where nothing was scored.
        made_up: Share of answers that claim something and are wrong; declined: share of the answerable questions that
            it declined. None where no records are at hand.
        usd_per_1000: Serving 1,000 questions. p95_s: p95 latency. build_s: wall time of building.
        tokens: Read and written, a question.
        on_frontier: No candidate scores as high for less money.
        is_reference: Only gives scale.
    """

    arm: str
    label: str
    right: Interval | None
    made_up: float | None
    declined: float | None
    usd_per_1000: float | None
    p95_s: float | None
    tokens: int
    build_s: float
    is_recommended: bool
    on_frontier: bool
    is_reference: bool


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something to do, and what it brings."""

    action: str
    effect: str


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One question with what two arms say.

    Attributes:
        kind: "a win", "a loss" or "a dangerous mistake".
        records: Of the arm of the verdict first, then of the rival; of a mistake the arm's alone.
    """

    kind: str
    question: str
    references: tuple[str, ...]
    records: tuple[QuestionRecord, ...]


def arm_facts(comparison: Comparison, records: Sequence[QuestionRecord] = ()) -> tuple[ArmFacts, ...]:
    """A row for each arm, candidates by score first, then references."""
    frontier = _frontier(comparison)
    return tuple(
        _facts(comparison, arm, [record for record in records if record.arm == arm.kind], arm.kind in frontier)
        for arm in shown_arms(comparison)
    )


def _facts(comparison: Comparison, arm: ArmSummary, records: Sequence[QuestionRecord], on_frontier: bool) -> ArmFacts:
    metric = comparison.recommendation.metric
    summary = arm.metric(metric)
    scored = [record for record in records if main_score(record, metric) is not None]
    answerable = [record for record in scored if record.slice is not Slice.UNANSWERABLE]
    made_up = sum(is_made_up(record, metric) for record in scored)
    declined = sum(declines(record.answer.text, record.references) for record in answerable)
    usage = arm.usage_per_question
    return ArmFacts(
        arm=arm.kind,
        label=arm.label,
        right=summary.interval if summary is not None else None,
        made_up=made_up / len(scored) if scored else None,
        declined=declined / len(answerable) if answerable else None,
        usd_per_1000=1000 * arm.cost.serve_usd_per_query if arm.cost is not None else None,
        p95_s=arm.latency.p95_s if arm.latency is not None else None,
        tokens=usage.input_tokens + usage.output_tokens,
        build_s=arm.build_usage.wall_s,
        is_recommended=arm.kind == comparison.recommendation.arm,
        on_frontier=on_frontier,
        is_reference=arm.role is ArmRole.REFERENCE,
    )


def is_made_up(record: QuestionRecord, metric: str) -> bool:
    """Whether an answer claims something and is wrong: worse for who relies on it than one that declines."""
    wrong = is_wrong(record, metric) and record.failure != "wrong form"
    return wrong and bool(record.answer.text.strip()) and not declines(record.answer.text, record.references)


def _frontier(comparison: Comparison) -> frozenset[str]:
    """Candidates that no other equals or passes in score for less money, nor passes for as much."""
    metric = comparison.recommendation.metric
    found: dict[str, tuple[float, float]] = {}
    for arm in candidates(comparison):
        summary = arm.metric(metric)
        if arm.cost is None or summary is None or summary.interval is None:
            continue
        if isfinite(arm.cost.serve_usd_per_query):
            found[arm.kind] = (summary.interval.estimate, -arm.cost.serve_usd_per_query)
    return frozenset(
        kind
        for kind, own in found.items()
        if not any(other != own and other[0] >= own[0] and other[1] >= own[1] for other in found.values())
    )


def next_steps(comparison: Comparison, records: Sequence[QuestionRecord] = ()) -> tuple[NextStep, ...]:
    """What to do now, the most urgent first."""
    recommendation = comparison.recommendation
    steps = [
        NextStep(finding.remedy, f"Lifts what blocks the verdict: {finding.check}.")
        for finding in comparison.findings
        if finding.severity is Severity.BLOCK and finding.remedy
    ]
    n_asked = max((arm.n_questions for arm in comparison.arms), default=0)
    more = (recommendation.questions_needed or 0) - n_asked
    if recommendation.verdict is Verdict.NO_CLEAR_WINNER and more > 0:
        steps.append(
            NextStep(
                f"Add {count(more)} questions",
                "Settles the trade-off in 4 of 5 runs, if the arms differ as they did here.",
            )
        )
    if recommendation.verdict is Verdict.NOT_READY:
        steps.append(NextStep("Try a stronger model", "The best arm does not reach the score that is good enough."))
    best = pivot_arm(comparison)
    kinds = [record.failure for record in records if record.arm == best and record.failure]
    retrieves = best is not None and best in ARM_KINDS and ARM_KINDS[best].retrieves
    top_k = comparison.settings.get("top_k")
    if retrieves and isinstance(top_k, int):
        if _is_common("not retrieved", kinds):
            steps.append(NextStep(f"Try {2 * top_k} passages", "The right passage was missing for many wrong answers."))
        elif top_k > 1 and _is_common("contradicted", kinds):
            steps.append(
                NextStep("Try 1 passage", "Many wrong answers were taken from another passage than the right one.")
            )
    if retrieves and recommendation.verdict is not Verdict.NOT_READY and _is_common("made up", kinds):
        steps.append(NextStep("Try a stronger model", "Many wrong answers stand in none of the passages it read."))
    if recommendation.arm is not None:
        steps.append(
            NextStep(
                f"Deploy {recommendation.arm}",
                "Gives it an alias, such as `production`, that applications call and that can be rolled back.",
            )
        )
    return tuple(steps)


def _is_common(kind: str, kinds: Sequence[str]) -> bool:
    return len(kinds) > 0 and 3 * kinds.count(kind) >= len(kinds)


def side_by_side(comparison: Comparison, records: Sequence[QuestionRecord]) -> tuple[SideBySide, ...]:
    """A win of the arm of the verdict over its closest rival, a loss, and a mistake of its own, if there are any."""
    metric, arm = comparison.recommendation.metric, pivot_arm(comparison)
    rival = next((one.kind for one in candidates(comparison) if one.kind != arm), None)
    by_arm = {kind: {record.example_id: record for record in records if record.arm == kind} for kind in (arm, rival)}
    shown: list[SideBySide] = []
    for kind, wanted in (("a win", (True, False)), ("a loss", (False, True))):
        for example_id, ours in by_arm[arm].items():
            theirs = by_arm[rival].get(example_id)
            if theirs is None or None in (main_score(ours, metric), main_score(theirs, metric)):
                continue
            if (not is_wrong(ours, metric), not is_wrong(theirs, metric)) == wanted:
                shown.append(SideBySide(kind, ours.question, ours.references, (ours, theirs)))
                break
    told = {record.example_id for one in shown for record in one.records}
    mistakes = [
        record for record in by_arm[arm].values() if is_made_up(record, metric) and record.example_id not in told
    ]
    # What nothing answers and is answered all the same misleads most.
    mistakes.sort(key=lambda record: record.slice is not Slice.UNANSWERABLE)
    shown += [SideBySide("a dangerous mistake", m.question, m.references, (m,)) for m in mistakes[:1]]
    return tuple(shown[:SHOWN_ANSWERS])


FACTS_CAPTION = "The arms at a glance"


def facts_table(comparison: Comparison, records: Sequence[QuestionRecord] = ()) -> Table:
    """The same rows as a table."""
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    kinds = {arm.kind: arm for arm in comparison.arms}
    facts = arm_facts(comparison, records)
    # Where a thousand questions cost less than a cent, the arms could not be told apart by it.
    is_cheap = any(one.usd_per_1000 is not None and 0 < one.usd_per_1000 < 0.005 for one in facts)
    return Table(
        caption=FACTS_CAPTION,
        columns=(
            f"Arm ({metric_words(metric)}, {metric})",
            "Right",
            "Made up",
            "Declined though answerable",
            "$ per million" if is_cheap else "$ per 1,000",
            "p95 latency",
            "Tokens",
            "Build time",
        ),
        rows=tuple(
            Row(
                (
                    Cell(arm_name(comparison, kinds[one.arm]), "best for its price" if one.on_frontier else ""),
                    Cell(scale.interval(one.right)),
                    Cell(percent(one.made_up)),
                    Cell(percent(one.declined)),
                    Cell(usd(None if one.usd_per_1000 is None else one.usd_per_1000 * (1000 if is_cheap else 1))),
                    Cell(seconds(one.p95_s)),
                    Cell(count(one.tokens)),
                    Cell(seconds(one.build_s)),
                ),
                row_kind(comparison, kinds[one.arm]),
            )
            for one in facts
        ),
        note="Right: with its 95 % interval, weighed by traffic. Made up: claims something and is wrong. Best for its "
        "price: no candidate scores as high for less money. Tokens are read and written for one question.",
    )
