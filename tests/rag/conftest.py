"""A tiny embedder for tests: words, and pairs of characters where scripts have no spaces, hashed into a vector."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from advisor.data.dataset import Document


class HashingEmbedder:
    """Deterministic; texts that share words are near."""

    name = "hashing"

    def __init__(self, *, n_dimensions: int = 64, salt: str = "", max_tokens: int | None = None) -> None:
        self.fingerprint = hashlib.sha256(f"hashing {n_dimensions} {salt}".encode()).hexdigest()
        self.n_embedded = 0
        self._n_dimensions = n_dimensions
        self._salt = salt
        self._max_tokens = max_tokens

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.n_embedded += len(texts)
        vectors = np.zeros((len(texts), self._n_dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row, 0] = 0.01
            for feature in self._features(text):
                digest = hashlib.sha256((self._salt + feature).encode()).digest()
                vectors[row, 1 + int.from_bytes(digest[:4], "big") % (self._n_dimensions - 1)] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        counts = [2 + len(re.findall(r"\w|[^\w\s]" if not text.isascii() else r"\w+|[^\w\s]", text)) for text in texts]
        return [min(count, self._max_tokens or count) for count in counts]

    @staticmethod
    def _features(text: str) -> list[str]:
        words = re.findall(r"\S+", text.lower())
        pairs = [word[i : i + 2] for word in words if not word.isascii() for i in range(len(word) - 1)]
        return [word.strip(".,:;?!") for word in words] + pairs


@pytest.fixture
def embedder() -> HashingEmbedder:
    return HashingEmbedder()


@pytest.fixture
def documents() -> list[Document]:
    return [
        Document("tide-7", "Tide 7", "The drum of the Tide 7 takes 7 kg of cotton. Its top spin is 1,200 rpm."),
        Document("tide-9", "Tide 9", "The drum of the Tide 9 takes 9 kg of cotton. Its top spin is 1,400 rpm."),
        Document("returns", "Returns", "Parcels go back within 30 days. The label is in the box."),
    ]


@pytest.fixture
def embedder_class() -> type[HashingEmbedder]:
    return HashingEmbedder
