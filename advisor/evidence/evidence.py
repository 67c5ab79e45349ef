"""Scores of all candidates, resampled once, and how each two differ: what a decision takes from the questions asked."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from advisor.evidence.prediction_powered import METHOD, corrected_bootstrap, enough_labels
from advisor.evidence.scorecard import applicable, judged_values, seed_values
from advisor.evidence.scored_answers import ScoredAnswers, scored_answers
from advisor.evidence.statistics import (
    Floats,
    SliceBootstrap,
    agreeing,
    bootstrap_p_value,
    bootstrap_slices,
    draw_seeds,
    expanded_percentile_interval,
    holm,
    holm_levels,
    mcnemar_exact,
    paired_bootstrap,
    unseen_size,
)
from advisor.metrics.human import label_key
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import PairedDifference, QuestionRecord

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
        labels: What people say of the answers, same shape as scores; NaN where nobody looked.
    """

    arms: tuple[str, ...]
    scores: Floats
    declined: Floats
    slices: tuple[str, ...]
    clusters: tuple[str, ...]
    seed: int = 0
    labels: Floats | None = field(default=None, compare=False)
    # A map of decisions asks for a few of these hundreds of times.
    _qualities: OrderedDict[tuple[object, ...], Quality] = field(default_factory=OrderedDict, compare=False, repr=False)

    _unseen_sizes: dict[tuple[str, str], float] = field(default_factory=dict, compare=False, repr=False)
    _means: dict[tuple[tuple[str, float], ...], tuple[Floats, Floats]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def bootstrap(self) -> SliceBootstrap:
        """By training seed of each arm in turn: score with unscored answers at 0, loss by abstaining, the unscored.

        That makes n_seeds * 3 * n_arms columns. Where people labelled enough answers of every arm, the scores are
        corrected by them.
        """
        if self.labels is not None and self.corrected:
            return corrected_bootstrap(
                self.scores, self.labels, self.declined, self.slices, self.clusters, seed=self.seed
            )
        unscored = np.isnan(self.scores)
        known = np.nan_to_num(self.scores, nan=0.0)
        abstaining = np.where(unscored, 0.0, (1 - known) * self.declined)
        columns = np.concatenate([known, abstaining, unscored.astype(np.float64)]).swapaxes(0, 1)
        return bootstrap_slices(columns.reshape(-1, len(self.slices)), self.slices, self.clusters, seed=self.seed)

    @cached_property
    def corrected(self) -> bool:
        """Whether scores are corrected by people's labels."""
        return self.labels is not None and enough_labels(self.scores, self.labels)

    @cached_property
    def exact(self) -> bool:
        """Whether McNemar's exact test applies: binary scores on independent questions of one slice, one training."""
        if self.corrected:
            return False
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
        np.array([np.broadcast_to(one.labels, shape) for one in columns]),
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


def paired_differences(
    records: Mapping[str, Sequence[QuestionRecord]],
    metric: str,
    *,
    weights: Mapping[str, float],
    seed: int = 0,
) -> tuple[PairedDifference, ...]:
    """Every pair of candidate arms on the same questions, p-values and intervals adjusted by Holm over all of them.

    A pair is not reported where a slice with weight holds no question that both arms have a score for.
    Questions the metric does not apply to count nowhere, nor do slices made of such questions only.
    """
    records = applicable(records, metric)
    labels = {arm: seed_values(rows, label_key(metric)) for arm, rows in records.items()}
    values = {arm: judged_values(seed_values(rows, metric), labels[arm], metric) for arm, rows in records.items()}
    corrected = _corrected_pairs(metric, values, labels, records, weights=weights, seed=seed)

    def pair(first: str, second: str, level: float) -> PairedDifference:
        if corrected is not None:
            return corrected(first, second, level)
        return _paired_difference(
            metric, first, second, values[first], values[second], records[first],
            weights=weights, level=level, seed=seed,
        )  # fmt: skip

    drafts = [
        pair(first, second, 0.95)
        for first, second in combinations(records, 2)
        if _comparable(values[first], values[second], records[first], weights)
    ]
    p_values = [draft.p_value for draft in drafts]
    # The interval of a pair is of the level at which Holm tests it, so that both say the same.
    return tuple(
        replace(draft, interval=agreeing(pair(draft.first, draft.second, level).interval, p), p_adjusted=p)
        for draft, p, level in zip(drafts, holm(p_values), holm_levels(p_values), strict=True)
    )


def _corrected_pairs(
    metric: str,
    values: Mapping[str, Floats],
    labels: Mapping[str, Floats],
    records: Mapping[str, Sequence[QuestionRecord]],
    *,
    weights: Mapping[str, float],
    seed: int = 0,
) -> Callable[[str, str, float], PairedDifference] | None:
    """Of two arms and the level of the interval to their difference, corrected by people's labels; None with too few.

    Args:
        values: Scores of each arm, shape (n_seeds, n_questions). labels: People's, likewise.
    """
    arms = sorted(arm for arm, own in values.items() if not np.isnan(own).all())
    if not arms:
        return None
    questions = records[arms[0]]
    shape = (len(arms), max(len(values[arm]) for arm in arms), len(questions))
    judged, people = (np.stack([np.broadcast_to(of[arm], shape[1:]) for arm in arms]) for of in (values, labels))
    if not enough_labels(judged, people):
        return None
    slices, clusters = [str(record.slice) for record in questions], [record.cluster for record in questions]
    found = corrected_bootstrap(judged, people, np.zeros(shape), slices, clusters, seed=seed)
    observed, resampled = (
        means.reshape(*means.shape[:-1], shape[1], 3 * len(arms))[..., : len(arms)] for means in found.weighted(weights)
    )

    def pair(first: str, second: str, level: float) -> PairedDifference:
        i, j = arms.index(first), arms.index(second)
        draws = draw_seeds(observed[:, i] - observed[:, j], resampled[..., i] - resampled[..., j], seed=seed)
        estimate, by_seed = float(draws.observed), draws.by_seed
        interval = expanded_percentile_interval(
            estimate, draws.resampled, found.n_clusters, by_seed=by_seed, level=level
        )
        p_value = bootstrap_p_value(draws.resampled, found.n_clusters, by_seed=by_seed)
        labelled = np.asarray(~np.isnan(people[[i, j]]).all(axis=1).any(axis=0), dtype=np.bool_)
        n_clusters = len({cluster for cluster, kept in zip(clusters, labelled, strict=True) if kept})
        return PairedDifference(
            metric, first, second, replace(interval, method=METHOD), p_value, p_value, METHOD,
            int(labelled.sum()), n_clusters, int((~labelled).sum()),
        )  # fmt: skip

    return pair


def _comparable(
    first: Floats, second: Floats, questions: Sequence[QuestionRecord], weights: Mapping[str, float]
) -> bool:
    paired = _paired(first, second)
    asked = {str(record.slice) for record in questions if weights.get(str(record.slice), 0) > 0}
    return asked <= {str(record.slice) for record, both in zip(questions, paired, strict=True) if both}


def _paired(first: Floats, second: Floats) -> NDArray[np.bool_]:
    """Questions with a score of every seed of both arms."""
    return np.asarray(~(np.isnan(np.atleast_2d(first)).any(axis=0) | np.isnan(np.atleast_2d(second)).any(axis=0)))


def _paired_difference(
    metric: str,
    first: str,
    second: str,
    first_values: Floats,
    second_values: Floats,
    questions: Sequence[QuestionRecord],
    *,
    weights: Mapping[str, float],
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """One pair of arms, its p-value not adjusted.

    With binary scores on independent, equally weighted questions p is McNemar's exact one; otherwise it comes from the
    clustered bootstrap that also gives the interval. Where an arm was trained several times, seeds are resampled too.

    Args:
        first_values: Scores by `metric`, shape (n_questions,) or (n_seeds, n_questions), NaN where unscored;
            second_values likewise.
        questions: Records of either arm, same order: they give slice and cluster.
    """
    slices = [str(record.slice) for record in questions]
    clusters = [record.cluster for record in questions]
    interval, p_value = paired_bootstrap(
        first_values, second_values, clusters, slices=slices, weights=weights, level=level, seed=seed
    )
    pairs = _paired(first_values, second_values)
    n_pairs = int(pairs.sum())
    n_clusters = len({cluster for cluster, kept in zip(clusters, pairs, strict=True) if kept})
    first_rows, second_rows = np.atleast_2d(first_values), np.atleast_2d(second_values)
    one_seed = len(first_rows) == len(second_rows) == 1
    test = "clustered bootstrap" if one_seed else "hierarchical bootstrap"
    binary = np.isin(np.concatenate([first_rows[:, pairs], second_rows[:, pairs]]), (0.0, 1.0)).all()
    if one_seed and binary and n_clusters == n_pairs and len(set(slices)) == 1:
        p_value, test = mcnemar_exact(first_rows[0], second_rows[0]), "McNemar exact"
    return PairedDifference(
        metric, first, second, interval, p_value, p_value, test, n_pairs, n_clusters, int((~pairs).sum())
    )
