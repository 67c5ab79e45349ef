"""What becomes of arms when documents change: who answers as of old, and what makes them right again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from advisor.evidence.statistics import Floats, mean_interval, paired_bootstrap
from advisor.results.comparison import Interval


class Refresh(StrEnum):
    """What was done about an arm after the documents changed."""

    NOTHING = "nothing"
    REINDEXED = "re-indexed"
    RETUNED = "re-tuned"
    """Trained again on the answers of today, or given them to look among; where it retrieves, re-indexed as well."""


class Part(StrEnum):
    """Which of the questions asked again."""

    CHANGED = "changed"
    CHANGED_TRAINED = "changed, asked in training"
    """Those of the changed facts that tuning could have learnt: a training question asks for them."""
    UNCHANGED = "unchanged"


class Recovery(StrEnum):
    """Whether an arm is as right on the changed questions as it was before they changed."""

    RIGHT_AGAIN = "right again"
    NOT_SHOWN = "not shown"
    WORSE = "still worse"
    HARDLY_RIGHT = "was hardly right"
    """It was not shown to be right on more of them than the margin, so there was little to lose."""


@dataclass(frozen=True, slots=True)
class ReaskedQuestion:
    """One answer of an arm after the documents changed, beside its answer before.

    Attributes:
        changed: Whether its fact did. trained: whether a training question asks for the fact.
        cluster: Questions of one document are resampled together.
        was_right: Score of the answer of then by the references of then; None where unscored.
        is_right: Score of the answer of now by the references of now; None where unscored.
        is_stale: The answer of now equals a reference of then that no longer holds.
    """

    example_id: str
    changed: bool
    trained: bool
    cluster: str
    answer: str
    was_right: float | None
    is_right: float | None
    is_stale: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """A mean over questions, each counted alike.

    Attributes:
        interval: By whole documents; None where nothing was scored or all questions belong to one document.
        n: Scored questions. n_unscored: the others, which are never counted as 0.
    """

    interval: Interval | None
    n: int
    n_clusters: int
    n_unscored: int


@dataclass(frozen=True, slots=True)
class PartRates:
    """An arm on a part of the questions.

    Attributes:
        change: Right now minus right before, question by question; None where it has no interval.
    """

    part: Part
    was_right: Rate
    is_right: Rate
    is_stale: Rate
    change: Interval | None


@dataclass(frozen=True, slots=True)
class ArmState:
    """An arm after one refresh.

    Attributes:
        index_s: Seconds of building its index again, 0 where that was not done; training_s likewise.
        index_usd: What these seconds or tokens cost; None without a price. training_usd likewise.
        parts: Of `Part`, those that have questions.
        recovery: On the changed questions.
    """

    arm: str
    refresh: Refresh
    index_s: float
    training_s: float
    index_usd: float | None
    training_usd: float | None
    parts: tuple[PartRates, ...]
    recovery: Recovery

    @property
    def seconds(self) -> float:
        """Of the whole refresh."""
        return self.index_s + self.training_s

    @property
    def usd(self) -> float | None:
        """Of the whole refresh; None without a price."""
        if self.index_usd is None or self.training_usd is None:
            return None
        return self.index_usd + self.training_usd

    def part(self, part: Part) -> PartRates | None:
        """The rates of a part, if it has questions."""
        return next((rates for rates in self.parts if rates.part is part), None)


@dataclass(frozen=True, slots=True)
class Freshness:
    """A finished experiment.

    Attributes:
        comparison: Id of the comparison whose arms were asked again.
        metric: What is right is told by it; stale is always an exact match.
        margin: Smallest difference that matters, in score units.
        revision_hash: Of the later editions and their facts.
        n_documents: Documents in a later edition. n_facts: facts they changed.
        states: Arms in the order of the comparison, each first as it was built.
    """

    comparison: str
    created_at: str
    dataset: str
    model: str
    metric: str
    margin: float
    revision_hash: str
    n_documents: int
    n_facts: int
    prices_as_of: str
    prices_source: str
    wall_s: float
    states: tuple[ArmState, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(dict.fromkeys(state.arm for state in self.states))

    def states_of(self, arm: str) -> tuple[ArmState, ...]:
        """One arm after each refresh, the cheapest kind first."""
        return tuple(state for state in self.states if state.arm == arm)


def summarise_state(
    arm: str,
    refresh: Refresh,
    questions: Sequence[ReaskedQuestion],
    *,
    index_s: float = 0.0,
    training_s: float = 0.0,
    index_usd: float | None = 0.0,
    training_usd: float | None = 0.0,
    margin: float,
    seed: int = 0,
) -> ArmState:
    """Rates of one arm after one refresh, by part of the questions.

    Args:
        margin: Smallest difference that matters: an arm is right again where the interval of its change is above
            -margin.
    """
    members: dict[Part, Callable[[ReaskedQuestion], bool]] = {
        Part.CHANGED: lambda question: question.changed,
        Part.CHANGED_TRAINED: lambda question: question.changed and question.trained,
        Part.UNCHANGED: lambda question: not question.changed,
    }
    parts = tuple(
        _rates(part, chosen, seed)
        for part, belongs in members.items()
        if (chosen := [question for question in questions if belongs(question)])
    )
    changed = next((rates for rates in parts if rates.part is Part.CHANGED), None)
    return ArmState(
        arm,
        refresh,
        index_s,
        training_s,
        index_usd,
        training_usd,
        parts,
        _recovery(changed, margin) if changed else Recovery.NOT_SHOWN,
    )


def _rates(part: Part, questions: Sequence[ReaskedQuestion], seed: int) -> PartRates:
    clusters = [question.cluster for question in questions]
    was, now = (_values(scores) for scores in zip(*((q.was_right, q.is_right) for q in questions), strict=True))
    both = ~np.isnan(was) & ~np.isnan(now)
    change = None
    if len(set(np.array(clusters)[both])) > 1:
        change, _ = paired_bootstrap(now, was, clusters, seed=seed)
    stale = np.array([question.is_stale for question in questions], dtype=np.float64)
    return PartRates(part, _rate(was, clusters, seed), _rate(now, clusters, seed), _rate(stale, clusters, seed), change)


def _values(scores: Sequence[float | None]) -> Floats:
    return np.array([np.nan if score is None else score for score in scores], dtype=np.float64)


def _rate(values: Floats, clusters: Sequence[str], seed: int) -> Rate:
    scored = ~np.isnan(values)
    n_clusters = len({cluster for cluster, kept in zip(clusters, scored, strict=True) if kept})
    interval = mean_interval(values, clusters, seed=seed) if n_clusters > 1 else None
    return Rate(interval, int(scored.sum()), n_clusters, int((~scored).sum()))


def _recovery(changed: PartRates, margin: float) -> Recovery:
    was = changed.was_right.interval
    if was is None or changed.change is None:
        return Recovery.NOT_SHOWN
    if was.low <= margin:
        return Recovery.HARDLY_RIGHT
    if changed.change.low >= -margin:
        return Recovery.RIGHT_AGAIN
    return Recovery.WORSE if changed.change.high < 0 else Recovery.NOT_SHOWN
