"""The standard metrics through the interface of Hugging Face `evaluate`, with the numbers of our registry.

    evaluate.combine([ExactMatch(), TokenF1()]).compute(predictions=["Paris"], references=[["Paris", "paris"]])

Each reference is a text or a list of accepted texts; an empty list means that nothing answers the question. Everything
stays in memory and nothing is downloaded. Costly to import (`evaluate` loads torch): do it inside a function.
"""

import tempfile
import uuid
from typing import Any, ClassVar

import datasets
import evaluate

from advisor.data.dataset import DatasetCard, Example, Split, Task
from advisor.metrics.corpus import CORPUS_METRICS
from advisor.metrics.registry import metric
from advisor.results.answer import Answer
from advisor.results.score import Score, ScoringResources
from lm.completion import FinishReason, Usage

_CARD = DatasetCard("evaluate", Task.QUESTION_ANSWERING, "und", "unknown", (), "", "")


class _Module(evaluate.Metric):  # type: ignore[misc]
    """A metric by its name in our tables; the result's key is that name.

    The value is the mean over all pairs, or the one value of a metric of a whole set.
    """

    metric_name: ClassVar[str]

    def __init__(self) -> None:
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


class ExactMatch(_Module):
    """Mean exact match."""

    metric_name = "exact_match"


class TokenF1(_Module):
    """Mean token F1."""

    metric_name = "token_f1"


class RougeL(_Module):
    """Mean ROUGE-L."""

    metric_name = "rouge_l"


class Bleu(_Module):
    """Mean sentence BLEU."""

    metric_name = "bleu"


class Chrf(_Module):
    """Mean sentence chrF."""

    metric_name = "chrf"


class Accuracy(_Module):
    """Accuracy of labels."""

    metric_name = "accuracy"


class MacroF1(_Module):
    """Macro-averaged F1 of labels."""

    metric_name = "macro_f1"


class CorpusBleu(_Module):
    """Corpus BLEU."""

    metric_name = "corpus_bleu"


class CorpusChrf(_Module):
    """Corpus chrF."""

    metric_name = "corpus_chrf"


def _mean(scores: list[Score]) -> float | None:
    values = [score.value for score in scores if score.value is not None]
    return sum(values) / len(values) if values else None


MODULES: tuple[type[Any], ...] = (
    ExactMatch, TokenF1, RougeL, Bleu, Chrf, Accuracy, MacroF1, CorpusBleu, CorpusChrf,
)  # fmt: skip
"""Every module; make one with no arguments."""
