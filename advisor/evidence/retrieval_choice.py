"""Which settings of retrieval to take, from scores on validation questions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Contender:
    """Settings of retrieval that answered validation questions.

    Attributes:
        scores: By question, by the deciding metric; unscored answers count 0.
        prompt_tokens: Mean tokens that the model reads for a question: what it costs to serve.
    """

    name: str
    scores: Mapping[str, float]
    prompt_tokens: float

    @property
    def mean(self) -> float:
        """Mean score."""
        return float(np.mean(list(self.scores.values())))


@dataclass(frozen=True, slots=True)
class Choice:
    """What was taken.

    Attributes:
        as_good: Contenders within a standard error of the best, itself and the chosen one among them: between these
            the field is flat.
    """

    chosen: str
    best: str
    as_good: tuple[str, ...]


def choose_contender(contenders: Sequence[Contender], clusters: Mapping[str, str], default: str) -> Choice:
    """The default where it is within a standard error of the best, else the cheapest that is.

    The best of several is partly lucky. The standard error is that of the paired difference from the best, by cluster;
    Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3, for the rule.

    Args:
        contenders: All asked the same questions.
        clusters: Cluster of each question.
        default: Name of the contender with the settings as they were given.
    """
    best = max(contenders, key=lambda one: (one.mean, -one.prompt_tokens, one.name))
    good = [one for one in contenders if best.mean - one.mean <= _standard_error(best, one, clusters)]
    by_cost = sorted(good, key=lambda one: (one.prompt_tokens, one.name))
    chosen = next((one for one in good if one.name == default), by_cost[0])
    return Choice(chosen.name, best.name, tuple(one.name for one in by_cost))


def _standard_error(first: Contender, second: Contender, clusters: Mapping[str, str]) -> float:
    differences = defaultdict(list)
    for question, score in first.scores.items():
        differences[clusters[question]].append(score - second.scores[question])
    sums = np.array([sum(values) for values in differences.values()])
    n, mean = len(first.scores), first.mean - second.mean
    sizes = np.array([len(values) for values in differences.values()])
    # Residuals of cluster sums, as clustered standard errors are (Miller 2024, arXiv:2411.00640).
    return float(np.sqrt(np.sum((sums - sizes * mean) ** 2)) / n)
