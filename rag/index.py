"""The index of a corpus: built whole or not at all, verified, opened only with the embedder it was built with.

A folder holds `chunks.jsonl` and `vectors.npy` (ours, the truth), `chroma-*/` (the search structure, made from them),
`index.json`, the marker, and the seal, written last. All is written beside the folder and renamed into place. Chroma
writes to its files whenever it opens them, so each process opens a copy of its own.
"""

import json
import logging
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from advisor.data.dataset import Document, hash_documents
from advisor.data.prompt import RetrievedChunk
from advisor.results.answer import BuildUsage
from lm.embedding import Embedder, PassageEmbedder
from lm.errors import ConfigError
from lm.files import SEAL, copy_folder, damaged_files, locked, set_aside, sha256, staged_directory, write_whole
from rag import FORMAT, vector_search
from rag.chunk import Chunk, Chunking, Reader, chunk_document
from rag.chunk_store import CHUNKS_FILE, VECTORS_FILE, read_chunks, write_chunks
from rag.errors import DamagedIndexError, IndexingError

MARKER = "index.json"
"""Written last: a folder without it is no index."""

FORMAT_VERSION = 1

_LOG = logging.getLogger("tuning_fork.index")

_OPEN = ".open"
_HELD = "held"
_CHROMA_FOLDER = re.compile(r"chroma-[0-9a-f]{8}")
# SQLite's own files, gone when it closes.
_PASSING_SUFFIXES = ("-wal", "-shm", "-journal")
_SCORE_DIGITS = 6
_SPARE_RESULTS = 8
_PAID_AT_ONCE = 512
"""Chunks whose vectors are asked of a hosted embedder, and kept, before the next are paid for."""


@dataclass(frozen=True)
class IndexRecord:
    """What an index was made from, with what, and what that cost.

    Attributes:
        documents_hash: SHA-256 over id, title and text of every document.
        chroma_folder: Folder of the search structure inside the index.
        chroma_bytes: Size of each of its files; in a folder without a seal a smaller one has been cut, and would end
            the process when opened.
        ef_search: HNSW candidates, as wide as recall needed.
        recall: Share of the exact 10 nearest chunks that search found when built, 0 to 1.
        file_hashes: SHA-256 of `chunks.jsonl` and `vectors.npy`.
        reader: Fingerprint of the reader whose tokens bound the chunks, "" where none did.
        chroma_server: Address of the server that has the search structure, "" where it is in `chroma_folder`.
        document_hashes: By document id, what decides its chunks: a later index takes over those of unchanged documents.
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
    reader: str = ""
    chroma_server: str = ""
    document_hashes: dict[str, str] = field(default_factory=dict)
    format_version: int = field(default=FORMAT_VERSION)

    @property
    def content_key(self) -> str:
        """Hash of what decides the index's answers: documents, chunking, embedder, reader."""
        return _content_key(self.documents_hash, self.chunking, self.embedder_fingerprint, self.reader)


WholeIndex = tuple[IndexRecord, list[Chunk], NDArray[np.float32]]
"""What is ours of an index: its marker, chunks and vectors."""


OnEmbedded = Callable[[int, int, int], object]
"""Told how many chunks of how many are embedded, and the tokens of those that just were, taken over ones left out."""


class Index:
    """An open index, which needs its folder no longer. Close it (or use `with`)."""

    def __init__(self, directory: Path, whole: WholeIndex) -> None:
        self.directory = directory
        self.record, self.chunks, self._vectors = whole  # vectors: (n_chunks, n_dimensions)
        self._position = {chunk.id: i for i, chunk in enumerate(self.chunks)}
        self._opened = ExitStack()
        with ExitStack() as stack:
            place = stack.enter_context(_private_search(directory, self.record))
            self._collection = vector_search.get_collection(
                stack.enter_context(vector_search.open_chroma(place)), place
            )
            self._opened = stack.pop_all()

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
        if self._collection is None:
            raise IndexingError(f"the index {self.directory} is closed; open it again")
        if not len(vectors):
            return []
        top_k = min(top_k, len(self.chunks))
        n_results = min(top_k + _SPARE_RESULTS, len(self.chunks))
        candidates = vector_search.find_nearest(self._collection, vectors, n_results)
        return [self._rank(vector, ids, top_k) for vector, ids in zip(vectors, candidates, strict=True)]

    def retrieved(self, position: int, score: float) -> RetrievedChunk:
        """The chunk at a position as it is put before a model."""
        chunk = self.chunks[position]
        return RetrievedChunk(chunk.id, chunk.document_id, chunk.passage_title, chunk.text, score)

    def position(self, chunk_id: str) -> int:
        """Where a chunk stands among `chunks`."""
        return self._position[chunk_id]

    def cosines(self, vector: NDArray[np.float32], positions: NDArray[np.intp]) -> NDArray[np.float32]:
        """Exact cosines of a unit vector with the chunks at these positions."""
        return np.asarray(self._vectors[positions] @ vector, dtype=np.float32)

    @cached_property
    def background_cosine(self) -> float:
        """Mean cosine of any two chunks: how near embedder and subject make everything."""
        return float(np.linalg.norm(self._vectors.mean(axis=0)) ** 2)

    def embedded_text(self, chunk_id: str) -> str:
        """A chunk with its title and headings, as the embedder was given it."""
        return self.chunks[self._position[chunk_id]].embedded_text

    def close(self) -> None:
        """Release the folder. Closing twice is harmless."""
        self._collection = None
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rank(self, vector: NDArray[np.float32], ids: Sequence[str], top_k: int) -> list[RetrievedChunk]:
        ranked = self._score(vector, ids)
        # Where more chunks tie for the last place than were asked for, which of them came is chance: look at all.
        while len(ids) < len(self.chunks) and ranked[-1][0] == ranked[top_k - 1][0]:
            n_results = min(len(ids) * 4, len(self.chunks))
            ids = vector_search.find_nearest(self._collection, vector[None], n_results)[0]
            ranked = self._score(vector, ids)
        return [self.retrieved(self._position[chunk_id], -negative) for negative, chunk_id in ranked[:top_k]]

    def _score(self, vector: NDArray[np.float32], ids: Sequence[str]) -> list[tuple[float, str]]:
        scores = self._vectors[[self._position[chunk_id] for chunk_id in ids]] @ vector  # (candidates,)
        return sorted(
            (-round(float(score), _SCORE_DIGITS), chunk_id) for score, chunk_id in zip(scores, ids, strict=True)
        )


def build_index(
    documents: Sequence[Document],
    embedder: Embedder,
    directory: Path,
    *,
    chunking: Chunking | None = None,
    reader: Reader | None = None,
    earlier: Sequence[Path] = (),
    server: str = "",
    on_damage: Callable[[str], object] = _LOG.debug,
    on_embedded: OnEmbedded = lambda done, total, n_tokens: None,
) -> IndexRecord:
    """Chunk, embed and index a corpus; an index of the same content that is whole is kept as it is.

    A damaged index is set aside, and built again with its vectors where they are whole. A folder without a marker is
    what a killed build left: it is discarded. A second builder of the same folder waits, then finds the work done.

    Args:
        reader: In whose tokens chunks are bounded too.
        earlier: Folders of indexes of like content, made with the same embedder: of texts that are in them too the
            vectors are taken from there.
        server: Address of a Chroma server that is to have the search structure; "" for files in the folder.
        on_damage: Told what was damaged, and where it lies now.
        on_embedded: Told before the first chunk is embedded and after each part; what it raises ends the build, which
            goes on from there when it is called again.
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
        documents_hash, read_by = hash_documents(documents), reader.fingerprint if reader else ""
        try:
            known = _read_whole(directory, _content_key(documents_hash, chunking, embedder.fingerprint, read_by))
            if known:
                return mend_search(directory, known, server=server)
            _check_replaceable(directory)
        except DamagedIndexError as error:
            _check_replaceable(directory)
            earlier = [*earlier, aside := set_aside(directory)]
            told = f"{error}; it is set aside as {aside.name} and built again"
            _LOG.warning("%s", told)
            on_damage(told)
        reused = _reuse(earlier, embedder, chunking, read_by)
        hashes = _chunk_keys(documents)
        chunks = [
            chunk
            for document in documents
            for chunk in reused.chunks.get((document.id, hashes[document.id]))
            or chunk_document(document, chunking=chunking, count_tokens=embedder.count_tokens, reader=reader)
        ]
        embedding_started = time.perf_counter()
        kept = directory.with_name(f".{directory.name}.part")
        vectors, reused_s = _embed_new(embedder, chunks, reused, kept, on_embedded)
        device_s = time.perf_counter() - embedding_started
        with staged_directory(directory, sealed=True) as staging:
            search = _write(staging, chunks, vectors, server)
            record = IndexRecord(
                chunking=chunking,
                embedder=embedder.name,
                embedder_fingerprint=embedder.fingerprint,
                documents_hash=documents_hash,
                n_documents=len(documents),
                n_chunks=len(chunks),
                n_dimensions=vectors.shape[1],
                # What the index costs whoever builds it from nothing.
                build_usage=BuildUsage(
                    wall_s=time.perf_counter() - started + reused_s,
                    device_s=device_s + reused_s,
                    embedding_tokens=sum(chunk.n_tokens for chunk in chunks),
                    device=str(getattr(embedder, "device", "cpu")),
                ),
                reader=read_by,
                document_hashes=hashes,
                **search,
            )
            _mark(staging, record)
        shutil.rmtree(kept, ignore_errors=True)
    return record


def mend_search(directory: Path, whole: WholeIndex | None = None, *, server: str | None = None) -> IndexRecord:
    """Make the search structure of an index again from its vectors, where it is damaged or is to be elsewhere.

    Args:
        server: Where it is to be, as for `build_index`; None for where it was.

    Raises:
        IndexingError: there is no whole index, or chunks or vectors are damaged.
    """
    record = whole[0] if whole else read_record(directory)
    server = record.chroma_server if server is None else server
    if record.chroma_server == server and _is_search_whole(directory, record):
        return record
    chunks, vectors = whole[1:] if whole else read_chunks(directory, record.file_hashes)
    with staged_directory(directory, sealed=True) as staging:
        record = replace(record, **_write(staging, chunks, vectors, server))
        _mark(staging, record)
    return record


def _write(staging: Path, chunks: Sequence[Chunk], vectors: NDArray[np.float32], server: str) -> dict[str, Any]:
    """Write chunks, vectors and search structure; the fields of the record that are about them."""
    folder = f"chroma-{secrets.token_hex(4)}"
    file_hashes = write_chunks(staging, chunks, vectors)
    place = vector_search.Place(staging / folder, server)
    ef_search, recall = vector_search.build_search(place, [chunk.id for chunk in chunks], vectors)
    return {
        "file_hashes": file_hashes,
        "ef_search": ef_search,
        "recall": recall,
        "chroma_folder": folder,
        "chroma_server": server,
        "chroma_bytes": _sizes(staging / folder),
        "versions": _versions(),
    }


def _mark(staging: Path, record: IndexRecord) -> None:
    (staging / MARKER).write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")


def open_index(directory: Path, embedder: Embedder) -> Index:
    """Open an index for questions embedded by `embedder`.

    Raises:
        DamagedIndexError: a file is not as it was written.
        IndexingError: there is no whole index, or it was built with another embedder.
    """
    record = read_record(directory)
    if record.embedder_fingerprint != embedder.fingerprint:
        raise IndexingError(
            f"the index {directory} was built with the embedder {record.embedder} "
            f"({record.embedder_fingerprint[:12]}), not with {embedder.name} ({embedder.fingerprint[:12]}): their "
            "vectors cannot be compared; build the index again or use the first embedder"
        )
    whole = (record, *read_chunks(directory, record.file_hashes))
    _refuse_damaged_search(directory, record)
    return Index(directory, whole)


def _refuse_damaged_search(directory: Path, record: IndexRecord) -> None:
    if not _is_search_whole(directory, record):
        kind = IndexingError if record.chroma_server else DamagedIndexError
        raise kind(
            f"the search structure in {directory / record.chroma_folder} is damaged; build the index again (its "
            "vectors are kept and used)"
        )


@contextmanager
def _private_search(directory: Path, record: IndexRecord) -> Iterator[vector_search.Place]:
    """A search structure that this process alone has open, beside the index and gone at the end."""
    place = _place(directory, record)
    if record.chroma_server:
        yield place
        return
    copy = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}{_OPEN}")
    with ExitStack() as stack:
        with _locked(directory):
            for left in directory.parent.glob(f".{directory.name}.*{_OPEN}"):
                # Of a process that was killed, if nobody holds it.
                with suppress(OSError), locked(left / _HELD, wait=False):
                    shutil.rmtree(left, ignore_errors=True)
            stack.callback(shutil.rmtree, copy, ignore_errors=True)
            copy.mkdir()
            stack.enter_context(locked(copy / _HELD))
            copy_folder(place.folder, copy / place.folder.name)
        yield replace(place, folder=copy / place.folder.name)


def read_record(directory: Path) -> IndexRecord:
    """The marker of an index.

    Raises:
        IndexingError: there is none, or it is of another format.
        DamagedIndexError: it cannot be read.
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
        raise DamagedIndexError(f"the marker {path} is damaged; build the index again") from error
    damaged = MARKER in damaged_files(directory) or not _CHROMA_FOLDER.fullmatch(str(record.chroma_folder))
    if damaged or not isinstance(record.file_hashes, dict):
        raise DamagedIndexError(f"the marker {path} is damaged; build the index again")
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


@dataclass(frozen=True)
class _Reused:
    """What earlier indexes have: vectors by embedded text, chunks by document, and the seconds that a token took."""

    vectors: Mapping[str, NDArray[np.float32]]
    chunks: Mapping[tuple[str, str], Sequence[Chunk]]
    s_per_token: float


def _chunk_keys(documents: Sequence[Document]) -> dict[str, str]:
    """By id 64 bits of a hash of what decides a document's chunks besides chunking, embedder and reader."""
    cut_by = [FORMAT, version("regex")]
    return {one.id: sha256(json.dumps([*cut_by, one.title, one.text]))[:16] for one in documents}


def _reuse(earlier: Sequence[Path], embedder: Embedder, chunking: Chunking, reader: str) -> _Reused:
    """Of the indexes among these that are whole and of this embedder."""
    vectors: dict[str, NDArray[np.float32]] = {}
    of_document: dict[tuple[str, str], list[Chunk]] = {}
    seconds = n_tokens = 0.0
    for directory in earlier:
        with suppress(IndexingError):
            record = read_record(directory)
            if record.embedder_fingerprint == embedder.fingerprint:
                chunks, rows = read_chunks(directory, record.file_hashes)
                vectors |= {chunk.embedded_text: row for chunk, row in zip(chunks, rows, strict=True)}
                if (record.chunking, record.reader) == (chunking, reader):
                    hashes = record.document_hashes
                    of_document |= {(name, key): [] for name, key in hashes.items()}
                    for chunk in chunks if hashes else ():
                        of_document[chunk.document_id, hashes[chunk.document_id]].append(chunk)
                seconds += record.build_usage.device_s
                n_tokens += record.build_usage.embedding_tokens
    return _Reused(vectors, of_document, seconds / n_tokens if n_tokens else 0.0)


def _embed_new(
    embedder: Embedder, chunks: Sequence[Chunk], reused: _Reused, kept: Path, on_embedded: OnEmbedded
) -> tuple[NDArray[np.float32], float]:
    """Vectors of all chunks, and the seconds that those which were taken over once took.

    Args:
        kept: Folder for vectors that were paid for, until the index is whole.
    """
    new = [chunk for chunk in chunks if chunk.embedded_text not in reused.vectors]
    is_paid = getattr(embedder, "device", "") == "remote"
    # What is computed here is batched by length, over all chunks: in parts its vectors would be others.
    n_at_once = _PAID_AT_ONCE if is_paid else max(1, len(new))
    made: dict[str, NDArray[np.float32]] = {}
    on_embedded(0, len(new), 0)
    for start in range(0, len(new), n_at_once):
        part = new[start : start + n_at_once]
        path = kept / sha256(json.dumps([embedder.fingerprint, *(chunk.embedded_text for chunk in part)]))
        rows = _read_kept(path, len(part)) if is_paid else None
        is_asked = rows is None
        if rows is None:
            rows = _embed(embedder, part)
            if is_paid:
                _keep(path, rows)
        made |= dict(zip((chunk.id for chunk in part), rows, strict=True))
        on_embedded(len(made), len(new), is_asked * sum(chunk.n_tokens for chunk in part))
    vectors = np.stack([made[c.id] if c.id in made else reused.vectors[c.embedded_text] for c in chunks])
    n_reused = sum(chunk.n_tokens for chunk in chunks if chunk.id not in made)
    return np.ascontiguousarray(vectors, dtype=np.float32), reused.s_per_token * n_reused


def _embed(embedder: Embedder, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
    embed = embedder.embed_passages if isinstance(embedder, PassageEmbedder) else embedder.embed
    vectors = embed([chunk.embedded_text for chunk in chunks])
    if vectors.ndim != 2 or len(vectors) != len(chunks):
        raise IndexingError(f"{embedder.name} gave vectors of shape {vectors.shape} for {len(chunks)} chunks")
    lengths = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if bad.size:
        raise IndexingError(f"{embedder.name} gave no unit vector for chunk {chunks[int(bad[0])].id}")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _keep(path: Path, rows: NDArray[np.float32]) -> None:
    """Write vectors behind the hash of their bytes."""
    data = rows.tobytes()
    write_whole(path, sha256(data).encode() + data)


def _read_kept(path: Path, n_rows: int) -> NDArray[np.float32] | None:
    """So many vectors; None where they are not there, or damaged."""
    with suppress(OSError, ValueError):
        raw = path.read_bytes()
        if sha256(raw[64:]).encode() == raw[:64]:
            return np.frombuffer(raw[64:], np.float32).reshape(n_rows, -1)
    return None


def _content_key(documents_hash: str, chunking: Chunking, embedder_fingerprint: str, reader: str) -> str:
    parts = [FORMAT_VERSION, documents_hash, asdict(chunking), embedder_fingerprint, *([reader] if reader else [])]
    return sha256(json.dumps(parts))


def _read_whole(directory: Path, key: str) -> WholeIndex | None:
    """An index of that content; None where there is none.

    Raises:
        DamagedIndexError: a file is not as it was written.
    """
    try:
        record = read_record(directory)
    except DamagedIndexError:
        raise
    except IndexingError:
        return None
    if record.content_key != key:
        return None
    whole = (record, *read_chunks(directory, record.file_hashes))
    if not record.chroma_server:
        _refuse_damaged_search(directory, record)
    return whole


def _place(directory: Path, record: IndexRecord) -> vector_search.Place:
    return vector_search.Place(directory / record.chroma_folder, record.chroma_server)


def _is_search_whole(directory: Path, record: IndexRecord) -> bool:
    if record.chroma_server:
        return vector_search.is_there(_place(directory, record), record.n_chunks)
    if damaged_files(directory):
        return False
    sizes = _sizes(directory / record.chroma_folder)
    return all(sizes.get(name, -1) >= n_bytes for name, n_bytes in record.chroma_bytes.items())


def _check_replaceable(directory: Path) -> None:
    """Never delete what is not an index's."""
    if not directory.exists():
        return
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else ["it is a file"]
    own = {MARKER, SEAL, CHUNKS_FILE, VECTORS_FILE}
    foreign = [n for n in names if n not in own and not _CHROMA_FOLDER.fullmatch(n)]
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
