"""Adaptive evaluation: ask in blocks, and stop asking an arm as soon as it is surely worse than another.

What is tested: of every pair of arms the difference `sum over slices of weight * mean over clusters`, a cluster's value
in a slice being the mean difference over its questions there. Each document (or fact) counts once in a slice; the
fixed-sample verdict counts each question once. Both are the same unless how arms differ on a document depends on how
many questions it has. Arms are judged as they were built: other training seeds are other arms.

Why it may be looked at after every block: `advisor.evidence.betting`. Needed is that clusters are independent of each
other and that, within a slice, they are draws from the same population; nothing else, and no number of questions is
too small for it. Alpha is divided evenly over both directions of all pairs at the start (union bound), so that with
probability 1 - alpha every statement of a race is right at once: each drop, each "within the margin", each interval.

An arm is dropped when another that is still in the race is surely better than it and leads by the margin or more, even
if the worse arm's unscored answers were all right and the better one's all wrong. Wherever an arm is judged itself its
unscored answers stand at the bottom of the scale. One that is surely worse only then stays in the race, so that the
winner can prove its win, but is never recommended: failing gains nothing over answering wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import exp, log

import numpy as np

from advisor.decision.race_plan import RaceBlock, RacePlan
from advisor.decision.race_recommendation import is_too_small
from advisor.decision.recommendation import DecisionRule
from advisor.errors import EvaluationError
from advisor.evidence.betting import (
    FRACTIONS,
    Floats,
    Payoffs,
    log_evidence,
    log_wealth,
    lower_confidence_sequence,
    most_log_evidence,
)
from advisor.evidence.evidence import MAX_UNSCORED_SHARE
from advisor.evidence.statistics import ALPHA
from advisor.results.comparison import Drop, Interval, PairedDifference, RaceOutcome


@dataclass(frozen=True)
class FinishedRace:
    """A race to be concluded from, once costs are known.

    Attributes:
        differences: Confidence sequences of every pair of arms on the questions both were asked. They hold whatever the
            unscored answers would have been; `estimate` is the middle of the interval, since the mean at a moment
            chosen by the data is biased. n counts questions scored for both.
        block_sizes: Questions of each block, asked or not, in order.
    """

    outcome: RaceOutcome
    differences: tuple[PairedDifference, ...]
    block_sizes: tuple[int, ...]


class Race:
    """A race that is driven from outside: `next_block`, answer it with `arms`, `add` the scores, and so on.

    It holds nothing that the scores do not give: adding the same blocks again brings it back where it was.
    """

    def __init__(self, arms: Sequence[str], plan: RacePlan, rule: DecisionRule) -> None:
        """Before the first block.

        Raises:
            EvaluationError: fewer than 2 arms, or the same one twice.
        """
        if len(arms) < 2 or len(set(arms)) < len(arms):
            raise EvaluationError(f"a race needs at least 2 different arms; got {', '.join(arms) or 'none'}")
        self._names = tuple(sorted(arms))
        self._plan, self._rule = plan, rule
        self._n_tests = len(arms) * (len(arms) - 1)
        self._threshold = log(self._n_tests / ALPHA)
        self._active = list(range(len(arms)))
        self._drops: list[Drop] = []
        self._scores: list[list[Floats]] = [[] for _ in arms]
        shape = (len(arms), len(arms), len(FRACTIONS))
        # Log wealth by (first, second, fraction), from bets that first is: ahead, its rival's unscored answers at the
        # bottom of the scale; better, these at the top; not worse by the margin, these at the bottom.
        self._ahead, self._better, self._not_worse = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._within = np.zeros(shape[:2], dtype=bool)
        self._behind: set[int] = set()

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms to ask next, in alphabetical order."""
        return tuple(self._names[i] for i in self._active)

    @property
    def n_blocks(self) -> int:
        """Blocks added so far."""
        return max(len(scores) for scores in self._scores)

    @property
    def n_evaluations(self) -> int:
        """Answers asked for so far, over all arms."""
        return sum(self._n_asked(i) for i in range(len(self._names)))

    def next_block(self) -> RaceBlock | None:
        """What to ask `arms` now; None when nothing is left to decide or to ask."""
        if is_too_small(self._plan) or self.n_blocks == len(self._plan.blocks) or not self._active:
            return None
        settled = all(self._within[a, b] for a, b in permutations(self._active, 2))
        if settled and all(self._unscored_share(i) <= MAX_UNSCORED_SHARE for i in self._active):
            return None
        return self._plan.blocks[self.n_blocks]

    def add(self, scores: Mapping[str, Sequence[float | None]]) -> None:
        """Scores of the next block, of exactly the arms in `arms`; questions in the order of the block.

        Raises:
            EvaluationError: other arms, another number of scores, a score outside [0, 1], or the race is over.
        """
        block = self.next_block()
        if block is None:
            raise EvaluationError("the race is over; no further block can be added")
        if set(scores) != set(self.arms):
            raise EvaluationError(f"the race needs scores of {', '.join(self.arms)}; got {', '.join(sorted(scores))}")
        checked = [_checked(self._names[i], scores[self._names[i]], block) for i in self._active]
        for i, values in zip(self._active, checked, strict=True):
            self._scores[i].append(values)
        self._bet(block)
        self._drop_unscored()
        self._drop_beaten()

    def _bet(self, block: RaceBlock) -> None:
        pairs = list(permutations(self._active, 2))
        if not pairs:
            return
        first, second = np.array(pairs).T
        floor, top = (
            {i: block.shares @ np.nan_to_num(self._scores[i][-1], nan=end) for i in self._active} for end in (0.0, 1.0)
        )
        by_floor = Payoffs(np.array([floor[a] - floor[b] for a, b in pairs]), block.worths)
        by_top = Payoffs(np.array([floor[a] - top[b] for a, b in pairs]), block.worths)
        ahead = log_wealth(by_floor, 0.0)
        self._ahead[first, second] += ahead
        self._better[first, second] += log_wealth(by_top, 0.0) if (by_top.values != by_floor.values).any() else ahead
        self._not_worse[first, second] += log_wealth(by_floor, -self._rule.margin)
        self._within |= log_evidence(self._not_worse) >= self._threshold

    def _drop_unscored(self) -> None:
        limit = MAX_UNSCORED_SHARE * self._plan.n_questions
        for i in [i for i in self._active if self._n_unscored(i) > limit]:
            self._drop(i, None)

    def _drop_beaten(self) -> None:
        self._behind |= {worse for _, worse in self._surely(self._ahead, rival_unscored=0.0)}
        beaten = self._surely(self._better, rival_unscored=1.0)
        losers = {worse for _, worse in beaten}
        for worse in sorted(losers):
            # An arm that goes in the same block is named only if no arm that stays has beaten this one.
            by = max(
                (better for better, other in beaten if other == worse),
                key=lambda better: (better not in losers, beaten[better, worse], -better),
            )
            self._drop(worse, by)

    def _surely(self, wealth: Floats, *, rival_unscored: float) -> dict[tuple[int, int], float]:
        """Pairs (better, worse) with enough evidence and a lead of the margin, and that evidence."""
        evidence = log_evidence(wealth)
        # An arm that has failed too often so far may yet be out itself, and would leave its victims unbeaten.
        able = [i for i in self._active if i not in self._behind and self._unscored_share(i) <= MAX_UNSCORED_SHARE]
        return {
            (better, worse): float(evidence[better, worse])
            for better in able
            for worse in self._active
            if better != worse
            and evidence[better, worse] >= self._threshold
            and self._leads(better, worse, rival_unscored=rival_unscored)
        }

    def _leads(self, better: int, worse: int, *, rival_unscored: float) -> bool:
        payoffs = self._payoffs(better, worse, rival_unscored=rival_unscored)
        lead = float(np.mean(np.concatenate([block.values for block in payoffs])))
        return lead > 0 and lead >= self._rule.margin

    def _drop(self, i: int, by: int | None) -> None:
        self._active.remove(i)
        name = None if by is None else self._names[by]
        self._drops.append(Drop(self._names[i], name, len(self._scores[i]), self._n_asked(i)))

    def _n_asked(self, i: int) -> int:
        return sum(len(values) for values in self._scores[i])

    def _n_unscored(self, i: int) -> int:
        return sum(int(np.isnan(values).sum()) for values in self._scores[i])

    def _unscored_share(self, i: int) -> float:
        return self._n_unscored(i) / max(1, self._n_asked(i))

    def _payoffs(self, first: int, second: int, *, rival_unscored: float) -> list[Payoffs]:
        """First minus second on the blocks both were asked; unscored answers of `first` at the bottom of the scale."""
        return [
            Payoffs(
                block.shares @ (np.nan_to_num(ours, nan=0.0) - np.nan_to_num(theirs, nan=rival_unscored)), block.worths
            )
            for block, ours, theirs in zip(self._plan.blocks, self._scores[first], self._scores[second], strict=False)
        ]

    def outcome(self) -> RaceOutcome:
        """How the race stands."""
        return RaceOutcome(
            drops=tuple(self._drops),
            standing={self._names[i]: self._standing(i) for i in self._active},
            not_worse=tuple(
                (self._names[a], self._names[b]) for a, b in permutations(self._active, 2) if self._within[a, b]
            ),
            behind=tuple(self._names[i] for i in sorted(self._behind) if i in self._active),
            n_unscored={self._names[i]: self._n_unscored(i) for i in self._active},
            n_blocks=self.n_blocks,
            n_questions=sum(len(block.questions) for block in self._plan.blocks[: self.n_blocks]),
            n_blocks_planned=len(self._plan.blocks),
            n_questions_planned=self._plan.n_questions,
            n_clusters_planned=self._plan.n_clusters,
            n_evaluations=self.n_evaluations,
            n_evaluations_in_full=len(self._names) * self._plan.n_questions,
            slice_weights=self._plan.weights,
            margin=self._rule.margin,
            coverage=self._rule.coverage,
        )

    def differences(self) -> tuple[PairedDifference, ...]:
        """The confidence sequence of every pair; a dropped arm stands second to the one that dropped it."""
        number = {name: i for i, name in enumerate(self._names)}
        turned = {(number[drop.by], number[drop.arm]) for drop in self._drops if drop.by is not None}
        pairs = [(b, a) if (b, a) in turned else (a, b) for a, b in combinations(range(len(self._names)), 2)]
        return tuple(self._difference(*pair) for pair in pairs if self.n_blocks)

    def _standing(self, i: int) -> float:
        """Sum of the clusters' contributions, unscored answers at the bottom of the scale."""
        scored = zip(self._plan.blocks, self._scores[i], strict=False)
        return sum(float((block.shares @ np.nan_to_num(values, nan=0.0)).sum()) for block, values in scored)

    def _difference(self, first: int, second: int) -> PairedDifference:
        """The confidence sequence of first minus second, whatever the unscored answers of either would have been."""
        forward = self._payoffs(first, second, rival_unscored=1.0)
        backward = self._payoffs(second, first, rival_unscored=1.0)
        bounds = (
            lower_confidence_sequence(forward, self._threshold),
            -lower_confidence_sequence(backward, self._threshold),
        )
        # They cross only where early and late questions contradict each other, which the model gives 1 in 20 races.
        low, high = min(bounds), max(bounds)
        most = max(most_log_evidence(forward, 0.0), most_log_evidence(backward, 0.0))
        missing = [
            np.isnan(ours) | np.isnan(theirs)
            for ours, theirs in zip(self._scores[first], self._scores[second], strict=False)
        ]
        n_asked, n_missing = sum(len(m) for m in missing), sum(int(m.sum()) for m in missing)
        return PairedDifference(
            metric=self._rule.metric,
            first=self._names[first],
            second=self._names[second],
            interval=Interval((low + high) / 2, low, high, 1 - ALPHA, "confidence sequence, all pairs at once"),
            p_value=min(1.0, 2 * exp(-most)),
            p_adjusted=min(1.0, self._n_tests * exp(-most)),
            test="betting e-process",
            n=n_asked - n_missing,
            n_clusters=sum(len(p.worths) for p in forward),
            n_unscored=n_missing,
        )


def _checked(arm: str, scores: Sequence[float | None], block: RaceBlock) -> Floats:
    if len(scores) != len(block.questions):
        raise EvaluationError(f"{arm} has {len(scores)} scores for a block of {len(block.questions)} questions")
    for question, score in zip(block.questions, scores, strict=True):
        if score is not None and not 0 <= score <= 1:
            raise EvaluationError(
                f"{arm} has a score of {score} for question {question}; a race needs scores between 0 and 1, "
                "or None where a question could not be scored"
            )
    return np.array([np.nan if score is None else score for score in scores], dtype=np.float64)
