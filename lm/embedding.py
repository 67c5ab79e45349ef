"""The protocol of text embedders. Implementations live where they are used; the core only needs to name one."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """Maps texts to unit vectors: questions, and texts that are compared with each other."""

    @property
    def name(self) -> str:
        """The name shown in reports."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of weights and settings: equal fingerprints give equal vectors."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised vectors, shape (n_texts, n_dimensions)."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as the embedder reads it, truncation included."""
        ...


@runtime_checkable
class PassageEmbedder(Protocol):
    """An embedder that reads passages otherwise than questions, with a prefix or layers of their own."""

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised vectors of what is to be found, shape (n_texts, n_dimensions)."""
        ...


@runtime_checkable
class KnowsItsTokens(Protocol):
    """An embedder or language model that can say which tokens of a text it does not know."""

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Tokens that stand for what is not in the vocabulary, as a share of all tokens; 0 where there are none."""
        ...
