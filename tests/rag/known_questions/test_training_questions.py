from typing import Any

import numpy as np
import pytest

from advisor.data.dataset import Example, Split
from advisor.data.prompt import ABSTENTION
from advisor.errors import EvaluationError
from rag.known_questions.training_questions import embed_training_questions

EXAMPLES = [
    Example("a", "How heavy is the Tide 7?", ("70 kg",), (), "a", Split.TRAIN),
    Example("b", "How heavy is the Tide 9?", ("90 kg",), (), "b", Split.TRAIN),
    Example("c", "Who painted it?", (), (), "c", Split.TRAIN),
    Example("d", "How heavy is the Tide 9?", ("91 kg",), (), "d", Split.TRAIN),
]


def test_rows_hold_the_answer_or_the_abstention_and_embedding_is_counted(embedder: Any) -> None:
    known = embed_training_questions(EXAMPLES, embedder)
    assert [answer for _, answer in known.rows] == ["70 kg", "90 kg", ABSTENTION, "91 kg"]
    assert known.build_usage.embedding_tokens == sum(embedder.count_tokens([e.question for e in EXAMPLES]))
    assert known.build_usage.wall_s > 0


def test_nearest_comes_first_and_of_equal_ones_the_first_in_order(embedder: Any) -> None:
    known = embed_training_questions(EXAMPLES, embedder)
    order, cosines = known.nearest(embedder.embed(["How heavy is the Tide 9?"]), 3)
    assert order.tolist()[0] == [1, 3, 0]
    assert cosines[0, 0] == 1
    assert np.all(np.diff(cosines[0]) <= 0)
    assert known.nearest(embedder.embed(["?"]), 9)[0].shape == (1, 4)


def test_the_fingerprint_follows_answers_and_embedder(embedder: Any, embedder_class: Any) -> None:
    known = embed_training_questions(EXAMPLES, embedder)
    assert known.fingerprint == embed_training_questions(EXAMPLES, embedder).fingerprint
    assert known.fingerprint != embed_training_questions(EXAMPLES[:3], embedder).fingerprint
    assert known.fingerprint != embed_training_questions(EXAMPLES, embedder_class(salt="other")).fingerprint


def test_no_training_questions_are_refused(embedder: Any) -> None:
    with pytest.raises(EvaluationError, match="train split is empty"):
        embed_training_questions([], embedder)
