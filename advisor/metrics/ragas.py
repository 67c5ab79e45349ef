"""Metrics computed by the ragas package: some by comparing strings or ids, some by asking a judge.

ragas turns a failure into NaN and its means leave NaN out, so that scores rise as a system fails
(github.com/vibrantlabsai/ragas/issues/3028). Here every exception, NaN and value out of range becomes an unscored
`Score` with its reason. Source: Es et al. 2023, arXiv:2309.15217; definitions of ragas 0.4.3.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from advisor.data.dataset import Example
from advisor.metrics.abstention import abstained
from advisor.metrics.retrieval import has_gold_documents
from advisor.results.answer import Answer
from advisor.results.score import Score, ScoreFunction, ScoringResources, unscored

_Ask = Callable[[Example, Answer], Awaitable[Score]]


def by_reference(metric_class: str) -> ScoreFunction:
    """A ragas metric of (reference, response) that needs no model; the best reference counts.

    Args:
        metric_class: Name of the class in `ragas.metrics.collections`.
    """

    def score(examples: Sequence[Example], answers: Sequence[Answer], _: ScoringResources) -> list[Score]:
        metric = getattr(_collections(), metric_class)()

        async def ask(example: Example, answer: Answer) -> Score:
            results = [await metric.ascore(reference=r, response=answer.text) for r in example.answers]
            return _checked(max(float(result.value) for result in results))

        return _run(ask, examples, answers)

    return score


def context_precision_id(examples: Sequence[Example], answers: Sequence[Answer], _: ScoringResources) -> list[Score]:
    """Share of the documents in the retrieved passages that are gold (`IDBasedContextPrecision`)."""
    # From its own module: the public name in ragas.metrics warns that it will move.
    _collections()
    from ragas.metrics._context_precision import IDBasedContextPrecision

    return _by_document_ids(IDBasedContextPrecision(), examples, answers)


def context_recall_id(examples: Sequence[Example], answers: Sequence[Answer], _: ScoringResources) -> list[Score]:
    """Share of the gold documents that are in the retrieved passages (`IDBasedContextRecall`)."""
    _collections()
    from ragas.metrics._context_recall import IDBasedContextRecall

    return _by_document_ids(IDBasedContextRecall(), examples, answers)


def faithfulness(examples: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources) -> list[Score]:
    """Share of the answer's statements that follow from the passages in the prompt, by the judge."""

    def inputs(example: Example, answer: Answer) -> dict[str, Any] | Score:
        if not answer.text.strip() or abstained(example, answer):
            return unscored("the answer states nothing")
        contexts = _contexts(answer)
        return (
            {**_question(example), "response": answer.text, "retrieved_contexts": contexts} if contexts else _NO_CONTEXT
        )

    return _by_judge("Faithfulness", inputs, examples, answers, resources)


def answer_relevancy(
    examples: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources
) -> list[Score]:
    """Cosine of the question and one the judge makes up for the answer; 0 for an evasive answer or an empty one."""
    if resources.embedder is None:
        return [unscored("no embedder")] * len(examples)
    _collections()
    from advisor.metrics.ragas_adapters import EmbedderAdapter

    def inputs(example: Example, answer: Answer) -> dict[str, Any] | Score:
        return {**_question(example), "response": answer.text} if answer.text.strip() else Score(0.0)

    # One made-up question instead of three: the judge decodes greedily and would write the same one thrice.
    options = {"embeddings": EmbedderAdapter(resources.embedder), "strictness": 1}
    scores = _by_judge("AnswerRelevancy", inputs, examples, answers, resources, options, low=-1.0)
    return [Score(max(score.value, 0.0), score.reason) if score.value is not None else score for score in scores]


def context_precision(
    examples: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources
) -> list[Score]:
    """Average precision of the passages in the prompt, relevant being what the judge finds useful for the reference."""
    return _by_judge("ContextPrecisionWithReference", _with_reference, examples, answers, resources)


def context_recall(examples: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources) -> list[Score]:
    """Share of the reference's statements that the judge finds in the passages in the prompt."""
    return _by_judge("ContextRecall", _with_reference, examples, answers, resources)


_NO_CONTEXT = unscored("no retrieval")


def _question(example: Example) -> dict[str, Any]:
    return {"user_input": example.asked}


def _contexts(answer: Answer) -> list[str]:
    """What the model read: the passages that the context budget left in."""
    return [chunk.text for chunk in answer.retrieved if chunk.used]


def _with_reference(example: Example, answer: Answer) -> dict[str, Any] | Score:
    contexts = _contexts(answer)
    if not contexts:
        return _NO_CONTEXT
    if not example.answerable:
        return unscored("no reference")
    return {**_question(example), "reference": example.answers[0], "retrieved_contexts": contexts}


def _by_judge(
    metric_class: str,
    inputs: Callable[[Example, Answer], dict[str, Any] | Score],
    examples: Sequence[Example],
    answers: Sequence[Answer],
    resources: ScoringResources,
    options: Mapping[str, Any] | None = None,
    low: float = 0.0,
) -> list[Score]:
    if resources.judge is None:
        return [unscored("no judge")] * len(examples)
    collections = _collections()
    from advisor.metrics.ragas_adapters import JudgeLLM

    metric = getattr(collections, metric_class)(llm=JudgeLLM(resources.judge), **(options or {}))

    async def ask(example: Example, answer: Answer) -> Score:
        given = inputs(example, answer)
        if isinstance(given, Score):
            return given
        return _checked(float((await metric.ascore(**given)).value), low)

    return _run(ask, examples, answers)


def _by_document_ids(metric: Any, examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score]:
    from ragas.dataset_schema import SingleTurnSample

    async def ask(example: Example, answer: Answer) -> Score:
        if not answer.retrieved:
            return _NO_CONTEXT
        if not has_gold_documents(example):
            return unscored("no gold documents")
        sample = SingleTurnSample(
            retrieved_context_ids=[chunk.document_id for chunk in answer.retrieved],
            reference_context_ids=list(example.document_ids),
        )
        # The public `single_turn_ascore` writes a user id for usage reports into the home directory, tracking or not.
        return _checked(float(await metric._single_turn_ascore(sample, callbacks=[])))

    return _run(ask, examples, answers)


def _checked(value: float, low: float = 0.0) -> Score:
    # Rounding may exceed a bound by a hair; NaN fails both comparisons.
    if low - 1e-6 <= value <= 1 + 1e-6:
        return Score(min(max(value, low), 1.0))
    return unscored(f"ragas gave {value}")


def _run(ask: _Ask, examples: Sequence[Example], answers: Sequence[Answer]) -> list[Score]:
    """All scores at once, so that a judge is asked in batches; a failure costs its own score and no other."""

    async def guarded(example: Example, answer: Answer) -> Score:
        try:
            return await ask(example, answer)
        except Exception as error:
            return unscored(f"{type(error).__name__}: {error}")

    async def all_scores() -> list[Score]:
        return await asyncio.gather(*map(guarded, examples, answers))

    # A thread of its own, since the caller may already be inside an event loop (server, notebook).
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(lambda: asyncio.run(all_scores())).result()


def _collections() -> Any:
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # before the import: it would report every use to its makers
    import ragas.metrics.collections

    return ragas.metrics.collections
