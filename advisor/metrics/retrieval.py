"""Retrieval: are the gold documents among the retrieved passages, and how early?

Every retrieved passage counts, also one that the context budget then cut: these judge the retriever, not the prompt.
Where nothing was found they are 0: a retriever that is silent has found no gold document.
A document stands at the rank of its first passage (rank 1 is the first); its further passages take up ranks and gain
nothing. Source of the definitions: Manning, Raghavan, Schütze 2008, Introduction to Information Retrieval, chapter 8;
normalised discounted cumulative gain: Järvelin, Kekäläinen 2002, doi:10.1145/582415.582418.
"""

import math
from collections.abc import Callable

from advisor.data.dataset import Example
from advisor.results.answer import Answer
from advisor.results.score import Score, ScoreFunction, per_example, unscored


def has_gold_documents(example: Example) -> bool:
    """Whether retrieval metrics are defined: the question has an answer, and the documents that hold it are known."""
    return example.answerable and bool(example.document_ids)


def recall_at(k: int) -> ScoreFunction:
    """Share of the gold documents among the documents of the first `k` passages."""
    return _of_ranks(lambda ranks, n_gold: sum(rank <= k for rank in ranks) / n_gold)


def reciprocal_rank_at(k: int) -> ScoreFunction:
    """One over the rank of the first gold passage among the first `k`; 0 without one."""
    return _of_ranks(lambda ranks, _: max((1 / rank for rank in ranks if rank <= k), default=0.0))


def ndcg_at(k: int) -> ScoreFunction:
    """Discounted gain of the gold documents in the first `k` passages over that of the best order; gain 1 each."""

    def ndcg(ranks: list[int], n_gold: int) -> float:
        gained = math.fsum(1 / math.log2(rank + 1) for rank in ranks if rank <= k)
        return gained / math.fsum(1 / math.log2(rank + 1) for rank in range(1, min(n_gold, k) + 1))

    return _of_ranks(ndcg)


def _of_ranks(measure: Callable[[list[int], int], float]) -> ScoreFunction:
    """Score a measure of (ranks of the retrieved gold documents, number of gold documents)."""

    def score(example: Example, answer: Answer) -> Score:
        if not has_gold_documents(example):
            return unscored("no gold documents")
        first_rank: dict[str, int] = {}
        for rank, chunk in enumerate(answer.retrieved, 1):
            first_rank.setdefault(chunk.document_id, rank)
        gold = set(example.document_ids)
        return Score(measure(sorted(first_rank[i] for i in gold & first_rank.keys()), len(gold)))

    return per_example(score)
