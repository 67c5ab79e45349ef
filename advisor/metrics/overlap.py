"""N-gram and subsequence overlap of one answer with its references, computed by the reference implementations."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from advisor.data.dataset import Example
from advisor.data.normalisation import mostly_unspaced, runs
from advisor.results.answer import Answer
from advisor.results.score import Score


def rouge_l(example: Example, answer: Answer) -> Score:
    """F1 of the longest common subsequence of tokens, by the nearest reference; no stemming.

    Source: Lin 2004, ROUGE; package rouge_score, with tokens for every script instead of a-z and 0-9 only.
    """
    measure = _rouge_scorer().score_multi(list(example.answers), answer.text)["rougeL"].fmeasure
    return Score(float(measure))


def bleu(example: Example, answer: Answer) -> Score:
    """Sentence BLEU against all references, with effective order (short texts lack 4-grams), divided by 100.

    Source: Papineni et al. 2002, doi:10.3115/1073083.1073135; sacrebleu: Post 2018, arXiv:1804.08771.
    """
    scorer = _bleu_scorer(bleu_tokenizer(example.answers))
    return Score(min(scorer.sentence_score(answer.text, list(example.answers)).score / 100, 1.0))


def chrf(example: Example, answer: Answer) -> Score:
    """Character n-gram F2 (n up to 6) against the best reference, divided by 100.

    Source: Popović 2015, doi:10.18653/v1/W15-3049; sacrebleu's defaults.
    """
    return Score(min(_chrf_scorer().sentence_score(answer.text, list(example.answers)).score / 100, 1.0))


def bleu_tokenizer(references: Sequence[str]) -> str:
    """sacrebleu's name of the tokenizer: characters for scripts without spaces, its default elsewhere."""
    return "char" if mostly_unspaced("".join(references)) else "13a"


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=False, tokenizer=_RunTokenizer())


@cache
def _bleu_scorer(tokenize: str) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(effective_order=True, tokenize=tokenize)


@cache
def _chrf_scorer() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()


class _RunTokenizer:
    """`rouge_score`'s tokenizer interface."""

    def tokenize(self, text: str) -> list[str]:
        """Runs of letters and digits."""
        return runs(text)
