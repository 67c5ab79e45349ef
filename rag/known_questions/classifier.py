"""A label for each question by logistic regression on its vector."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Example
from advisor.data.prompt import reference_text
from advisor.errors import EvaluationError
from lm.files import sha256
from rag.known_questions.question_model import QuestionModel
from rag.known_questions.training_questions import TrainingQuestions

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Inverses of the L2 penalty to choose from; larger ones follow the training questions more closely."""
UNVALIDATED_STRENGTH = 1.0
_MAX_ITERATIONS = 5000


def classifier_model(
    known: TrainingQuestions, validation: Sequence[Example], *, seed: int
) -> tuple[QuestionModel, float]:
    """The model, and the strength that gets most validation questions right; of equally good ones the smallest.

    Raises:
        EvaluationError: the training questions have one label.
    """
    labels = np.array([answer for _, answer in known.rows])
    if len(set(labels.tolist())) < 2:
        raise EvaluationError(
            f"the classifier needs two labels or more, and every training question has {str(labels[0])!r}; add "
            "training questions of other labels, or leave the classifier out"
        )
    strength, fitted = UNVALIDATED_STRENGTH, None
    if validation:
        wanted = np.array([reference_text(example) for example in validation])
        vectors = known.embedder.embed([example.asked for example in validation])
        tried = [_fit(known.vectors, labels, one, seed) for one in STRENGTHS]
        n_right = [int((one.predict(vectors) == wanted).sum()) for one in tried]
        best = int(np.argmax(n_right))
        strength, fitted = STRENGTHS[best], tried[best]
    regression = fitted if fitted is not None else _fit(known.vectors, labels, strength, seed)

    def decide(vectors: NDArray[np.float32]) -> list[str]:
        return [str(label) for label in regression.predict(vectors)]

    fingerprint = sha256(f"classifier {known.fingerprint} {strength} {seed}")
    return QuestionModel("logistic regression", fingerprint, decide, known.embedder), strength


def _fit(vectors: NDArray[np.float32], labels: NDArray[np.str_], strength: float, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    # In double precision, in which the optimiser reaches its tolerance whatever the penalty.
    regression = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS, random_state=seed)
    return regression.fit(vectors.astype(np.float64), labels)
