"""Chunks and vectors in files of ours: what an index is rebuilt from, whatever becomes of the search structure."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lm.files import hash_file
from rag.chunk import Chunk
from rag.errors import DamagedIndexError

CHUNKS_FILE = "chunks.jsonl"
VECTORS_FILE = "vectors.npy"


def write_chunks(folder: Path, chunks: Sequence[Chunk], vectors: NDArray[np.float32]) -> dict[str, str]:
    """Write both files; returns the SHA-256 of each.

    Args:
        vectors: Unit vectors, shape (n_chunks, n_dimensions), in the order of the chunks.
    """
    with (folder / CHUNKS_FILE).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(chunk)) + "\n" for chunk in chunks)
    np.save(folder / VECTORS_FILE, vectors, allow_pickle=False)
    return {name: hash_file(folder / name) for name in (CHUNKS_FILE, VECTORS_FILE)}


def read_chunks(folder: Path, file_hashes: dict[str, str]) -> tuple[list[Chunk], NDArray[np.float32]]:
    """Read both files back.

    Raises:
        DamagedIndexError: a file is missing or is not what was written.
    """
    for name in (CHUNKS_FILE, VECTORS_FILE):
        path = folder / name
        if not path.is_file() or hash_file(path) != file_hashes.get(name):
            raise DamagedIndexError(f"{path} is missing or damaged; build the index again")
    with (folder / CHUNKS_FILE).open(encoding="utf-8") as file:
        chunks = [Chunk(**json.loads(line)) for line in file]
    vectors: NDArray[np.float32] = np.load(folder / VECTORS_FILE, allow_pickle=False)
    return chunks, vectors
