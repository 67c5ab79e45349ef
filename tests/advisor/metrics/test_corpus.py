import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import sacrebleu
from sklearn.metrics import f1_score

from advisor.data.dataset import Example
from advisor.metrics.corpus import (
    CORPUS_METRICS,
    abstention_precision,
    abstention_recall,
    corpus_bleu,
    corpus_chrf,
    macro_f1,
    perplexity,
)
from advisor.results.answer import Answer
from lm.completion import Likelihood

MakeExample = Callable[..., Example]
MakeAnswer = Callable[..., Answer]


def test_macro_f1_equals_scikit_learn_over_the_labels_of_the_references(
    example: MakeExample, answer: MakeAnswer
) -> None:
    gold = ["a", "a", "b", "b", "c", "c", "c"]
    given = ["a", "b", "b", "B.", "c", "a", "something else"]
    clean = ["a", "b", "b", "b", "c", "a", "other"]
    score = macro_f1([example(label) for label in gold], [answer(text) for text in given])
    assert score.value == pytest.approx(f1_score(gold, clean, labels=["a", "b", "c"], average="macro"))


def test_abstaining_is_a_class_where_nothing_answers(example: MakeExample, answer: MakeAnswer) -> None:
    examples = [example("a"), example(), example()]
    answers = [answer("a"), answer("I don't know."), answer("a")]
    assert macro_f1(examples, answers).value == pytest.approx(2 / 3)


def test_a_label_that_reads_like_a_refusal_is_a_label(example: MakeExample, answer: MakeAnswer) -> None:
    examples, answers = [example("unknown"), example("spam")], [answer("unknown"), answer("unknown")]
    assert macro_f1(examples, answers).value == pytest.approx((2 / 3 + 0) / 2)


def test_abstention_precision_and_recall(example: MakeExample, answer: MakeAnswer) -> None:
    examples = [example(), example(), example("x"), example("y")]
    answers = [answer("I don't know."), answer("z"), answer("I don't know."), answer("y")]
    assert abstention_precision(examples, answers).value == 0.5
    assert abstention_recall(examples, answers).value == 0.5


def test_corpus_scores_equal_sacrebleu_with_references_of_different_number(
    example: MakeExample, answer: MakeAnswer
) -> None:
    texts = ["The cat sat on the mat.", "Descale it every month"]
    references = [("A cat sat on a mat.", "The cat is on the mat."), ("Descale it each month",)]
    streams = [[references[0][0], references[1][0]], [references[0][1], None]]
    examples = [*(example(*row) for row in references), example()]
    answers = [*map(answer, texts), answer("I don't know.")]
    expected_bleu = sacrebleu.corpus_bleu(texts, streams).score / 100
    assert corpus_bleu(examples, answers).value == pytest.approx(expected_bleu)
    assert corpus_chrf(examples, answers).value == pytest.approx(sacrebleu.corpus_chrf(texts, streams).score / 100)


@pytest.mark.parametrize("name", CORPUS_METRICS)
def test_an_empty_set_is_unscored_with_a_reason(name: str) -> None:
    score = CORPUS_METRICS[name]([], [])
    assert score.value is None
    assert score.reason


def test_undefined_is_never_zero(example: MakeExample, answer: MakeAnswer) -> None:
    assert abstention_precision([example()], [answer("Paris")]).value is None
    assert abstention_recall([example("Paris")], [answer("Paris")]).value is None
    assert corpus_bleu([example()], [answer("Paris")]).value is None


def test_perplexity_weighs_tokens_alike_and_passes_over_what_has_no_reference(
    example: MakeExample, answer: MakeAnswer
) -> None:
    told = [Likelihood(-2.0, 1), Likelihood(-1.0, 2), Likelihood(-50.0, 1), None]
    examples = [example("a"), example("b"), example(), example("c")]
    answers = [replace(answer("x"), reference=one) for one in told]
    assert perplexity(examples, answers).value == pytest.approx(math.e)
    assert perplexity(examples, [answer("x")] * 4).value is None
