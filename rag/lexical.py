"""Ranking by shared terms: BM25 over words, and over pairs of grapheme clusters in scripts without spaces.

Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", with k1 1.5, b .75 and Lucene's
inverse document frequency, which no term makes negative. bm25s does the sums.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from rag.text_unit import NO_SPACES, split_clusters

# A mark belongs to its letter, and digits keep the separators inside them.
_RUN = regex.compile(r"\p{N}+(?:[.,]\p{N}+)+|[\p{L}\p{M}\p{N}_]+")
_UNSPACED_OR_NOT = regex.compile(rf"(?:{NO_SPACES}\p{{M}}*)+|(?:(?!{NO_SPACES}).)+")


def terms(text: str) -> list[str]:
    """What two texts may share: words, case and width folded; where no spaces part words, pairs of clusters."""
    found: list[str] = []
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        for part in _UNSPACED_OR_NOT.findall(run):
            if regex.match(NO_SPACES, part):
                clusters = split_clusters(part)
                pairs = ["".join(pair) for pair in zip(clusters, clusters[1:], strict=False)]
                found += pairs or clusters
            else:
                found.append(part)
    return found


class LexicalRanking:
    """BM25 over texts, held in memory; 100,000 passages are counted in seconds, so nothing is stored."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        counted = [terms(text) for text in texts]
        self._known = {term for text_terms in counted for term in text_terms}
        self._n_texts = len(texts)
        self._bm25: Any = None
        if self._known:
            self._bm25 = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
            self._bm25.index(counted, show_progress=False)

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 of every text, shape (n_texts,); 0 for one that shares no term with the question."""
        asked = [term for term in terms(question) if term in self._known]
        if not asked:
            return np.zeros(self._n_texts, dtype=np.float32)
        return np.asarray(self._bm25.get_scores(asked), dtype=np.float32)


def best_positions(scores: NDArray[np.float32], n: int) -> NDArray[np.intp]:
    """Positions of at most `n` scores above 0, highest first; of equal ones the first.

    bm25s itself would fill up with texts that share no term.
    """
    order = np.argsort(-scores, kind="stable")[:n]
    return order[scores[order] > 0]
