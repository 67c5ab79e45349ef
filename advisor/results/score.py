"""Scoring one answer. Aggregating many is another matter (`advisor.evidence.scorecard`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from advisor.data.dataset import DatasetCard, Example
from advisor.results.answer import Answer
from lm.embedding import Embedder
from lm.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class Score:
    """How good one answer is by one metric.

    Attributes:
        value: In the metric's range; None means unscored, which is never the same as 0.
        reason: Why it is unscored, or what the scorer wants known.
    """

    value: float | None
    reason: str = ""


def unscored(reason: str) -> Score:
    """A score that could not be made."""
    return Score(None, reason)


Labels = Mapping[tuple[str, str, str], float]
"""What people say of answers, in [0, 1], by id of the question, metric and text of the answer."""


@dataclass(frozen=True, slots=True)
class ScoringResources:
    """What metrics may need besides the answer. A metric whose resource is missing is not run, rather than guessed."""

    card: DatasetCard
    embedder: Embedder | None = None
    judge: LanguageModel | None = None
    labels: Labels = field(default_factory=dict)


ScoreFunction = Callable[[Sequence[Example], Sequence[Answer], ScoringResources], list[Score]]
"""Scores of many answers at once, one a pair and in order; shape (n_examples,)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A named way of scoring an answer.

    Attributes:
        name: The field's standard name, as written in `dataset.toml`.
        title: For people.
        score: The function.
        higher_is_better: Direction; every metric's range is [0, 1] unless its entry in docs/metrics.md says otherwise.
        applies: Whether the metric is defined for an example (recall of gold documents: only where there are some).
        needs: The resources it cannot do without, separated by a space: "embedder", "judge", both or nothing.
    """

    name: str
    title: str
    score: ScoreFunction
    higher_is_better: bool = True
    applies: Callable[[Example], bool] = lambda example: True
    needs: str = ""


def per_example(function: Callable[[Example, Answer], Score]) -> ScoreFunction:
    """Lift a function of one example and its answer to a `ScoreFunction`."""

    def score(examples: Sequence[Example], answers: Sequence[Answer], _: ScoringResources) -> list[Score]:
        return [function(example, answer) for example, answer in zip(examples, answers, strict=True)]

    return score


def score_answers(
    metric: Metric, examples: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources
) -> list[Score]:
    """Scores of answers by a metric; what never came, or was withheld, is unscored, never wrong."""
    came = [i for i, answer in enumerate(answers) if not answer.missing]
    scores = metric.score([examples[i] for i in came], [answers[i] for i in came], resources)
    made = dict(zip(came, scores, strict=True))
    return [made.get(i) or unscored(answer.missing) for i, answer in enumerate(answers)]
