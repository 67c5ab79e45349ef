"""How much of a text a tokenizer does not know."""

from collections.abc import Sequence
from typing import Any

_BATCH = 256


def unknown_share(tokenizer: Any, texts: Sequence[str]) -> float:
    """Unknown tokens of all texts as a share of their tokens, 0 to 1, without the marks that a model adds.

    0 for tokenizers that fall back to bytes, which know everything, and where there is no token.

    Args:
        tokenizer: Of transformers.
    """
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is None:
        return 0.0
    n_tokens = n_unknown = 0
    for start in range(0, len(texts), _BATCH):
        batch = list(texts[start : start + _BATCH])
        for ids in tokenizer(batch, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]:
            n_tokens += len(ids)
            n_unknown += ids.count(unknown)
    return n_unknown / n_tokens if n_tokens else 0.0
