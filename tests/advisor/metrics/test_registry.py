import subprocess
import sys
from dataclasses import replace

import pytest

from advisor.data.dataset import DatasetCard
from advisor.errors import EvaluationError
from advisor.metrics.registry import METRICS, RETRIEVAL_METRICS, metric, metrics_for


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(EvaluationError, match=r"'bluerouge'.*exact_match.*macro_f1"):
        metric("bluerouge")


def test_names_are_unique_and_retrieval_metrics_exist() -> None:
    assert all(METRICS[name].name == name for name in METRICS)
    assert METRICS.keys() >= RETRIEVAL_METRICS


def test_metrics_keep_the_order_of_the_card_and_drop_what_cannot_run(card: DatasetCard) -> None:
    names = ("token_f1", "faithfulness", "semantic_similarity", "answer_relevancy", "macro_f1", "exact_match")
    card = replace(card, metrics=names)

    def chosen(*, has_embedder: bool, has_judge: bool) -> list[str]:
        return [m.name for m in metrics_for(card, has_embedder=has_embedder, has_judge=has_judge)]

    assert chosen(has_embedder=False, has_judge=False) == ["token_f1", "exact_match"]
    assert chosen(has_embedder=True, has_judge=False) == ["token_f1", "semantic_similarity", "exact_match"]
    assert chosen(has_embedder=False, has_judge=True) == ["token_f1", "faithfulness", "exact_match"]
    assert "answer_relevancy" in chosen(has_embedder=True, has_judge=True)


@pytest.mark.parametrize("names", [(), ("macro_f1",), ("faithfulness", "exact_match"), ("exact_match", "typo")])
def test_a_card_that_cannot_be_judged_is_refused(names: tuple[str, ...], card: DatasetCard) -> None:
    with pytest.raises(EvaluationError):
        metrics_for(replace(card, metrics=names), has_embedder=False, has_judge=False)


def test_importing_the_table_loads_no_costly_package() -> None:
    costly = ["torch", "evaluate", "ragas", "sacrebleu", "rouge_score", "jsonschema", "transformers"]
    code = f"import sys, advisor.metrics.registry; print([name for name in {costly} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
