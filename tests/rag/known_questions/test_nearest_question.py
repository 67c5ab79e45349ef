from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.data.dataset import Example, Split
from advisor.data.prompt import ABSTENTION
from lm.completion import GenerationConfig
from rag.known_questions.nearest_question import THRESHOLDS, choose_threshold, nearest_question_model
from rag.known_questions.question_model import BareQuestion
from rag.known_questions.training_questions import TrainingQuestions, embed_training_questions


def example(question: str, *answers: str, split: Split = Split.TRAIN) -> Example:
    return Example(question, question, answers, (), question, split)


@pytest.fixture
def known(embedder: Any) -> TrainingQuestions:
    return embed_training_questions(
        [example("How heavy is the Tide 7?", "70 kg"), example("Is the filter washable?", "yes")], embedder
    )


def ask(model: Any, *questions: str) -> list[str]:
    prompts = BareQuestion().build(questions, model, 8)
    return [one.text for one in model.generate([prompt.messages for prompt in prompts], GenerationConfig())]


def test_far_questions_are_declined_from_the_threshold_that_validation_chose(known: TrainingQuestions) -> None:
    validation = [
        example("How heavy is a Tide 7?", "70 kg", split=Split.VALIDATION),
        example("Who painted the filter?", split=Split.VALIDATION),
    ]
    model, threshold = nearest_question_model(known, validation, abstains=True)
    assert threshold is not None and 0 < threshold < 1
    assert ask(model, "How heavy is the Tide 7?", "Who painted ships?") == ["70 kg", ABSTENTION]


def test_without_unanswerable_questions_it_never_declines(known: TrainingQuestions) -> None:
    model, threshold = nearest_question_model(known, [], abstains=False)
    assert threshold is None
    assert ABSTENTION not in ask(model, "xyz", "Who painted ships?")


def test_without_validation_questions_the_threshold_is_0(known: TrainingQuestions) -> None:
    assert nearest_question_model(known, [], abstains=True)[1] == 0


def test_usage_is_the_embedders_tokens_and_true_seconds(known: TrainingQuestions) -> None:
    model, _ = nearest_question_model(known, [], abstains=True)
    (prompt,) = BareQuestion().build(["Is it washable?"], model, 8)
    (completion,) = model.generate([prompt.messages], GenerationConfig())
    usage = completion.usage
    assert (usage.input_tokens, usage.output_tokens) == (0, 0)
    assert usage.embedding_tokens == known.embedder.count_tokens(["Is it washable?"])[0]
    assert usage.latency_s > 0
    pieces = list(model.stream(prompt.messages, GenerationConfig()))
    assert "".join(pieces) == completion.text == "yes"


def test_the_fingerprint_follows_questions_and_threshold(known: TrainingQuestions, embedder: Any) -> None:
    never, at_zero = (nearest_question_model(known, [], abstains=one)[0].fingerprint for one in (False, True))
    fewer = embed_training_questions([example("How heavy is the Tide 7?", "70 kg")], embedder)
    assert len({never, at_zero, nearest_question_model(fewer, [], abstains=True)[0].fingerprint}) == 3


ROWS = st.lists(st.tuples(st.floats(-1, 1), st.booleans(), st.booleans()), max_size=40)


@given(ROWS)
def test_no_other_threshold_gets_more_right_and_no_lower_one_as_many(rows: list[tuple[float, bool, bool]]) -> None:
    def n_right(threshold: float) -> int:
        return sum(right if cosine >= threshold else declined for cosine, right, declined in rows)

    chosen = choose_threshold(*([row[i] for row in rows] for i in range(3)))
    assert chosen in THRESHOLDS
    assert all(n_right(other) <= n_right(chosen) for other in THRESHOLDS)
    assert all(n_right(other) < n_right(chosen) for other in THRESHOLDS if other < chosen)


@given(ROWS)
def test_the_order_of_the_questions_does_not_matter(rows: list[tuple[float, bool, bool]]) -> None:
    first, second = (
        choose_threshold(*([row[i] for row in some] for i in range(3))) for some in (rows, list(reversed(rows)))
    )
    assert first == second
