"""Prompts to tune a reader on: the passage that answers among near misses, as retrieval-augmented fine-tuning does.

Source: Zhang et al. 2024, "RAFT: Adapting Language Model to Domain Specific RAG", arXiv:2403.10131.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from advisor.data.dataset import Example
from advisor.data.normalisation import normalise
from advisor.data.prompt import Prompt, RetrievedChunk, passage_text
from lm.language_model import LanguageModel
from rag.prompts.retrieved import RetrievedPrompt

CANDIDATES = 50
"""Nearest chunks among which the right one and the near misses are looked for."""


def raft_prompts(
    serving: RetrievedPrompt,
    examples: Sequence[Example],
    model: LanguageModel,
    max_output_tokens: int,
    *,
    gold_share: float,
    seed: int,
) -> dict[str, Prompt]:
    """A prompt an example, by its id, with as many passages as serving gives and in the same order, best first.

    Of the examples whose documents are known, a share of `gold_share` gets the right passage and near misses, the
    others near misses alone. Examples without documents (those nothing answers among them) get what serving would give.

    Args:
        serving: The prompt builder that the tuned reader will be served with.
        gold_share: P of the paper, from 0 to 1. Lots are drawn by `seed` and id, whatever the other examples are.
    """
    if not examples:
        return {}
    questions = [example.asked for example in examples]
    ranked = serving.retriever.retrieve(questions, max(CANDIDATES, 2 * serving.top_k))
    prompts = {}
    for example, found in zip(examples, ranked, strict=True):
        with_gold = random.Random(f"raft/{seed}/{example.id}").random() < gold_share
        chosen = choose_passages(example, found.chunks, serving.top_k, with_gold=with_gold)
        prompt = serving.prompt_of(example.asked, chosen, model, max_output_tokens)
        prompts[example.id] = replace(prompt, embedding_tokens=found.embedding_tokens, latency_s=found.latency_s)
    return prompts


def choose_passages(
    example: Example, ranked: Sequence[RetrievedChunk], top_k: int, *, with_gold: bool
) -> list[RetrievedChunk]:
    """`top_k` of the chunks, best first: the right one and the nearest others, or the nearest others alone.

    The right one is the nearest chunk of the example's documents that holds a reference word for word or, where none
    does, the nearest of these documents. Other chunks of theirs that hold a reference are no near misses and left out.
    Where the right one is not among the chunks, there are near misses alone.

    Args:
        ranked: Nearest chunks of the question, best first.
    """
    if not example.document_ids or not example.answerable:
        return list(ranked[:top_k])
    own = [chunk for chunk in ranked if chunk.document_id in example.document_ids]
    holding = [chunk for chunk in own if holds_answer(chunk, example)]
    gold = (holding or own)[:1]
    misses = [chunk for chunk in ranked if chunk not in holding and chunk not in gold]
    planted = gold if with_gold else []
    chosen = planted + misses[: top_k - len(planted)]
    return sorted(chosen, key=ranked.index)


def holds_answer(chunk: RetrievedChunk, example: Example) -> bool:
    """Whether a passage holds a reference word for word, case and punctuation aside."""
    text = f" {normalise(passage_text(chunk.title, chunk.text))} "
    return any(f" {normalise(answer)} " in text for answer in example.answers)
