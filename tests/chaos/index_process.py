"""Builds an index, or finds it whole, and prints what a few questions find in it. Argument: the folder."""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Document
from rag.chunk import Chunking
from rag.index import MARKER, build_index, open_index

N_DOCUMENTS = 3000


class HashingEmbedder:
    name = "hashing"
    fingerprint = "hashing"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                vectors[row, int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % 64] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def main() -> None:
    folder = Path(sys.argv[1])
    embedder = HashingEmbedder()
    documents = [
        Document(f"d{i}", f"Thing {i}", f"Thing {i} is {i * i} wide and number {i % 7} of its kind.")
        for i in range(N_DOCUMENTS)
    ]
    # An index that says it is finished must open, whatever happened before.
    if (folder / MARKER).exists():
        open_index(folder, embedder).close()
    sys.stdout.write("building\n")
    sys.stdout.flush()
    build_index(documents, embedder, folder, chunking=Chunking(32, 0))
    with open_index(folder, embedder) as index:
        vectors = embedder.embed([f"Thing {i} is how wide?" for i in (3, 1234, 2999)])
        found = [[(chunk.chunk_id, round(chunk.score, 5)) for chunk in row] for row in index.query(vectors, 5)]
    sys.stdout.write(json.dumps([index.record.n_chunks, found]) + "\n")


if __name__ == "__main__":
    main()
