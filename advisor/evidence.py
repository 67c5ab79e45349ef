"""Scores of all candidates, resampled once: all that a decision takes from the questions that were asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from advisor.answer_values import AnswerValues
from advisor.comparison import QuestionRecord
from advisor.metrics.abstention import declines
from advisor.scorecard import score_values
from advisor.statistics import Floats, SliceBootstrap, bootstrap_slices, mcnemar_exact


@dataclass(frozen=True)
class Quality:
    """Means of some arms at one set of slice weights, observed and resampled, unscored answers at either end.

    Attributes:
        arms: Names, length n_arms.
        n_clusters: Documents or facts that were resampled.
        floor: Unscored answers at the bottom of the scale, shape (n_arms,); floor_resampled: (n_resamples, n_arms).
        ceiling: Unscored answers at the top; ceiling_resampled likewise.
    """

    arms: tuple[str, ...]
    n_clusters: int
    floor: Floats
    floor_resampled: Floats
    ceiling: Floats
    ceiling_resampled: Floats


@dataclass(frozen=True)
class Evidence:
    """Scores in [0, 1] of candidate arms on the same questions.

    Attributes:
        arms: Names in alphabetical order, so that their order decides nothing.
        scores: Shape (n_arms, n_questions), NaN where unscored.
        declined: Whether an answer abstains, shape (n_arms, n_questions).
        slices: Slice of each question. clusters: Cluster of each question.
        seed: Of the resampling.
    """

    arms: tuple[str, ...]
    scores: Floats
    declined: Floats
    slices: tuple[str, ...]
    clusters: tuple[str, ...]
    seed: int = 0

    @cached_property
    def bootstrap(self) -> SliceBootstrap:
        """For each arm in turn: mean score with unscored answers at 0, what abstaining lost, share of unscored."""
        unscored = np.isnan(self.scores)
        known = np.nan_to_num(self.scores, nan=0.0)
        abstaining = np.where(unscored, 0.0, (1 - known) * self.declined)
        columns = np.concatenate([known, abstaining, unscored.astype(np.float64)])
        return bootstrap_slices(columns, self.slices, self.clusters, seed=self.seed)

    @cached_property
    def exact(self) -> bool:
        """Whether McNemar's exact test applies: binary scores on independent questions of one slice."""
        known = self.scores[~np.isnan(self.scores)]
        independent = len(set(self.clusters)) == len(self.clusters)
        return independent and len(set(self.slices)) == 1 and bool(np.isin(known, (0.0, 1.0)).all())

    @cached_property
    def exact_p_values(self) -> Mapping[tuple[str, str, float], float]:
        """McNemar's p of each ordered pair, the second arm's unscored answers taken as 0 or as 1."""
        ours = np.nan_to_num(self.scores, nan=0.0)
        return {
            (first, second, end): mcnemar_exact(ours[i], np.nan_to_num(self.scores[j], nan=end))
            for i, first in enumerate(self.arms)
            for j, second in enumerate(self.arms)
            for end in (0.0, 1.0)
            if i != j
        }

    def quality(self, weights: Mapping[str, float], arms: Sequence[str], values: AnswerValues | None = None) -> Quality:
        """Mean scores of some arms; with declared values the mean worth of an answer in US dollars instead.

        Raises:
            EvaluationError: no weight on any slice that has questions, a slice on too few documents, or one cluster.
        """
        observed, resampled = self.bootstrap.weighted(weights)
        chosen = [self.arms.index(arm) for arm in arms]
        ends = [
            _worth(values, _columns(means, chosen, len(self.arms)), top=top)
            for top in (False, True)
            for means in (observed, resampled)
        ]
        return Quality(tuple(arms), self.bootstrap.n_clusters, *ends)


def gather_evidence(candidates: Mapping[str, Sequence[QuestionRecord]], metric: str, *, seed: int = 0) -> Evidence:
    """Evidence of arms that answered the same questions in the same order, all of which the metric applies to."""
    arms = tuple(sorted(candidates))
    questions = next(iter(candidates.values()), [])
    return Evidence(
        arms,
        np.array([score_values(candidates[arm], metric) for arm in arms]).reshape(len(arms), len(questions)),
        np.array(
            [[declines(record.answer.text, record.references) for record in candidates[arm]] for arm in arms],
            dtype=np.float64,
        ).reshape(len(arms), len(questions)),
        tuple(str(record.slice) for record in questions),
        tuple(record.cluster for record in questions),
        seed,
    )


def _columns(means: Floats, chosen: Sequence[int], n_arms: int) -> tuple[Floats, Floats, Floats]:
    """Score, loss by abstaining and unscored share of the chosen arms, each of shape (..., n_chosen)."""
    index = np.array(chosen, dtype=np.intp)
    return means[..., index], means[..., index + n_arms], means[..., index + 2 * n_arms]


def _worth(values: AnswerValues | None, means: tuple[Floats, Floats, Floats], *, top: bool) -> Floats:
    score, abstaining, unscored = means
    if values is None:
        return score + unscored if top else score
    wrong = 1 - score - abstaining - unscored
    unknown = values.right_usd if top else -values.worst_usd
    return np.asarray(
        values.right_usd * score - values.wrong_usd * wrong - values.abstention_usd * abstaining + unknown * unscored
    )
