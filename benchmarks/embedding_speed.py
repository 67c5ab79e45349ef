"""Embedding beside sentence-transformers' own encode, and an index after an edit beside one from nothing.

    python -m benchmarks.embedding_speed --n-chunks 5000 [--documents datasets/appliance-support]

Both encoders read the same texts in batches of the same size, in turn, so that other load meets both. Documents are
those of the folder, again and again with a number of their own; 1 % of them is edited.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from advisor.data.dataset import Document
from advisor.data.files import load_dataset
from rag.chunk import Chunking, chunk_document
from rag.embedder import load_embedder
from rag.index import build_index

N_ROUNDS = 5
N_TEXTS = 512
EDITED_SHARE = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-chunks", type=int, default=5000)
    parser.add_argument("--documents", type=Path, default=Path("datasets/appliance-support"))
    options = parser.parse_args()
    embedder = load_embedder("minilm", device="cpu")
    source = load_dataset(options.documents).documents
    documents, n_chunks, i = [], 0, 0
    sizes = [len(chunk_document(one, chunking=Chunking(), count_tokens=embedder.count_tokens)) for one in source]
    while n_chunks < options.n_chunks:
        one = source[i % len(source)]
        documents.append(numbered(one, i))
        n_chunks += sizes[i % len(source)]
        i += 1
    compare_encoders(embedder, [one.text for one in documents])
    rebuild(embedder, documents)


def numbered(document: Document, number: int) -> Document:
    """A document unlike the others: every paragraph has the number, and so has every chunk."""
    text = document.text.replace("\n\n", f" ({number})\n\n")
    return Document(f"{document.id}-{number}", f"{document.title} {number}", text)


def compare_encoders(embedder, texts: list[str]) -> None:
    """Median seconds of both over the rounds."""
    texts = [text[:500] for text in texts][:N_TEXTS]
    model = embedder._model

    def own() -> np.ndarray:
        return embedder.embed_passages(texts)

    def theirs() -> np.ndarray:
        return model.encode(texts, batch_size=64, show_progress_bar=False, normalize_embeddings=True)

    assert np.allclose(own(), theirs(), atol=1e-5)
    pairs = [(seconds(own), seconds(theirs)) for _ in range(N_ROUNDS)]
    own_s, their_s = np.median(pairs, axis=0)
    ratio = f"{their_s / own_s:.3f} x its speed"
    print(f"{len(texts)} texts: own {own_s:.2f} s, sentence-transformers {their_s:.2f} s: {ratio}", flush=True)


def rebuild(embedder, documents: list[Document]) -> None:
    """Build an index, edit some documents, and build it again with the vectors of the first."""
    n_edited = max(1, round(EDITED_SHARE * len(documents)))
    edited = [replace(one, text=f"{one.text} Edited.") if i < n_edited else one for i, one in enumerate(documents)]
    with tempfile.TemporaryDirectory() as home:
        first, second = Path(home) / "first", Path(home) / "second"
        started = time.perf_counter()
        record = build_index(documents, embedder, first)
        whole_s = time.perf_counter() - started
        started = time.perf_counter()
        build_index(edited, embedder, second, earlier=[first])
        again_s = time.perf_counter() - started
    print(f"{record.n_chunks} chunks: {whole_s:.1f} s, of which embedding {record.build_usage.device_s:.1f} s")
    print(f"{n_edited} of {len(documents)} documents edited: {again_s:.1f} s, {again_s / whole_s:.1%} of it")


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
