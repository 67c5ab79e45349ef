"""Metrics that exist only for a whole set of answers; one answer has no macro-F1.

A set for which a metric is undefined yields an unscored `Score` with the reason, never 0.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from advisor.data.dataset import Example
from advisor.metrics.abstention import abstained
from advisor.metrics.labels import same_label
from advisor.metrics.overlap import bleu_tokenizer
from advisor.results.answer import Answer
from advisor.results.score import Score, unscored

CorpusMetric = Callable[[Sequence[Example], Sequence[Answer]], Score]
"""One score of all answers together; examples and answers in the same order, shape (n_examples,) each."""

_DECLINED = "\0declined"
PERPLEXITY = "perplexity"


def macro_f1(examples: Sequence[Example], answers: Sequence[Answer]) -> Score:
    """Unweighted mean of the F1 of each label that occurs among the references.

    "Nothing answers this" is a label of its own. An answer that is no such label is wrong for its example's label and
    makes no class of its own; scikit-learn's `f1_score(average="macro", labels=labels of the references)`.
    """
    if not examples:
        return unscored("no examples")
    labels = list(dict.fromkeys(label for example in examples for label in example.answers[:1] or (_DECLINED,)))
    pairs = [_label_pair(e, a, labels) for e, a in zip(examples, answers, strict=True)]
    return Score(sum(_label_f1(pairs, label) for label in labels) / len(labels))


def _label_pair(example: Example, answer: Answer, labels: Sequence[str]) -> tuple[str, str | None]:
    """The label the example has and the label it was given. Any accepted label stands for the canonical one."""
    gold = example.answers[0] if example.answerable else _DECLINED
    if any(same_label(answer.text, label) for label in example.answers):
        return gold, gold
    # Before abstention: a dataset may have a label that reads like one ("unknown").
    given = next((label for label in labels if same_label(answer.text, label)), None)
    return gold, _DECLINED if given is None and abstained(example, answer) else given


def _label_f1(pairs: Sequence[tuple[str, str | None]], label: str) -> float:
    n_right = pairs.count((label, label))
    n_gold = sum(gold == label for gold, _ in pairs)
    n_given = sum(given == label for _, given in pairs)
    return 2 * n_right / (n_gold + n_given)


def abstention_precision(examples: Sequence[Example], answers: Sequence[Answer]) -> Score:
    """Share of the abstentions that were right to abstain."""
    declined = [e for e, a in zip(examples, answers, strict=True) if abstained(e, a)]
    if not declined:
        return unscored("no answer abstains")
    return Score(sum(not example.answerable for example in declined) / len(declined))


def abstention_recall(examples: Sequence[Example], answers: Sequence[Answer]) -> Score:
    """Share of the questions without an answer on which the arm abstained."""
    outcomes = [abstained(e, a) for e, a in zip(examples, answers, strict=True) if not e.answerable]
    if not outcomes:
        return unscored("every question has an answer")
    return Score(sum(outcomes) / len(outcomes))


def corpus_bleu(examples: Sequence[Example], answers: Sequence[Answer]) -> Score:
    """BLEU over the answerable questions, sacrebleu's defaults, divided by 100; characters in unspaced scripts.

    Source: Papineni et al. 2002, doi:10.3115/1073083.1073135; Post 2018, arXiv:1804.08771.
    """
    from sacrebleu.metrics import BLEU

    texts, references = _answerable(examples, answers)
    if not texts:
        return unscored("no question has an answer")
    return _corpus_score(BLEU(tokenize=bleu_tokenizer([r for row in references for r in row])), texts, references)


def corpus_chrf(examples: Sequence[Example], answers: Sequence[Answer]) -> Score:
    """chrF2 over the answerable questions, sacrebleu's defaults, divided by 100.

    Source: Popović 2015, doi:10.18653/v1/W15-3049.
    """
    from sacrebleu.metrics import CHRF

    texts, references = _answerable(examples, answers)
    return _corpus_score(CHRF(), texts, references) if texts else unscored("no question has an answer")


def perplexity(examples: Sequence[Example], answers: Sequence[Answer]) -> Score:
    """exp of the mean loss a token, in nats, of the first reference after the arm's own prompt; 1 is certain.

    Source: Jelinek et al. 1977, doi:10.1121/1.2016299.
    """
    pairs = zip(examples, answers, strict=True)
    told = [answer.reference for example, answer in pairs if example.answerable and answer.reference is not None]
    if not told:
        return unscored("the model does not tell how probable the references are")
    return Score(math.exp(-sum(one.log_probability for one in told) / sum(one.n_tokens for one in told)))


def _answerable(examples: Sequence[Example], answers: Sequence[Answer]) -> tuple[list[str], list[tuple[str, ...]]]:
    pairs = [(e, a) for e, a in zip(examples, answers, strict=True) if e.answerable]
    return [answer.text for _, answer in pairs], [example.answers for example, _ in pairs]


def _corpus_score(scorer: Any, texts: list[str], references: list[tuple[str, ...]]) -> Score:
    n_streams = max(map(len, references))
    # sacrebleu wants the i-th reference of every text together, None where a text has fewer.
    streams = [[row[i] if i < len(row) else None for row in references] for i in range(n_streams)]
    return Score(min(scorer.corpus_score(texts, streams).score / 100, 1.0))


CORPUS_METRICS: Mapping[str, CorpusMetric] = {
    "macro_f1": macro_f1,
    "abstention_precision": abstention_precision,
    "abstention_recall": abstention_recall,
    "corpus_bleu": corpus_bleu,
    "corpus_chrf": corpus_chrf,
    PERPLEXITY: perplexity,
}
"""Every metric of a whole set by its name."""
