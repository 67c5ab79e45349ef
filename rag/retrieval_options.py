"""What can be chosen of retrieval besides numbers. Nothing heavy is imported, so that settings can name it."""

from enum import StrEnum

BUILTIN_EMBEDDERS = ("minilm", "multilingual")
"""Names of embedders that stand alone."""


class RetrieverKind(StrEnum):
    """How passages are ranked for a question."""

    DENSE = "dense"
    """By cosine of the embedder's vectors."""
    LEXICAL = "lexical"
    """By shared terms, BM25; a passage that shares none is not found."""
    HYBRID = "hybrid"
    """By both, their ranks fused."""


class PassageOrder(StrEnum):
    """Where the best passage stands in the prompt."""

    BEST_FIRST = "best-first"
    BEST_LAST = "best-last"
    """Next to the question: what stands in the middle of a long prompt is used least (Liu et al. 2023)."""
