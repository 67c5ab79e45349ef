"""The standard metrics through the interface of Hugging Face `evaluate`, with the numbers of our registry.

    modules = [RegistryMetric("exact_match"), RegistryMetric("token_f1")]
    evaluate.combine(modules).compute(predictions=["Paris"], references=[["Paris", "paris"]])

Each reference is a text or a list of accepted texts; an empty list means that nothing answers the question. Everything
stays in memory and nothing is downloaded. Costly to import (`evaluate` loads torch): do it inside a function.
"""

import tempfile
import uuid

import datasets
import evaluate

from advisor.data.dataset import DatasetCard, Example, Split, Task
from advisor.metrics.corpus import CORPUS_METRICS
from advisor.metrics.registry import metric
from advisor.results.answer import Answer
from advisor.results.score import Score, ScoringResources
from lm.completion import FinishReason, Usage

_CARD = DatasetCard("evaluate", Task.QUESTION_ANSWERING, "und", "unknown", (), "", "")


class RegistryMetric(evaluate.Metric):  # type: ignore[misc]
    """A metric by its name in our tables; the result's key is that name.

    The value is the mean over all pairs, or the one value of a metric of a whole set.

    Args:
        metric_name: Of a metric that needs neither an embedder nor a judge.
    """

    def __init__(self, metric_name: str) -> None:
        self.metric_name = metric_name
        # An id of its own, lest modules in parallel threads share a cache file.
        super().__init__(keep_in_memory=True, experiment_id=uuid.uuid4().hex)

    def _build_data_dir(self) -> str:
        return tempfile.gettempdir()  # never written to; the default creates folders in the home directory

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=f"{self.metric_name}; defined in docs/metrics.md.",
            citation="",
            inputs_description="predictions: texts; references: for each a text or a list of accepted texts.",
            features=[
                datasets.Features({"predictions": text, "references": datasets.Sequence(text)}),
                datasets.Features({"predictions": text, "references": text}),
            ],
        )

    def _compute(self, predictions: list[str], references: list[list[str]] | list[str]) -> dict[str, float | None]:
        accepted = [(row,) if isinstance(row, str) else tuple(row) for row in references]
        examples = [Example(str(i), "", row, (), str(i), Split.TEST) for i, row in enumerate(accepted)]
        answers = [Answer(text, Usage(), FinishReason.STOP, (), "") for text in predictions]
        return {self.metric_name: self._value(examples, answers)}

    def _value(self, examples: list[Example], answers: list[Answer]) -> float | None:
        if self.metric_name in CORPUS_METRICS:
            return CORPUS_METRICS[self.metric_name](examples, answers).value
        return _mean(metric(self.metric_name).score(examples, answers, ScoringResources(_CARD)))


def _mean(scores: list[Score]) -> float | None:
    values = [score.value for score in scores if score.value is not None]
    return sum(values) / len(values) if values else None
