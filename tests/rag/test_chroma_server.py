"""An index whose search structure a Chroma server holds: as one in files, for everybody who asks."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.errors import IndexingError
from rag.index import build_index, mend_search, open_index, read_record
from rag.vector_search import Place, open_chroma

QUESTION = "How many kg of cotton does the Tide 9 take?"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["run", "--host", "127.0.0.1", "--port", str(port), "--path", str(tmp_path_factory.mktemp("chroma"))]
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("chroma")), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the Chroma server does not start"
                process.poll()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_it_finds_what_an_index_in_files_finds_and_two_may_have_it_open(server, tmp_path, documents, embedder) -> None:
    build_index(documents, embedder, tmp_path / "files")
    record = build_index(documents, embedder, tmp_path / "served", server=server)
    assert not (tmp_path / "served" / record.chroma_folder).exists()
    vectors = embedder.embed([QUESTION])
    with (
        open_index(tmp_path / "files", embedder) as files,
        open_index(tmp_path / "served", embedder) as served,
        open_index(tmp_path / "served", embedder) as again,
    ):
        assert files.query(vectors, 3) == served.query(vectors, 3) == again.query(vectors, 3)
    assert mend_search(tmp_path / "served") == record


@pytest.mark.slow
def test_a_collection_that_is_gone_is_made_again_from_the_vectors(server, tmp_path, documents, embedder) -> None:
    record = build_index(documents, embedder, tmp_path / "index", server=server)
    with open_chroma(Place(tmp_path / record.chroma_folder, server)) as client:
        client.delete_collection(record.chroma_folder)
    with pytest.raises(IndexingError, match="is damaged; build the index again"):
        open_index(tmp_path / "index", embedder)
    n_embedded = embedder.n_embedded
    assert build_index(documents, embedder, tmp_path / "index", server=server).chroma_server == server
    assert build_index(documents, embedder, tmp_path / "index").chroma_server == ""
    assert read_record(tmp_path / "index").chroma_server == ""
    assert embedder.n_embedded == n_embedded


def test_a_server_that_is_not_reached_is_named(tmp_path, documents, embedder) -> None:
    with pytest.raises(IndexingError, match=r"the Chroma server http://127\.0\.0\.1:9 is not reached"):
        build_index(documents, embedder, tmp_path / "index", server="http://127.0.0.1:9")
