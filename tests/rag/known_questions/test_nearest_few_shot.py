from typing import Any

import pytest

from advisor.data.dataset import Example, Split
from lm.completion import Role
from lm.fake import FakeLM
from rag.known_questions.nearest_few_shot import NearestFewShot
from rag.known_questions.training_questions import TrainingQuestions, embed_training_questions

QUESTIONS = ("How heavy is the Tide 7?", "How heavy is the Tide 9?", "Is the filter washable?")


@pytest.fixture
def known(embedder: Any) -> TrainingQuestions:
    rows = [Example(str(i), text, (f"a{i}",), (), str(i), Split.TRAIN) for i, text in enumerate(QUESTIONS)]
    return embed_training_questions(rows, embedder)


def test_the_nearest_example_stands_right_before_the_question(known: TrainingQuestions) -> None:
    builder = NearestFewShot("Be brief.", known, n_shots=2)
    washable, heavy = builder.build(["Is a filter washable?", "How heavy is the Tide 9 now?"], FakeLM({}), 8)
    assert [m.content for m in heavy.messages if m.role is Role.ASSISTANT] == ["a0", "a1"]
    assert [m.content for m in washable.messages if m.role is Role.ASSISTANT][-1] == "a2"
    assert heavy.messages[0].content.startswith("Be brief.")
    assert heavy.messages[-1].content == "Question: How heavy is the Tide 9 now?"
    assert heavy.embedding_tokens == known.embedder.count_tokens(["How heavy is the Tide 9 now?"])[0]
    assert heavy.latency_s > 0


def test_where_the_context_is_short_the_farthest_examples_go_first(known: TrainingQuestions) -> None:
    builder = NearestFewShot("", known, n_shots=3)
    (prompt,) = builder.build(["How heavy is the Tide 9 now?"], FakeLM({}, context_tokens=24), 8)
    assert [m.content for m in prompt.messages if m.role is Role.ASSISTANT] == ["a1"]


def test_the_fingerprint_follows_instruction_and_number(known: TrainingQuestions) -> None:
    builders = [NearestFewShot("", known), NearestFewShot("x", known), NearestFewShot("", known, 2)]
    assert len({builder.fingerprint for builder in builders}) == 3
