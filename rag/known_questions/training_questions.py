"""Training questions as vectors: what answering from the nearest of them, and choosing examples by it, are built on."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Example
from advisor.data.prompt import reference_text
from advisor.errors import EvaluationError
from advisor.results.answer import BuildUsage
from lm.embedding import Embedder
from lm.files import sha256

COSINE_DECIMALS = 4
"""To which similarities are rounded, so that batches and machines, whose vectors differ by less, choose alike."""


@dataclass(frozen=True)
class TrainingQuestions:
    """Questions, their answers and their vectors.

    Attributes:
        rows: Question and answer, in the order of the training split.
        vectors: L2-normalised, shape (n_rows, n_dimensions).
        build_usage: What embedding them took.
    """

    rows: tuple[tuple[str, str], ...]
    vectors: NDArray[np.float32]
    embedder: Embedder
    build_usage: BuildUsage

    @cached_property
    def fingerprint(self) -> str:
        """Hash of questions, answers and embedder."""
        content = json.dumps([self.rows, self.embedder.fingerprint], ensure_ascii=False)
        return sha256(content)

    def nearest(self, vectors: NDArray[np.float32], n: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The `n` nearest rows of each vector, or all where there are fewer; of equally near ones the first in order.

        Args:
            vectors: L2-normalised, shape (n_questions, n_dimensions).
        Returns:
            Row numbers, nearest first, and their cosines, each of shape (n_questions, min(n, n_rows)).
        """
        cosines = np.round(vectors @ self.vectors.T, COSINE_DECIMALS)  # (n_questions, n_rows)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :n]
        return order, np.take_along_axis(cosines, order, axis=1)


def embed_training_questions(examples: Sequence[Example], embedder: Embedder) -> TrainingQuestions:
    """The vectors of training questions, with the seconds and tokens that they took.

    Raises:
        EvaluationError: there are none.
    """
    if not examples:
        raise EvaluationError("the train split is empty, and there is no training question to be near; add some")
    questions = [example.asked for example in examples]
    started = time.perf_counter()
    vectors = embedder.embed(questions)
    build = BuildUsage(wall_s=time.perf_counter() - started, embedding_tokens=sum(embedder.count_tokens(questions)))
    rows = tuple((example.asked, reference_text(example)) for example in examples)
    return TrainingQuestions(rows, vectors, embedder, build)
