"""The protocol of text embedders. Implementations live where they are used; the core only needs to name one."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """Maps texts to unit vectors."""

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
