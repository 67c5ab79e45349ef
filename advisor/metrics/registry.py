"""The table of all metrics. To add one: a function, a line here, an entry in docs/metrics.md."""

from advisor.data.dataset import DatasetCard, Example
from advisor.errors import EvaluationError
from advisor.metrics import (
    abstention,
    grounding,
    human,
    labels,
    overlap,
    ragas,
    retrieval,
    similarity,
    structured,
    text,
)
from advisor.metrics.abstention import unless_abstained
from advisor.metrics.corpus import CORPUS_METRICS
from advisor.metrics.human import HUMAN_METRICS
from advisor.metrics.retrieval import has_gold_documents
from advisor.results.score import Metric, per_example
from lm.plugins import Table


def is_answerable(example: Example) -> bool:
    """Whether there is a reference to compare with."""
    return example.answerable


_TABLE = (
    # Free text against references.
    Metric("exact_match", "Exact match", unless_abstained(text.exact_match)),
    Metric("token_f1", "Token F1", unless_abstained(text.token_f1)),
    Metric("contains_answer", "Contains the answer", unless_abstained(text.contains_answer)),
    Metric("rouge_l", "ROUGE-L", unless_abstained(overlap.rouge_l)),
    Metric("bleu", "BLEU", unless_abstained(overlap.bleu)),
    Metric("chrf", "chrF", unless_abstained(overlap.chrf)),
    Metric("semantic_similarity", "Semantic similarity", similarity.semantic_similarity, needs="embedder"),
    # Knowing when to decline.
    Metric("abstention", "Abstention correct", per_example(abstention.abstention)),
    # Classification.
    Metric("accuracy", "Accuracy", unless_abstained(labels.accuracy)),
    # Extraction.
    Metric("json_valid", "Valid JSON", structured.json_valid, applies=is_answerable),
    Metric("json_exact", "JSON exact match", unless_abstained(structured.json_exact)),
    Metric("json_field_accuracy", "JSON field accuracy", unless_abstained(structured.json_field_accuracy)),
    # Retrieval.
    Metric("recall@1", "Recall@1", retrieval.recall_at(1), applies=has_gold_documents),
    Metric("recall@3", "Recall@3", retrieval.recall_at(3), applies=has_gold_documents),
    Metric("recall@5", "Recall@5", retrieval.recall_at(5), applies=has_gold_documents),
    Metric("recall@10", "Recall@10", retrieval.recall_at(10), applies=has_gold_documents),
    Metric("mrr@10", "MRR@10", retrieval.reciprocal_rank_at(10), applies=has_gold_documents),
    Metric("ndcg@10", "nDCG@10", retrieval.ndcg_at(10), applies=has_gold_documents),
    # Answers against the passages they were given.
    Metric("grounding", "Grounding", per_example(grounding.grounding)),
    # By ragas, without a judge.
    Metric("ragas_exact_match", "Exact match (ragas)", ragas.by_reference("ExactMatch"), applies=is_answerable),
    Metric("ragas_string_presence", "Contains (ragas)", ragas.by_reference("StringPresence"), applies=is_answerable),
    Metric(
        "ragas_string_similarity",
        "String similarity (ragas)",
        ragas.by_reference("NonLLMStringSimilarity"),
        applies=is_answerable,
    ),
    Metric("ragas_bleu", "BLEU (ragas)", ragas.by_reference("BleuScore"), applies=is_answerable),
    Metric("ragas_chrf", "chrF (ragas)", ragas.by_reference("CHRFScore"), applies=is_answerable),
    Metric("ragas_rouge", "ROUGE-L (ragas)", ragas.by_reference("RougeScore"), applies=is_answerable),
    Metric(
        "ragas_context_precision_id",
        "Context precision by id (ragas)",
        ragas.context_precision_id,
        applies=has_gold_documents,
    ),
    Metric(
        "ragas_context_recall_id", "Context recall by id (ragas)", ragas.context_recall_id, applies=has_gold_documents
    ),
    # By ragas, with a judge.
    Metric("faithfulness", "Faithfulness", ragas.faithfulness, needs="judge"),
    Metric(
        "answer_relevancy", "Answer relevancy", ragas.answer_relevancy, applies=is_answerable, needs="embedder judge"
    ),
    Metric("context_precision", "Context precision", ragas.context_precision, applies=is_answerable, needs="judge"),
    Metric("context_recall", "Context recall", ragas.context_recall, applies=is_answerable, needs="judge"),
    # By people.
    Metric(human.CORRECT, "Right by people", human.by_people(human.CORRECT)),
    Metric(human.PREFERENCE, "Preferred by people", human.by_people(human.PREFERENCE)),
)

METRICS: Table[Metric] = Table("tuning_fork.metrics", {metric.name: metric for metric in _TABLE})
"""Every metric by its name."""

JUDGE_METRICS = tuple(metric.name for metric in _TABLE if "judge" in metric.needs.split())
"""Metrics that a judge scores; they are added where one is configured, and `grounding` as their counted sister."""

RETRIEVAL_METRICS = frozenset(
    {
        *("recall@1", "recall@3", "recall@5", "recall@10", "mrr@10", "ndcg@10"),
        *("ragas_context_precision_id", "ragas_context_recall_id"),
        *("faithfulness", "context_precision", "context_recall", "grounding"),
    }
)
"""Metrics of the retrieved passages. Not defined for an arm that retrieves nothing: do not run them there."""


def is_quality(metric: Metric) -> bool:
    """Whether it tells how right an answer is: nobody's word, and not of passages, form or declining alone."""
    others = {*RETRIEVAL_METRICS, *HUMAN_METRICS, "abstention", "json_valid"}
    return metric.name not in others and "judge" not in metric.needs.split()


def metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        EvaluationError: there is none; the message lists those there are.
    """
    if name not in METRICS:
        if name in METRICS.broken:
            raise EvaluationError(METRICS.broken[name])
        known = ", ".join([*METRICS, *CORPUS_METRICS])
        raise EvaluationError(f"there is no metric {name!r}; choose from: {known}")
    return METRICS[name]


def metrics_for(card: DatasetCard, *, has_embedder: bool, has_judge: bool) -> tuple[Metric, ...]:
    """The card's metrics that can be run, in its order; the first is the one the verdict is about.

    Left out are metrics that lack an embedder or a judge, and those of a whole set (`corpus.CORPUS_METRICS`).

    Raises:
        EvaluationError: a name is unknown, or the first is of a whole set or lacks its resource.
    """
    available = {n for n, has in (("embedder", has_embedder), ("judge", has_judge)) if has}
    names = list(dict.fromkeys(card.metrics))
    if not names or names[0] in CORPUS_METRICS:
        raise EvaluationError(
            f"dataset {card.name!r} has no first metric that scores single answers, and the verdict needs one; "
            f"in dataset.toml begin `metrics` with one of: {', '.join(METRICS)}"
        )
    chosen = [metric(name) for name in names if name not in CORPUS_METRICS]
    runnable = tuple(m for m in chosen if set(m.needs.split()) <= available)
    if chosen[0] not in runnable:
        raise EvaluationError(
            f"the first metric of dataset {card.name!r}, {chosen[0].name}, needs: {chosen[0].needs}; "
            "provide it, or begin `metrics` in dataset.toml with another"
        )
    return runnable
