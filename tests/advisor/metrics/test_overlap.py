import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from advisor.data.dataset import Example, Split
from advisor.data.normalisation import runs
from advisor.metrics.overlap import bleu, chrf, rouge_l
from advisor.results.answer import Answer
from lm.completion import FinishReason, Usage

CASES = [
    ("The cat sat on the mat.", ["A cat sat on a mat.", "The cat is on the mat."]),
    ("Descale the machine every month", ["Descale every 3 months", "Every three months, descale the machine"]),
    ("no", ["yes"]),
    ("", ["something"]),
]


def as_example(references: list[str]) -> Example:
    return Example("q1", "Where?", tuple(references), (), "g1", Split.TEST)


def as_answer(text: str) -> Answer:
    return Answer(text, Usage(), FinishReason.STOP, (), "hash")


@pytest.mark.parametrize(("text", "references"), CASES)
def test_values_equal_the_reference_implementations(text: str, references: list[str]) -> None:
    example, answer = as_example(references), as_answer(text)
    rouge = RougeScorer(["rougeL"], use_stemmer=False).score_multi(references, text)["rougeL"].fmeasure
    assert rouge_l(example, answer).value == pytest.approx(rouge)
    sentence_bleu = sacrebleu.sentence_bleu(text, references, use_effective_order=True).score
    assert bleu(example, answer).value == pytest.approx(sentence_bleu / 100)
    assert chrf(example, answer).value == pytest.approx(sacrebleu.sentence_chrf(text, references).score / 100)


@pytest.mark.parametrize("text", ["Paris", "ရန်ကုန်မြို့", "東京都", "кот сидит", "5"])
def test_a_perfect_answer_of_any_script_and_length_scores_one(text: str) -> None:
    for score in (rouge_l, bleu, chrf):
        assert score(as_example(["x", text]), as_answer(text)).value == pytest.approx(1)


def test_scripts_without_spaces_earn_part_of_the_score_for_part_of_the_text() -> None:
    for score in (rouge_l, bleu, chrf):
        value = score(as_example(["東京都に住む"]), as_answer("東京都で住む")).value
        assert value is not None
        assert 0.2 < value < 1


@given(st.text(st.characters(max_codepoint=127), max_size=40))
def test_tokens_of_ascii_text_are_those_of_rouge_score(text: str) -> None:
    assert runs(text) == DefaultTokenizer(use_stemmer=False).tokenize(text)
