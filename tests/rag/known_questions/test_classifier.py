from typing import Any

import pytest

from advisor.data.dataset import Example, Split
from advisor.errors import EvaluationError
from lm.completion import GenerationConfig
from rag.known_questions.classifier import STRENGTHS, UNVALIDATED_STRENGTH, classifier_model
from rag.known_questions.question_model import BareQuestion
from rag.known_questions.training_questions import embed_training_questions

WORDS = {"billing": ("invoice", "refund", "charge"), "shipping": ("parcel", "courier", "address")}


def examples(split: Split) -> list[Example]:
    return [
        Example(f"{split}{label}{word}{i}", f"about my {word} number {i}", (label,), (), f"{word}{i}", split)
        for label, words in WORDS.items()
        for word in words
        for i in range(4)
    ]


def ask(model: Any, *questions: str) -> list[str]:
    prompts = BareQuestion().build(questions, model, 8)
    return [one.text for one in model.generate([prompt.messages for prompt in prompts], GenerationConfig())]


def test_it_learns_labels_and_answers_nothing_else(embedder: Any) -> None:
    known = embed_training_questions(examples(Split.TRAIN), embedder)
    model, strength = classifier_model(known, examples(Split.VALIDATION), seed=0)
    assert strength in STRENGTHS
    assert ask(model, "the refund please", "where is the courier") == ["billing", "shipping"]
    assert set(ask(model, "zzz", "?")) <= set(WORDS)


def test_without_validation_questions_the_strength_is_the_usual_one(embedder: Any) -> None:
    known = embed_training_questions(examples(Split.TRAIN), embedder)
    assert classifier_model(known, [], seed=0)[1] == UNVALIDATED_STRENGTH


def test_the_same_training_gives_the_same_model(embedder: Any) -> None:
    known = embed_training_questions(examples(Split.TRAIN), embedder)
    first, second = (classifier_model(known, examples(Split.VALIDATION), seed=0)[0] for _ in range(2))
    assert first.fingerprint == second.fingerprint
    questions = ["my refund", "a parcel", "charge of the courier"]
    assert ask(first, *questions) == ask(second, *questions)


def test_one_label_is_refused(embedder: Any) -> None:
    known = embed_training_questions(examples(Split.TRAIN)[:4], embedder)
    with pytest.raises(EvaluationError, match="every training question has 'billing'"):
        classifier_model(known, [], seed=0)
