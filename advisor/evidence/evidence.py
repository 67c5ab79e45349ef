"""Scores of all candidates, resampled once: all that a decision takes from the questions that were asked."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from advisor.evidence.scored_answers import ScoredAnswers, scored_answers
from advisor.evidence.statistics import Floats, SliceBootstrap, bootstrap_slices, draw_seeds, mcnemar_exact, unseen_size
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import QuestionRecord

N_QUALITIES_KEPT = 16

MAX_UNSCORED_SHARE = 0.05
MIN_QUESTIONS = 30
MIN_CLUSTERS = 10


@dataclass(frozen=True)
class Quality:
    """Means of some arms at one set of slice weights, observed and resampled, unscored answers at either end.

    Attributes:
        arms: Names, length n_arms.
        n_clusters: Documents or facts that were resampled.
        floor: Unscored answers at the bottom of the scale, shape (n_arms,); floor_resampled: (n_resamples, n_arms).
        floor_by_seed: The floor of each training seed, shape (n_seeds, n_arms); arms of one training repeat it.
        ceiling: Unscored answers at the top; ceiling_resampled, ceiling_by_seed likewise.
    """

    arms: tuple[str, ...]
    n_clusters: int
    floor: Floats
    floor_resampled: Floats
    floor_by_seed: Floats
    ceiling: Floats
    ceiling_resampled: Floats
    ceiling_by_seed: Floats


@dataclass(frozen=True)
class Evidence:
    """Scores in [0, 1] of candidate arms on the same questions.

    Attributes:
        arms: Names in alphabetical order, so that their order decides nothing.
        scores: Shape (n_arms, n_seeds, n_questions), NaN where unscored. Arms of one training repeat its scores, where
            others were trained with several seeds.
        declined: Whether an answer abstains, same shape.
        slices: Slice of each question. clusters: Cluster of each question.
        seed: Of the resampling.
    """

    arms: tuple[str, ...]
    scores: Floats
    declined: Floats
    slices: tuple[str, ...]
    clusters: tuple[str, ...]
    seed: int = 0
    # A map of decisions asks for a few of these hundreds of times.
    _qualities: OrderedDict[tuple[object, ...], Quality] = field(default_factory=OrderedDict, compare=False, repr=False)

    _unseen_sizes: dict[tuple[str, str], float] = field(default_factory=dict, compare=False, repr=False)
    _means: dict[tuple[tuple[str, float], ...], tuple[Floats, Floats]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def bootstrap(self) -> SliceBootstrap:
        """By training seed of each arm in turn: score with unscored answers at 0, loss by abstaining, the unscored.

        That makes n_seeds * 3 * n_arms columns.
        """
        unscored = np.isnan(self.scores)
        known = np.nan_to_num(self.scores, nan=0.0)
        abstaining = np.where(unscored, 0.0, (1 - known) * self.declined)
        columns = np.concatenate([known, abstaining, unscored.astype(np.float64)]).swapaxes(0, 1)
        return bootstrap_slices(columns.reshape(-1, len(self.slices)), self.slices, self.clusters, seed=self.seed)

    @cached_property
    def exact(self) -> bool:
        """Whether McNemar's exact test applies: binary scores on independent questions of one slice, one training."""
        known = self.scores[~np.isnan(self.scores)]
        independent = len(set(self.clusters)) == len(self.clusters)
        one_seed = self.scores.shape[1] == 1
        return one_seed and independent and len(set(self.slices)) == 1 and bool(np.isin(known, (0.0, 1.0)).all())

    @cached_property
    def exact_p_values(self) -> Mapping[tuple[str, str, float], float]:
        """McNemar's p of each ordered pair, the second arm's unscored answers taken as 0 or as 1."""
        ours = np.nan_to_num(self.scores[:, 0], nan=0.0)
        return {
            (first, second, end): mcnemar_exact(ours[i], np.nan_to_num(self.scores[j, 0], nan=end))
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
        key = (tuple(sorted(weights.items())), tuple(arms), values)
        found = self._qualities.get(key)
        if found is None:
            found = self._qualities[key] = self._quality(weights, arms, values)
            while len(self._qualities) > N_QUALITIES_KEPT:
                self._qualities.popitem(last=False)
        return found

    @cached_property
    def unscored_shares(self) -> Mapping[str, float]:
        """Share of each arm's answers that could not be scored, over all training seeds."""
        return dict(zip(self.arms, np.isnan(self.scores).mean(axis=(1, 2)).tolist(), strict=True))

    @property
    def scored_arms(self) -> list[str]:
        """The arms of which enough was scored for a verdict."""
        return [arm for arm, share in self.unscored_shares.items() if share <= MAX_UNSCORED_SHARE]

    def unseen_size(self, first: str, second: str) -> float:
        """Of `statistics.unseen_size`, for the difference of two arms, unscored answers counted as wrong."""
        key = (min(first, second), max(first, second))
        if key not in self._unseen_sizes:
            i, j = (self.arms.index(arm) for arm in key)
            known = np.nan_to_num(self.scores[[i, j]], nan=0.0).mean(axis=1)
            self._unseen_sizes[key] = unseen_size(known[0] - known[1], self.slices, self.clusters)
        return self._unseen_sizes[key]

    def _weighted(self, weights: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Of all arms; the last ones are kept, since each arm asks for its own net value by the same weights."""
        key = tuple(sorted(weights.items()))
        found = self._means.get(key)
        if found is None:
            found = self.bootstrap.weighted(weights)
            self._means.clear()
            self._means[key] = found
        return found

    def _quality(self, weights: Mapping[str, float], arms: Sequence[str], values: AnswerValues | None) -> Quality:
        observed, resampled = self._weighted(weights)
        shape = (self.scores.shape[1], 3 * len(self.arms))
        by_seed, drawn = observed.reshape(shape), resampled.reshape(-1, *shape)
        chosen = [self.arms.index(arm) for arm in arms]
        floor, ceiling = (_worth(values, _columns(by_seed, chosen, len(self.arms)), top=top) for top in (False, True))
        spread = _furthest_apart(floor, ceiling)
        ends: list[Floats] = []
        for top, means in ((False, floor), (True, ceiling)):
            resampled_means = _worth(values, _columns(drawn, chosen, len(self.arms)), top=top)
            draws = draw_seeds(means, resampled_means, spread=spread, seed=self.seed)
            ends += [draws.observed, draws.resampled, draws.by_seed]
        return Quality(tuple(arms), self.bootstrap.n_clusters, *ends)


def gather_evidence(candidates: Mapping[str, Sequence[QuestionRecord]], metric: str, *, seed: int = 0) -> Evidence:
    """Evidence of arms that answered the same questions in the same order, all of which the metric applies to.

    Arms that were trained several times have as many seeds as each other.
    """
    return evidence_of({arm: scored_answers(records, metric) for arm, records in candidates.items()}, seed=seed)


def evidence_of(candidates: Mapping[str, ScoredAnswers], *, seed: int = 0) -> Evidence:
    """The same of answers that are columns already."""
    if not candidates:
        return Evidence((), np.empty((0, 1, 0)), np.empty((0, 1, 0)), (), (), seed)
    arms = tuple(sorted(candidates))
    columns = [candidates[arm] for arm in arms]
    questions = next(iter(candidates.values()))
    shape = (max(len(one.values) for one in columns), questions.n_questions)
    return Evidence(
        arms,
        np.array([np.broadcast_to(one.values, shape) for one in columns]),
        np.array([np.broadcast_to(one.declined, shape) for one in columns]),
        tuple(str(part) for part in questions.slices),
        questions.clusters,
        seed,
    )


def _columns(means: Floats, chosen: Sequence[int], n_arms: int) -> tuple[Floats, Floats, Floats]:
    """Score, loss by abstaining and unscored share of the chosen arms, each of shape (..., n_chosen)."""
    index = np.array(chosen, dtype=np.intp)
    return means[..., index], means[..., index + n_arms], means[..., index + 2 * n_arms]


def _furthest_apart(floor: Floats, ceiling: Floats) -> Floats:
    """Means of the training seeds, shape (n_seeds, n_arms), as far apart as the unscored answers allow.

    Otherwise a seed that fails where it was lucky would bring the seeds together, and the arm ahead.
    """
    if np.array_equal(floor, ceiling):
        return floor
    rank = (floor + ceiling).argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    splits = np.stack([np.where(rank >= n_low, ceiling, floor) for n_low in range(len(floor) + 1)])
    widest = splits.var(axis=1).argmax(axis=0)
    return np.asarray(splits[widest, :, np.arange(floor.shape[1])].T)


def _worth(values: AnswerValues | None, means: tuple[Floats, Floats, Floats], *, top: bool) -> Floats:
    score, abstaining, unscored = means
    if values is None:
        return score + unscored if top else score
    wrong = 1 - score - abstaining - unscored
    unknown = values.right_usd if top else -values.worst_usd
    return np.asarray(
        values.right_usd * score - values.wrong_usd * wrong - values.abstention_usd * abstaining + unknown * unscored
    )
