"""Nearest-neighbour search by Chroma, held to what exact search finds.

Chroma's own trouble is kept out here: a collection without an embedding function (a named one would be asked for when
the collection is opened, and the default one downloads), adds below its batch limit, and a client that is closed:
Chroma keeps one system a path, which would go on answering from files that are gone.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from rag.errors import DamagedIndexError, IndexingError

EF_LADDER = (200, 800, 3200)
"""Candidates HNSW keeps while it searches (`ef_search`), tried in order until recall suffices."""

MIN_RECALL = 0.99

_COLLECTION = "chunks"
_ADD_BATCH = 5_000
_READ_BATCH = 1_000
_RECALL_SAMPLE = 200
_RECALL_AT = 10
_SAME_SCORE = 1e-5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a collection is: files of this process, or a server that somebody runs.

    Attributes:
        folder: Of the files; its name is the collection's on a server.
        server: `http://HOST:PORT`, "" for files.
    """

    folder: Path
    server: str = ""

    @property
    def collection(self) -> str:
        """The collection's name."""
        return self.folder.name if self.server else _COLLECTION


@contextmanager
def open_chroma(place: Place) -> Iterator[Any]:
    """A Chroma client, closed at the end."""
    client = connect(place)
    try:
        yield client
    finally:
        close(client)


def connect(place: Place) -> Any:
    """A Chroma client; the caller closes it.

    Raises:
        IndexingError: the server is not reached, or the files are damaged.
    """
    os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    if not place.server:
        with _telling(place, "open"):
            return chromadb.PersistentClient(str(place.folder.resolve()), settings=settings)
    address = urlsplit(place.server)
    is_https = address.scheme == "https"
    try:
        return chromadb.HttpClient(
            address.hostname or "", port=address.port or (443 if is_https else 8000), ssl=is_https, settings=settings
        )
    except Exception as error:
        raise IndexingError(
            f"the Chroma server {place.server} is not reached ({error}); start it with `chroma run`, or leave --chroma "
            "out"
        ) from error


def close(client: Any) -> None:
    """Let go of files or connections."""
    client.close()
    # A client of a server has connections of its own, and another for its rights, which Chroma leaves open.
    for part in (client, getattr(client, "_admin_client", None)):
        session = getattr(getattr(part, "_server", None), "_session", None)
        if session is not None:
            session.close()


def get_collection(client: Any, place: Place) -> Any:
    """The collection that `fill` made.

    Raises:
        DamagedIndexError: Chroma cannot open it.
    """
    with _telling(place, "open"):
        return client.get_collection(place.collection, embedding_function=None)


def is_there(place: Place, n_chunks: int) -> bool:
    """Whether a server has the collection, with as many chunks."""
    with open_chroma(place) as client, suppress(Exception):
        return bool(get_collection(client, place).count() == n_chunks)
    return False


_READ_ANEW = (DamagedIndexError, "build the index again")
_WRITTEN_ANEW = (IndexingError, "see whether the disk is full or fails, then run it again")


@contextmanager
def _telling(place: Place | None, doing: str, kind: tuple[type[IndexingError], str] = _READ_ANEW) -> Iterator[None]:
    """Turn whatever Chroma raises into an error of ours."""
    try:
        yield
    except (IndexingError, MemoryError):
        raise
    except BaseException as error:
        # A panic of Chroma's own code is no `Exception`.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        error_type, remedy = kind
        where = f" {place.folder}" if place else ""
        raise error_type(f"Chroma cannot {doing} the index{where} ({error}); {remedy}") from error


def build_search(place: Place, ids: Sequence[str], vectors: NDArray[np.float32]) -> tuple[int, float]:
    """Fill a fresh place and verify it, with a wider search where recall is too low.

    Args:
        vectors: Unit vectors, shape (n_chunks, n_dimensions), in the order of the ids.
    Returns:
        The `ef_search` taken and its recall@10 over a sample of the vectors.
    Raises:
        IndexingError: what was written cannot be read back, or recall stays below `MIN_RECALL`.
    """
    recall = 0.0
    with _telling(None, "write", _WRITTEN_ANEW), open_chroma(place) as client:
        for ef in EF_LADDER:
            collection = fill(client, place, ids, vectors, ef)
            verify(collection, ids, vectors)
            recall = measure_recall(collection, ids, vectors)
            if recall >= MIN_RECALL:
                return ef, recall
            client.delete_collection(place.collection)
    raise IndexingError(
        f"searching {len(ids)} chunks finds only {recall:.1%} of the nearest ones, {MIN_RECALL:.0%} are needed; "
        "check the embedder for vectors that are all alike"
    )


def fill(client: Any, place: Place, ids: Sequence[str], vectors: NDArray[np.float32], ef: int) -> Any:
    """A new collection with every vector."""
    # One thread: with more the graph, and with it the answers, would differ from build to build.
    hnsw = {"space": "cosine", "ef_search": ef, "ef_construction": ef, "max_neighbors": 32, "num_threads": 1}
    collection = client.create_collection(place.collection, embedding_function=None, configuration={"hnsw": hnsw})
    for start in range(0, len(ids), _ADD_BATCH):
        batch = slice(start, start + _ADD_BATCH)
        collection.add(ids=list(ids[batch]), embeddings=vectors[batch])
    return collection


def verify(collection: Any, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Read every id and vector back: counts alone have looked healthy when rows were missing (chroma#7678).

    Raises:
        DamagedIndexError: they are not what was written.
    """
    with _telling(None, "read"):
        _verify(collection, ids, vectors)


def _verify(collection: Any, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
    if collection.count() != len(ids):
        raise DamagedIndexError(f"{collection.count()} of {len(ids)} chunks arrived in the index; build it again")
    position = {chunk_id: i for i, chunk_id in enumerate(ids)}
    for start in range(0, len(ids), _READ_BATCH):
        wanted = list(ids[start : start + _READ_BATCH])
        rows = collection.get(ids=wanted, include=["embeddings"])
        if set(rows["ids"]) != set(wanted):
            missing = next(chunk_id for chunk_id in wanted if chunk_id not in set(rows["ids"]))
            raise DamagedIndexError(f"chunk {missing} is not in the index it was written to; build the index again")
        expected = vectors[[position[chunk_id] for chunk_id in rows["ids"]]]
        if not np.allclose(rows["embeddings"], expected, atol=1e-5):
            raise DamagedIndexError("the index gives back other vectors than were written; build it again")


def measure_recall(collection: Any, ids: Sequence[str], vectors: NDArray[np.float32]) -> float:
    """Share of the exact 10 nearest chunks that search finds, over 200 of the chunks' own vectors spread evenly.

    A chunk as near as the tenth counts as found, so that equal chunks cannot lower it.
    """
    n = len(ids)
    k = min(_RECALL_AT, n)
    sample = np.unique(np.linspace(0, n - 1, min(n, _RECALL_SAMPLE)).astype(int))
    position = {chunk_id: i for i, chunk_id in enumerate(ids)}
    exact = vectors[sample] @ vectors.T  # (sample, n)
    kth = np.partition(exact, n - k, axis=1)[:, n - k]  # (sample,)
    found = find_nearest(collection, vectors[sample], k)
    n_good = sum(
        sum(exact[row, position[chunk_id]] >= kth[row] - _SAME_SCORE for chunk_id in chunk_ids)
        for row, chunk_ids in enumerate(found)
    )
    return float(n_good / (len(sample) * k))


def find_nearest(collection: Any, vectors: NDArray[np.float32], n_results: int) -> list[list[str]]:
    """Ids of the nearest chunks of each vector, nearest first.

    Raises:
        IndexingError: Chroma failed.
    """
    with _telling(None, "search"):
        reply = collection.query(query_embeddings=vectors, n_results=n_results, include=[])
    return [list(row) for row in reply["ids"]]
