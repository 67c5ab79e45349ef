"""What holding answers to a form brings by itself: the same questions answered held to it and freely."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from advisor.errors import EvaluationError
from advisor.evidence.statistics import Floats, paired_bootstrap
from advisor.results.comparison import FormGain, FormGains, FormLead, Interval

FORM_QUESTIONS = 60
"""Most validation questions that each arm answers both ways: what is asked beside the test is kept small."""


@dataclass(frozen=True)
class FormScores:
    """One arm's scores of the same questions, both ways.

    Attributes:
        held: Answers within the labels or the schema, shape (n_questions,), NaN where unscored; free: without.
        clusters: Cluster of each question.
        n_outside_held: Answers outside the form though held to it; n_outside_free: without.
    """

    held: Floats
    free: Floats
    clusters: tuple[str, ...]
    n_outside_held: int
    n_outside_free: int


def form_gains(
    scores: Mapping[str, FormScores],
    metric: str,
    tuned: Collection[str],
    standing: Mapping[str, float],
    *,
    seed: int = 0,
) -> FormGains | None:
    """What the form brings each arm, and what part of tuning's lead it is; None where the questions bear no interval.

    Args:
        scores: By arm, of the same questions in the same order.
        tuned: Arms whose weights saw training questions; the others are prompted alone.
        standing: Score of each arm on the test questions, which says whose lead is looked at.
    """
    gains = tuple(gain for arm, one in scores.items() if (gain := _gain(arm, one, seed)) is not None)
    if not gains:
        return None
    clusters = next(iter(scores.values())).clusters
    return FormGains(
        metric=metric,
        n_questions=len(clusters),
        n_clusters=len(set(clusters)),
        gains=gains,
        lead=_lead(scores, tuned, standing, seed),
    )


def _gain(arm: str, scores: FormScores, seed: int) -> FormGain | None:
    with suppress(EvaluationError):
        gain = _difference(scores.held, scores.free, scores, seed)
        both = ~(np.isnan(scores.held) | np.isnan(scores.free))
        held, free = float(scores.held[both].mean()), float(scores.free[both].mean())
        return FormGain(arm, held, free, gain, scores.n_outside_held, scores.n_outside_free)
    return None


def _lead(
    scores: Mapping[str, FormScores], tuned: Collection[str], standing: Mapping[str, float], seed: int
) -> FormLead | None:
    """Of the tuned arm that stands highest over the prompted one that does."""
    ordered = sorted((arm for arm in scores if arm in standing), key=lambda arm: (-standing[arm], arm))
    first = next((arm for arm in ordered if arm in tuned), None)
    second = next((arm for arm in ordered if arm not in tuned), None)
    if first is None or second is None:
        return None
    ours, theirs = scores[first], scores[second]
    with suppress(EvaluationError):
        return FormLead(
            tuned=first,
            prompted=second,
            free=_difference(ours.free, theirs.free, ours, seed),
            held=_difference(ours.held, theirs.held, ours, seed),
            form=_difference(ours.free - theirs.free, ours.held - theirs.held, ours, seed),
        )
    return None


def _difference(first: Floats, second: Floats, scores: FormScores, seed: int) -> Interval:
    return paired_bootstrap(first, second, scores.clusters, seed=seed)[0]
