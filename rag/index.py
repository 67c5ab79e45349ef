"""The index of a corpus: built whole or not at all, verified, opened only with the embedder it was built with.

A folder holds `chunks.jsonl` and `vectors.npy` (ours, the truth), `chroma-*/` (the search structure, made from them)
and `index.json`, the marker, written last. All is written beside the folder and renamed into place.
"""

import json
import platform
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Document, hash_documents
from advisor.data.prompt import RetrievedChunk
from advisor.results.answer import BuildUsage
from lm.embedding import Embedder
from lm.errors import ConfigError
from lm.files import locked, sha256, staged_directory
from rag import vector_search
from rag.chunk import Chunk, Chunking, chunk_document
from rag.chunk_store import CHUNKS_FILE, VECTORS_FILE, read_chunks, write_chunks
from rag.errors import IndexingError

MARKER = "index.json"
"""Written last: a folder without it is no index."""

FORMAT_VERSION = 1

_CHROMA_FOLDER = re.compile(r"chroma-[0-9a-f]{8}")
# SQLite's own files, gone when it closes.
_PASSING_SUFFIXES = ("-wal", "-shm", "-journal")
_SCORE_DIGITS = 6
_SPARE_RESULTS = 8


@dataclass(frozen=True)
class IndexRecord:
    """What an index was made from, with what, and what that cost.

    Attributes:
        documents_hash: SHA-256 over id, title and text of every document.
        chroma_folder: Folder of the search structure inside the index.
        chroma_bytes: Size of each of its files; a smaller one has been cut, and would end the process when opened.
        ef_search: HNSW candidates, as wide as recall needed.
        recall: Share of the exact 10 nearest chunks that search found when built, 0 to 1.
        file_hashes: SHA-256 of `chunks.jsonl` and `vectors.npy`.
    """

    chunking: Chunking
    embedder: str
    embedder_fingerprint: str
    documents_hash: str
    n_documents: int
    n_chunks: int
    n_dimensions: int
    ef_search: int
    recall: float
    build_usage: BuildUsage
    chroma_folder: str
    chroma_bytes: dict[str, int]
    file_hashes: dict[str, str]
    versions: dict[str, str]
    format_version: int = field(default=FORMAT_VERSION)

    @property
    def content_key(self) -> str:
        """Hash of what decides the index's answers: documents, chunking, embedder."""
        return _content_key(self.documents_hash, self.chunking, self.embedder_fingerprint)


class Index:
    """An open index. Close it (or use `with`) before its folder is deleted or built again."""

    def __init__(
        self, directory: Path, record: IndexRecord, chunks: Sequence[Chunk], vectors: NDArray[np.float32], client: Any
    ) -> None:
        self.directory = directory
        self.record = record
        self._chunks = chunks
        self._vectors = vectors  # (n_chunks, n_dimensions)
        self._position = {chunk.id: i for i, chunk in enumerate(chunks)}
        self._client = client
        self._collection = vector_search.get_collection(client)

    def query(self, vectors: NDArray[np.float32], top_k: int) -> list[list[RetrievedChunk]]:
        """The `top_k` nearest chunks of each vector, best first; chunks equally near (to 6 digits) by id.

        Args:
            vectors: Unit vectors, shape (n, n_dimensions).
        Raises:
            ConfigError: `top_k` is below 1.
            IndexingError: the vectors have another length than the index's, or Chroma failed.
        """
        if top_k < 1:
            raise ConfigError(f"top_k is {top_k}; give 1 or more")
        if vectors.ndim != 2 or vectors.shape[1] != self.record.n_dimensions:
            raise IndexingError(
                f"the index {self.directory} holds vectors of {self.record.n_dimensions} numbers, the question's have "
                f"shape {vectors.shape}; use the embedder it was built with ({self.record.embedder})"
            )
        if self._client is None:
            raise IndexingError(f"the index {self.directory} is closed; open it again")
        if not len(vectors):
            return []
        top_k = min(top_k, len(self._chunks))
        n_results = min(top_k + _SPARE_RESULTS, len(self._chunks))
        candidates = vector_search.find_nearest(self._collection, vectors, n_results)
        return [self._rank(vector, ids, top_k) for vector, ids in zip(vectors, candidates, strict=True)]

    def close(self) -> None:
        """Release the folder. Closing twice is harmless."""
        if self._client is not None:
            self._client.close()
        self._client = self._collection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rank(self, vector: NDArray[np.float32], ids: Sequence[str], top_k: int) -> list[RetrievedChunk]:
        ranked = self._score(vector, ids)
        # Where more chunks tie for the last place than were asked for, which of them came is chance: look at all.
        while len(ids) < len(self._chunks) and ranked[-1][0] == ranked[top_k - 1][0]:
            n_results = min(len(ids) * 4, len(self._chunks))
            ids = vector_search.find_nearest(self._collection, vector[None], n_results)[0]
            ranked = self._score(vector, ids)
        return [
            RetrievedChunk(chunk.id, chunk.document_id, chunk.passage_title, chunk.text, -negative_score)
            for negative_score, chunk_id in ranked[:top_k]
            for chunk in (self._chunks[self._position[chunk_id]],)
        ]

    def _score(self, vector: NDArray[np.float32], ids: Sequence[str]) -> list[tuple[float, str]]:
        scores = self._vectors[[self._position[chunk_id] for chunk_id in ids]] @ vector  # (candidates,)
        return sorted(
            (-round(float(score), _SCORE_DIGITS), chunk_id) for score, chunk_id in zip(scores, ids, strict=True)
        )


def build_index(
    documents: Sequence[Document], embedder: Embedder, directory: Path, *, chunking: Chunking | None = None
) -> IndexRecord:
    """Chunk, embed and index a corpus; an index of the same content that is whole is kept as it is.

    Vectors of the same content are used again where only the search structure is damaged. A folder without a marker is
    what a killed build left: it is discarded. A second builder of the same folder waits, then finds the work done.

    Raises:
        IndexingError: no text, an id twice, vectors that are unusable, a search that misses neighbours, or a folder
            that holds files which are not an index's.
        ConfigError: the chunks are longer than the embedder reads.
    """
    chunking = chunking or Chunking()
    started = time.perf_counter()
    _check_documents(documents)
    _check_embedder_reads(embedder, chunking)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(directory):
        documents_hash = hash_documents(documents)
        key = _content_key(documents_hash, chunking, embedder.fingerprint)
        known = _read_whole(directory, key)
        if known and _is_search_whole(directory, known[0]):
            return known[0]
        _check_replaceable(directory)
        with staged_directory(directory) as staging:
            if known:
                old, chunks, vectors = known
                device_s = old.build_usage.device_s
            else:
                chunks = [
                    chunk
                    for document in documents
                    for chunk in chunk_document(document, chunking=chunking, count_tokens=embedder.count_tokens)
                ]
                embedding_started = time.perf_counter()
                vectors = _embed(embedder, chunks)
                device_s = time.perf_counter() - embedding_started
            chroma_folder = f"chroma-{secrets.token_hex(4)}"
            file_hashes = write_chunks(staging, chunks, vectors)
            ef_search, recall = vector_search.build_search(staging / chroma_folder, [c.id for c in chunks], vectors)
            record = IndexRecord(
                chunking=chunking,
                embedder=embedder.name,
                embedder_fingerprint=embedder.fingerprint,
                documents_hash=documents_hash,
                n_documents=len(documents),
                n_chunks=len(chunks),
                n_dimensions=vectors.shape[1],
                ef_search=ef_search,
                recall=recall,
                build_usage=known[0].build_usage
                if known
                else BuildUsage(
                    wall_s=time.perf_counter() - started,
                    device_s=device_s,
                    embedding_tokens=sum(chunk.n_tokens for chunk in chunks),
                    device=str(getattr(embedder, "device", "cpu")),
                ),
                chroma_folder=chroma_folder,
                chroma_bytes=_sizes(staging / chroma_folder),
                file_hashes=file_hashes,
                versions=_versions(),
            )
            (staging / MARKER).write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
    return record


def open_index(directory: Path, embedder: Embedder) -> Index:
    """Open an index for questions embedded by `embedder`.

    Raises:
        IndexingError: there is no whole index, or it was built with another embedder.
    """
    record = read_record(directory)
    if record.embedder_fingerprint != embedder.fingerprint:
        raise IndexingError(
            f"the index {directory} was built with the embedder {record.embedder} "
            f"({record.embedder_fingerprint[:12]}), not with {embedder.name} ({embedder.fingerprint[:12]}): their "
            "vectors cannot be compared; build the index again or use the first embedder"
        )
    chunks, vectors = read_chunks(directory, record.file_hashes)
    if not _is_search_whole(directory, record):
        raise IndexingError(
            f"the search structure in {directory / record.chroma_folder} is damaged; build the index again (its "
            "vectors are kept and used)"
        )
    client = vector_search.connect(directory / record.chroma_folder)
    try:
        index = Index(directory, record, chunks, vectors, client)
    except Exception as error:
        client.close()
        raise IndexingError(f"Chroma cannot open the index {directory} ({error}); build it again") from error
    return index


def copy_index(directory: Path, target: Path) -> None:
    """Copy a whole index to a folder that does not exist yet, for another process to open: Chroma's belongs to one.

    Raises:
        IndexingError: there is no whole index.
    """
    read_record(directory)
    with _locked(directory):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(directory, target)


def read_record(directory: Path) -> IndexRecord:
    """The marker of an index.

    Raises:
        IndexingError: there is none, or it cannot be read.
    """
    path = directory / MARKER
    if not path.is_file():
        raise IndexingError(f"{directory} holds no finished index ({MARKER} is missing); build it")
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        if row["format_version"] != FORMAT_VERSION:
            raise IndexingError(
                f"the index {directory} has format {row['format_version']}, this version reads {FORMAT_VERSION}; "
                "build it again"
            )
        row["chunking"] = Chunking(**row["chunking"])
        row["build_usage"] = BuildUsage(**row["build_usage"])
        record = IndexRecord(**row)
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise IndexingError(f"the marker {path} is damaged; build the index again") from error
    if not _CHROMA_FOLDER.fullmatch(record.chroma_folder):
        raise IndexingError(f"the marker {path} is damaged; build the index again")
    return record


def _check_documents(documents: Sequence[Document]) -> None:
    if not any(document.text.strip() for document in documents):
        raise IndexingError(
            f"none of the {len(documents)} documents holds text, so there is nothing to retrieve; add documents, or "
            "leave the arms with retrieval out"
        )
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise IndexingError(f"two documents have the id {document.id!r}; give each its own")
        seen.add(document.id)


def _check_embedder_reads(embedder: Embedder, chunking: Chunking) -> None:
    """An embedder that truncates counts no more than it reads, however long the text."""
    longest = embedder.count_tokens(["a " * 2 * chunking.max_tokens])[0]
    if longest <= chunking.max_tokens:
        raise ConfigError(
            f"chunks of {chunking.max_tokens} tokens would be cut: {embedder.name} reads {longest}; give fewer"
        )


def _embed(embedder: Embedder, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
    vectors = embedder.embed([chunk.embedded_text for chunk in chunks])
    if vectors.ndim != 2 or len(vectors) != len(chunks):
        raise IndexingError(f"{embedder.name} gave vectors of shape {vectors.shape} for {len(chunks)} chunks")
    lengths = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if bad.size:
        raise IndexingError(f"{embedder.name} gave no unit vector for chunk {chunks[int(bad[0])].id}")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _content_key(documents_hash: str, chunking: Chunking, embedder_fingerprint: str) -> str:
    parts = [FORMAT_VERSION, documents_hash, asdict(chunking), embedder_fingerprint]
    return sha256(json.dumps(parts))


def _read_whole(directory: Path, key: str) -> tuple[IndexRecord, list[Chunk], NDArray[np.float32]] | None:
    try:
        record = read_record(directory)
        return (record, *read_chunks(directory, record.file_hashes)) if record.content_key == key else None
    except IndexingError:
        return None


def _is_search_whole(directory: Path, record: IndexRecord) -> bool:
    sizes = _sizes(directory / record.chroma_folder)
    return all(sizes.get(name, -1) >= n_bytes for name, n_bytes in record.chroma_bytes.items())


def _check_replaceable(directory: Path) -> None:
    """Never delete what is not an index's."""
    if not directory.exists():
        return
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else ["it is a file"]
    foreign = [n for n in names if n not in {MARKER, CHUNKS_FILE, VECTORS_FILE} and not _CHROMA_FOLDER.fullmatch(n)]
    if foreign:
        raise IndexingError(
            f"{directory} is in the way and not an index of ours ({foreign[0]}); name an empty folder for the index"
        )


def _locked(directory: Path) -> AbstractContextManager[None]:
    """One builder a folder."""
    return locked(directory.with_name(f".{directory.name}.lock"))


def _sizes(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(_PASSING_SUFFIXES)
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in ("chromadb", "numpy", "regex")}}
