"""What a reader wants first: one row an arm, what to do next, and three answers side by side. Data, no drawing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from advisor.arms import ARM_KINDS
from advisor.data.dataset import Slice
from advisor.metrics.abstention import declines
from advisor.report.arms import arm_name, candidates, pivot_arm, row_kind, shown_arms
from advisor.report.sections.failures import main_score
from advisor.report.table import Cell, Row, Table
from advisor.report.words import metric_words
from advisor.results.answer import TOKENS
from advisor.results.comparison import ArmRole, ArmSummary, Comparison, Interval, QuestionRecord, Severity, Verdict
from advisor.results.quantities import MISSING, count, percent, scale_of, seconds, usd


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
    tokens: int | None
    build_s: float | None
    is_recommended: bool
    on_frontier: bool
    is_reference: bool


class StepKind(StrEnum):
    """Where a next step is taken."""

    FIX = "fix"
    QUESTIONS = "questions"
    MODEL = "model"
    SETTINGS = "settings"
    DEPLOY = "deploy"


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something to do, and what it brings.

    Attributes:
        settings: What a comparison would be given anew, by the names of its settings.
    """

    action: str
    effect: str
    kind: StepKind
    settings: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Answered:
    """What an arm said to a test question, and how that was scored.

    Attributes:
        score: Of the deciding metric; None where it is unscored.
        failure: Kind of failure of a wrong answer, or "".
    """

    arm: str
    example_id: str
    question: str
    references: tuple[str, ...]
    slice: Slice
    text: str
    score: float | None
    failure: str

    @property
    def is_right(self) -> bool:
        """Whether it got full marks."""
        return self.score is not None and self.score >= 1

    @property
    def is_made_up(self) -> bool:
        """Whether it claims something and is wrong: worse for who relies on it than one that declines."""
        is_wrong = self.score is not None and self.score < 1 and self.failure != "wrong form"
        return is_wrong and bool(self.text.strip()) and not self.declines

    @property
    def declines(self) -> bool:
        """Whether it says that it does not know."""
        return declines(self.text, self.references)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One question with what two arms say.

    Attributes:
        kind: "a win", "a loss" or "a dangerous mistake".
        answers: Of the arm of the verdict first, then of the rival; of a mistake the arm's alone.
    """

    kind: str
    question: str
    references: tuple[str, ...]
    answers: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """What the answers of each arm come to, without their texts; by arm.

    Attributes:
        made_up: Share of the scored answers that claim something and are wrong.
        declined: Share of the answerable questions that it declined.
        failures: Wrong answers by kind.
    """

    made_up: Mapping[str, float] = field(default_factory=dict, hash=False)
    declined: Mapping[str, float] = field(default_factory=dict, hash=False)
    failures: Mapping[str, Mapping[str, int]] = field(default_factory=dict, hash=False)


NO_ANSWERS = Tally()


def answered(records: Iterable[QuestionRecord], metric: str) -> tuple[Answered, ...]:
    """Each record without what the first look does not need."""
    return tuple(
        Answered(
            record.arm,
            record.example_id,
            record.question,
            record.references,
            record.slice,
            record.answer.text,
            main_score(record, metric),
            record.failure,
        )
        for record in records
    )


def tallied(answers: Sequence[Answered]) -> Tally:
    """The answers of each arm, counted."""
    made_up, declined, failures = {}, {}, {}
    for arm in dict.fromkeys(answer.arm for answer in answers):
        own = [answer for answer in answers if answer.arm == arm]
        scored = [answer for answer in own if answer.score is not None]
        answerable = [answer for answer in scored if answer.slice is not Slice.UNANSWERABLE]
        if scored:
            made_up[arm] = sum(answer.is_made_up for answer in scored) / len(scored)
        if answerable:
            declined[arm] = sum(answer.declines for answer in answerable) / len(answerable)
        failures[arm] = Counter(answer.failure for answer in own if answer.failure)
    return Tally(made_up, declined, failures)


def arm_facts(comparison: Comparison, tally: Tally = NO_ANSWERS) -> tuple[ArmFacts, ...]:
    """A row for each arm, candidates by score first, then references."""
    best = frontier(comparison)
    return tuple(_facts(comparison, arm, tally, arm.id in best) for arm in shown_arms(comparison))


def _facts(comparison: Comparison, arm: ArmSummary, tally: Tally, on_frontier: bool) -> ArmFacts:
    summary = arm.metric(comparison.recommendation.metric)
    usage = arm.usage_per_question
    return ArmFacts(
        arm=arm.id,
        label=arm.label,
        right=summary.interval if summary is not None else None,
        made_up=tally.made_up.get(arm.id),
        declined=tally.declined.get(arm.id),
        usd_per_1000=1000 * arm.cost.serve_usd_per_query if arm.cost is not None else None,
        p95_s=arm.latency.p95_s if arm.latency is not None else None,
        tokens=None if TOKENS in arm.unknown else usage.input_tokens + usage.output_tokens,
        build_s=arm.build_s,
        is_recommended=arm.id == comparison.recommendation.arm,
        on_frontier=on_frontier,
        is_reference=arm.role is ArmRole.REFERENCE,
    )


def frontier(comparison: Comparison) -> frozenset[str]:
    """Candidates that no other equals or passes in score for less money, nor passes for as much."""
    metric = comparison.recommendation.metric
    found: dict[str, tuple[float, float]] = {}
    for arm in candidates(comparison):
        summary = arm.metric(metric)
        if arm.cost is None or summary is None or summary.interval is None:
            continue
        if isfinite(arm.cost.serve_usd_per_query):
            found[arm.id] = (summary.interval.estimate, -arm.cost.serve_usd_per_query)
    return frozenset(
        kind
        for kind, own in found.items()
        if not any(other != own and other[0] >= own[0] and other[1] >= own[1] for other in found.values())
    )


def next_steps(comparison: Comparison, tally: Tally = NO_ANSWERS) -> tuple[NextStep, ...]:
    """What to do now, the most urgent first."""
    recommendation = comparison.recommendation
    steps = [
        NextStep(finding.remedy, f"Lifts what blocks the verdict: {finding.check}.", StepKind.FIX)
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
                StepKind.QUESTIONS,
            )
        )
    if recommendation.verdict is Verdict.NOT_READY:
        effect = "The best arm does not reach the score that is good enough."
        steps.append(NextStep("Try a stronger model", effect, StepKind.MODEL))
    best = pivot_arm(comparison)
    kinds = tally.failures.get(best or "", {})
    kind = comparison.arm(best).kind if best is not None else ""
    retrieves = kind in ARM_KINDS and ARM_KINDS[kind].retrieves
    top_k = comparison.settings.get("top_k")
    if retrieves and isinstance(top_k, int):
        if _is_common("not retrieved", kinds):
            effect = "The right passage was missing for many wrong answers."
            steps.append(NextStep(f"Try {2 * top_k} passages", effect, StepKind.SETTINGS, {"top_k": 2 * top_k}))
        elif top_k > 1 and _is_common("contradicted", kinds):
            effect = "Many wrong answers were taken from another passage than the right one."
            steps.append(NextStep("Try 1 passage", effect, StepKind.SETTINGS, {"top_k": 1}))
    if retrieves and recommendation.verdict is not Verdict.NOT_READY and _is_common("made up", kinds):
        effect = "Many wrong answers stand in none of the passages it read."
        steps.append(NextStep("Try a stronger model", effect, StepKind.MODEL))
    if recommendation.arm is not None:
        steps.append(
            NextStep(
                f"Deploy {recommendation.arm}",
                "Gives it an alias, such as production, that applications call and that can be rolled back.",
                StepKind.DEPLOY,
            )
        )
    return tuple(steps)


def _is_common(kind: str, failures: Mapping[str, int]) -> bool:
    return 0 < sum(failures.values()) <= 3 * failures.get(kind, 0)


def side_by_side(comparison: Comparison, answers: Sequence[Answered]) -> tuple[SideBySide, ...]:
    """A win of the arm of the verdict over its closest rival, a loss, and a mistake of its own, if there are any."""
    arm = pivot_arm(comparison)
    rival = next((one.id for one in candidates(comparison) if one.id != arm), None)
    by_arm = {kind: {answer.example_id: answer for answer in answers if answer.arm == kind} for kind in (arm, rival)}
    shown: list[SideBySide] = []
    for kind, wanted in (("a win", (True, False)), ("a loss", (False, True))):
        for example_id, ours in by_arm[arm].items():
            theirs = by_arm[rival].get(example_id)
            if theirs is None or None in (ours.score, theirs.score):
                continue
            if (ours.is_right, theirs.is_right) == wanted:
                shown.append(SideBySide(kind, ours.question, ours.references, (ours, theirs)))
                break
    told = {answer.example_id for one in shown for answer in one.answers}
    mistakes = [answer for answer in by_arm[arm].values() if answer.is_made_up and answer.example_id not in told]
    # What nothing answers and is answered all the same misleads most.
    mistakes.sort(key=lambda answer: answer.slice is not Slice.UNANSWERABLE)
    shown += [SideBySide("a dangerous mistake", m.question, m.references, (m,)) for m in mistakes[:1]]
    return tuple(shown)


FACTS_CAPTION = "The arms at a glance"
PER_THOUSAND, PER_MILLION = "$ per 1,000", "$ per million"


def serving_price(usd_per_1000: float | None, *, is_cheap: bool) -> str:
    """What serving costs; by the million where a thousand questions cost less than a cent."""
    return usd(None if usd_per_1000 is None else usd_per_1000 * (1000 if is_cheap else 1))


def is_cheap(usd_per_1000: Iterable[float | None]) -> bool:
    """Whether some arm serves a thousand questions for so little that arms could not be told apart by it."""
    return any(amount is not None and 0 < amount < 0.005 for amount in usd_per_1000)


def facts_table(comparison: Comparison, tally: Tally = NO_ANSWERS) -> Table:
    """The same rows as a table."""
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    kinds = {arm.id: arm for arm in comparison.arms}
    facts = arm_facts(comparison, tally)
    cheap = is_cheap(one.usd_per_1000 for one in facts)
    columns = {
        f"Arm ({metric_words(metric)}, {metric})": [
            Cell(arm_name(comparison, kinds[one.arm]), "best for its price" if one.on_frontier else "") for one in facts
        ],
        "Right": [Cell(scale.interval(one.right)) for one in facts],
        "Made up": [Cell(percent(one.made_up)) for one in facts],
        "Declined though answerable": [Cell(percent(one.declined)) for one in facts],
        PER_MILLION if cheap else PER_THOUSAND: [
            Cell(serving_price(one.usd_per_1000, is_cheap=cheap)) for one in facts
        ],
        "p95 latency": [Cell(seconds(one.p95_s)) for one in facts],
        "Tokens": [Cell(count(one.tokens)) for one in facts],
        "Build time": [Cell(seconds(one.build_s)) for one in facts],
    }
    # Without answers at hand nothing is known of what was made up: no column of dashes.
    known = {name: cells for name, cells in columns.items() if any(cell.text != MISSING for cell in cells)}
    return Table(
        caption=FACTS_CAPTION,
        columns=tuple(known),
        rows=tuple(
            Row(cells, row_kind(comparison, kinds[one.arm]))
            for one, cells in zip(facts, zip(*known.values(), strict=True), strict=True)
        ),
        note="Right: with its 95 % interval, weighed by traffic. Made up: claims something and is wrong. Best for its "
        "price: no candidate scores as high for less money. Tokens are read and written for one question.",
    )
