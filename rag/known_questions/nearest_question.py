"""Answering with the answer of the nearest training question: what a list of known questions does without a model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Example
from advisor.data.normalisation import is_abstention, normalise
from advisor.data.prompt import ABSTENTION
from lm.files import sha256
from rag.known_questions.question_model import QuestionModel
from rag.known_questions.training_questions import TrainingQuestions

THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(101))
"""Cosines to choose from. A grid, so that vectors of another batch or machine do not move the choice."""


def nearest_question_model(
    known: TrainingQuestions, validation: Sequence[Example], *, abstains: bool
) -> tuple[QuestionModel, float | None]:
    """The model, and the least cosine at which it answers; None where it always does.

    Args:
        validation: Questions the threshold is chosen on; without any it is 0.
        abstains: Whether it may answer that it does not know.
    """
    threshold = _chosen_threshold(known, validation) if abstains else None

    def decide(vectors: NDArray[np.float32]) -> list[str]:
        order, cosines = known.nearest(vectors, 1)
        return [
            known.rows[row][1] if threshold is None or cosine >= threshold else ABSTENTION
            for row, cosine in zip(order[:, 0], cosines[:, 0], strict=True)
        ]

    fingerprint = sha256(f"nearest question {known.fingerprint} {threshold}")
    return QuestionModel("nearest question", fingerprint, decide, known.embedder), threshold


def choose_threshold(cosines: Sequence[float], right: Sequence[bool], unanswerable: Sequence[bool]) -> float:
    """The threshold that gets most questions right; of equally good ones the lowest, which answers most.

    Args:
        cosines: Of each question to its nearest training question.
        right: Whether that one's answer is right.
        unanswerable: Whether abstaining is right.
    Returns:
        One of `THRESHOLDS`; without questions 0.
    """
    near, answered = np.asarray(cosines, np.float64), np.asarray(right, bool)
    declined = np.asarray(unanswerable, bool)
    n_right = [int(np.where(near >= threshold, answered, declined).sum()) for threshold in THRESHOLDS]
    return THRESHOLDS[int(np.argmax(n_right))]


def _chosen_threshold(known: TrainingQuestions, validation: Sequence[Example]) -> float:
    if not validation:
        return THRESHOLDS[0]
    order, cosines = known.nearest(known.embedder.embed([example.asked for example in validation]), 1)
    right = [_is_right(known.rows[row][1], example) for row, example in zip(order[:, 0], validation, strict=True)]
    return choose_threshold(cosines[:, 0].tolist(), right, [not example.answerable for example in validation])


def _is_right(answer: str, example: Example) -> bool:
    if not example.answerable:
        return is_abstention(answer)
    return normalise(answer) in {normalise(reference) for reference in example.answers}
