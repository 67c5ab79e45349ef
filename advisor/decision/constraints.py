"""What an arm must fulfil to be shipped at all, however well it answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from advisor.data.dataset import Slice
from advisor.data.wording import points
from advisor.metrics.abstention import declines
from advisor.results.comparison import ConstraintOutcome, Interval, QuestionRecord
from lm.setting import Setting, check_settings

GOOD_ENOUGH = "good_enough"
MIN_BACKED = 0.8
"""Share of answers that must stand in a passage given with them, where sources must be cited."""


@dataclass(frozen=True, slots=True)
class Constraints:
    """What an arm must fulfil to be shipped at all; declared before the run.

    A hosted endpoint is no GPU of ours; a monthly budget is for building, serving and keeping fresh. An arm that is not
    good enough is still a rival of the others, since how good it is was measured and not declared, but is not shipped.
    """

    must_cite_sources: Annotated[
        bool, Setting("Only arms whose answers stand in passages that come with them may be shipped.")
    ] = False
    max_p95_latency_s: Annotated[
        float | None, Setting("Maximum p95 latency, in seconds.", gt=0, le=1e6, unset="any")
    ] = None
    monthly_budget_usd: Annotated[
        float | None, Setting("Maximum cost of an arm per month, in US dollars.", ge=0, le=1e15, unset="any")
    ] = None
    no_gpu_in_serving: Annotated[bool, Setting("Only arms that answer without a GPU may be shipped.")] = False
    facts_must_be_deletable: Annotated[bool, Setting("Only arms that hold no facts in weights may be shipped.")] = False
    min_abstention_recall: Annotated[
        float | None,
        Setting("Minimum share of unanswerable questions that an arm must decline.", ge=0, le=1, unset="any"),
    ] = None
    good_enough: Annotated[
        float | None,
        Setting("From which score would you ship? By the deciding metric; 0.8 is 80 points.", ge=0, le=1, unset="none"),
    ] = None

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class ArmTraits:
    """What of an arm constraints look at, besides its cost.

    Attributes:
        device: "cpu" or "cuda" where we run its model, None for a hosted one.
        p95_latency_s: None where no wait was measured.
        abstention_recall: Share of the unanswerable test questions that it declined; None where there were none.
        backed_share: Share of its answers that stand in a passage which came with them; None where it was not measured.
        unreadable: What of its texts is unknown to a model that it depends on; "" if nothing.
    """

    retrieves: bool
    tuned: bool
    device: str | None
    p95_latency_s: float | None = None
    abstention_recall: float | None = None
    backed_share: float | None = None
    unreadable: str = ""


def abstention_recall(records: Sequence[QuestionRecord]) -> float | None:
    """Share of the unanswerable questions that an arm declined; None without such questions."""
    asked = [record for record in records if record.slice is Slice.UNANSWERABLE]
    if not asked:
        return None
    return sum(declines(record.answer.text, record.references) for record in asked) / len(asked)


def check_constraints(
    constraints: Constraints, arm: str, traits: ArmTraits, usd_per_month: float | None, score: Interval | None = None
) -> tuple[ConstraintOutcome, ...]:
    """One outcome for each declared constraint.

    Args:
        usd_per_month: The arm's total, None where it has no price.
        score: By the deciding metric, None where it was not measured.
    """
    return tuple(_outcomes(constraints, arm, traits, usd_per_month, score))


def breach(outcomes: Sequence[ConstraintOutcome]) -> str | None:
    """Why the arm of these outcomes is no rival of the others, in a sentence; None if it is one."""
    broken = [outcome.message for outcome in outcomes if not outcome.met and outcome.constraint != GOOD_ENOUGH]
    return f"{outcomes[0].arm} is out: {'; '.join(broken)}." if broken else None


def _outcomes(
    constraints: Constraints, arm: str, traits: ArmTraits, usd_per_month: float | None, score: Interval | None
) -> Iterator[ConstraintOutcome]:
    if traits.unreadable:
        yield ConstraintOutcome(arm, "known_script", False, None, None, traits.unreadable)
    if constraints.must_cite_sources:
        yield _cites(arm, traits)
    if constraints.facts_must_be_deletable:
        message = "facts are in documents or prompts"
        if traits.tuned:
            message = "facts must be deletable and some are in its weights, from which only new training takes them"
        yield ConstraintOutcome(arm, "facts_must_be_deletable", not traits.tuned, None, None, message)
    if constraints.no_gpu_in_serving:
        message = f"it runs on {traits.device or 'a hosted endpoint'}"
        if traits.device == "cuda":
            message = "serving must not need a GPU, and it was measured on one"
        yield ConstraintOutcome(arm, "no_gpu_in_serving", traits.device != "cuda", None, None, message)
    if constraints.max_p95_latency_s is not None:
        yield _at_most(
            arm, "max_p95_latency_s", constraints.max_p95_latency_s, traits.p95_latency_s, "p95 latency", "{:.3g} s"
        )
    if constraints.monthly_budget_usd is not None:
        yield _at_most(
            arm, "monthly_budget_usd", constraints.monthly_budget_usd, usd_per_month, "a month's cost", "{:,.4g} USD"
        )
    if constraints.min_abstention_recall is not None:
        yield _abstains(arm, constraints.min_abstention_recall, traits.abstention_recall)
    if constraints.good_enough is not None:
        yield _is_good_enough(arm, constraints.good_enough, score)


def _cites(arm: str, traits: ArmTraits) -> ConstraintOutcome:
    share = traits.backed_share
    if not traits.retrieves:
        message = "it must cite sources and answers without any passage"
        return ConstraintOutcome(arm, "must_cite_sources", False, MIN_BACKED, None, message)
    if share is None:
        message = "answers come with passages; whether these hold what is answered was not measured"
        return ConstraintOutcome(arm, "must_cite_sources", True, MIN_BACKED, None, message)
    message = f"{share:.1%} of its answers stand in a passage that comes with them, at least {MIN_BACKED:.0%} is asked"
    return ConstraintOutcome(arm, "must_cite_sources", share >= MIN_BACKED, MIN_BACKED, share, message)


def _at_most(
    arm: str, constraint: str, limit: float, measured: float | None, what: str, unit: str
) -> ConstraintOutcome:
    if measured is None:
        message = f"{what} must be at most {unit.format(limit)} and is unknown"
        return ConstraintOutcome(arm, constraint, None, limit, None, message)
    message = f"{what} is {unit.format(measured)}, at most {unit.format(limit)} is allowed"
    if measured > limit:
        message += f": {unit.format(measured - limit)} too much"
    return ConstraintOutcome(arm, constraint, measured <= limit, limit, measured, message)


def _abstains(arm: str, limit: float, measured: float | None) -> ConstraintOutcome:
    if measured is None:
        message = f"it must decline {limit:.0%} of unanswerable questions and the test set has none"
        return ConstraintOutcome(arm, "min_abstention_recall", None, limit, None, message)
    message = f"it declines {measured:.1%} of unanswerable questions, at least {limit:.1%} is asked"
    if measured < limit:
        message += f": {100 * (limit - measured):.1f} points too few"
    return ConstraintOutcome(arm, "min_abstention_recall", measured >= limit, limit, measured, message)


def _is_good_enough(arm: str, limit: float, score: Interval | None) -> ConstraintOutcome:
    bar = f"good enough is {points(limit)}"
    if score is None:
        return ConstraintOutcome(arm, GOOD_ENOUGH, None, limit, None, f"it was not scored and {bar}")
    met = score.estimate >= limit
    message = f"it scores {points(score.estimate)} points and {bar}"
    if score.low < limit <= score.high:
        message += f", which its interval [{points(score.low)}, {points(score.high)}] neither shows nor excludes"
    return ConstraintOutcome(arm, GOOD_ENOUGH, met, limit, score.estimate, message)
