from pathlib import Path

import pytest

from advisor.data.dataset import DatasetCard, Example, Split
from advisor.metrics.corpus import CORPUS_METRICS
from advisor.metrics.registry import METRICS
from advisor.results.answer import Answer
from advisor.results.score import ScoringResources
from lm.completion import FinishReason, Usage

evaluate = pytest.importorskip("evaluate")

NAMES = ("exact_match", "token_f1", "rouge_l", "bleu", "chrf", "accuracy", "macro_f1", "corpus_bleu", "corpus_chrf")
PREDICTIONS = ["The Rhine.", "a mat", "I don't know.", "spam", "東京", ""]
REFERENCES = [["Rhine", "Rhine River"], ["the cat sat on the mat"], [], ["ham"], ["東京都"], ["spam"]]


def test_combined_modules_give_the_numbers_of_the_registry(card: DatasetCard) -> None:
    from advisor.metrics.evaluate_modules import RegistryMetric

    combined = evaluate.combine([RegistryMetric(name) for name in NAMES])
    results = combined.compute(predictions=PREDICTIONS, references=REFERENCES)
    examples = [Example(str(i), "", tuple(row), (), str(i), Split.TEST) for i, row in enumerate(REFERENCES)]
    answers = [Answer(text, Usage(), FinishReason.STOP, (), "") for text in PREDICTIONS]
    assert set(results) == set(NAMES)
    for name, value in results.items():
        if name in CORPUS_METRICS:
            expected = CORPUS_METRICS[name](examples, answers).value
        else:
            scores = METRICS[name].score(examples, answers, ScoringResources(card))
            expected = sum(score.value or 0 for score in scores) / len(scores)
        assert value == pytest.approx(expected), name


def test_plain_text_references_are_accepted() -> None:
    from advisor.metrics.evaluate_modules import RegistryMetric

    assert RegistryMetric("exact_match").compute(predictions=["Paris", "Rome"], references=["paris", "Oslo"]) == {
        "exact_match": 0.5
    }


def test_batches_add_up() -> None:
    from advisor.metrics.evaluate_modules import RegistryMetric

    module = RegistryMetric("token_f1")
    module.add_batch(predictions=["Paris"], references=[["paris"]])
    module.add_batch(predictions=["Rome"], references=[["Oslo"]])
    assert module.compute() == {"token_f1": 0.5}


def test_no_folder_is_made_in_the_home_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from advisor.metrics.evaluate_modules import RegistryMetric

    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "cache")
    RegistryMetric("exact_match").compute(predictions=["a"], references=["a"])
    assert not (tmp_path / "cache").exists()
