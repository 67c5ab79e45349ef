from pathlib import Path

import pytest

from lm.errors import ConfigError
from rag.errors import IndexingError
from rag.index import build_index, open_index
from rag.reranker import load_reranker
from rag.retriever import Retriever

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "cotton",
    "drum",
    "parcels",
    "tide",
    "7",
    "9",
    "returns",
    "label",
]


def save_cross_encoder(folder: Path, *, n_scores: int) -> Path:
    """A tiny one with random weights: what it scores means nothing."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        num_labels=n_scores,
        initializer_range=1.0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_cross_encoder_scores_passages_and_orders_them(tmp_path: Path, documents, embedder) -> None:
    reranker = load_reranker(f"hf:{save_cross_encoder(tmp_path / 'model', n_scores=1)}")
    passages = ["drum takes cotton", "parcels", "label tide 9"]
    scores = reranker.score("cotton", passages)
    assert len(set(scores)) == 3
    assert reranker.score("cotton", passages[::-1]) == scores[::-1]
    assert reranker.score("cotton", []) == []
    build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        (found,) = Retriever(index, embedder, reranker=reranker).retrieve(["cotton"], 2)
    assert len(found.chunks) == 2
    assert found.chunks[0].score >= found.chunks[1].score
    with pytest.raises(IndexingError, match="gives 3 scores a passage"):
        load_reranker(f"hf:{save_cross_encoder(tmp_path / 'three', n_scores=3)}").score("cotton", passages)


@pytest.mark.parametrize("spec", ["minilm", "hf:", "openai:x"])
def test_a_name_that_is_no_reranker_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="unknown reranker"):
        load_reranker(spec)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexingError, match="holds no model"):
        load_reranker(f"hf:{tmp_path}")
