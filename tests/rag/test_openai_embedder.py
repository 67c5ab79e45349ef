import json
from collections.abc import Callable

import httpx2
import numpy as np
import pytest

from lm.endpoint.endpoint_key import OPENAI_BASE_URL
from lm.errors import ConfigError
from rag.embedder import load_embedder
from rag.errors import IndexingError
from rag.openai_embedder import OpenAIEmbedder

URL = "http://localhost:9/v1"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch) -> None:
    for name in ("OPENAI_API_KEY", "TUNING_FORK_MODEL_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def make(reply: Callable[[httpx2.Request], httpx2.Response], url: str = URL) -> OpenAIEmbedder:
    return OpenAIEmbedder("m", base_url=url, http_client=httpx2.Client(transport=httpx2.MockTransport(reply)))


def vectors(request: httpx2.Request, *, scale: float = 2.0) -> httpx2.Response:
    texts = json.loads(request.content)["input"]
    rows = [{"object": "embedding", "index": i, "embedding": [scale * len(t), 0.0]} for i, t in enumerate(texts)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return httpx2.Response(200, json={"object": "list", "model": "m", "data": rows[::-1], "usage": usage})


def test_vectors_come_normalised_in_the_order_of_the_texts_and_in_batches() -> None:
    sent: list[int] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        texts = json.loads(request.content)["input"]
        sent.append(len(texts))
        rows = [{"object": "embedding", "index": i, "embedding": [float(t), 1.0]} for i, t in enumerate(texts)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return httpx2.Response(200, json={"object": "list", "model": "m", "data": rows[::-1], "usage": usage})

    found = make(reply).embed([str(n) for n in range(600)])
    assert sent == [512, 88]
    assert found.shape == (600, 2)
    assert found.dtype == np.float32
    assert np.allclose(found[:, 0] / found[:, 1], np.arange(600), rtol=1e-3)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)


def test_a_request_holds_no_more_tokens_than_servers_take() -> None:
    sent: list[int] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        sent.append(len(json.loads(request.content)["input"]))
        return vectors(request)

    make(reply).embed(["x" * 120_000] * 3 + ["x" * 900_000, "x"])
    assert sent == [2, 1, 1, 1]


def test_vectors_are_cut_by_a_model_that_can_and_refused_where_it_did_not() -> None:
    asked: list[object] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        asked.append(json.loads(request.content).get("dimensions"))
        return vectors(request)

    client = httpx2.Client(transport=httpx2.MockTransport(reply))
    short = OpenAIEmbedder("m", base_url=URL, dimensions=2, http_client=client)
    assert short.embed(["x"]).shape == (1, 2)
    with pytest.raises(IndexingError, match="sent vectors of 2 numbers, 256 were asked for"):
        OpenAIEmbedder("m", base_url=URL, dimensions=256, http_client=client).embed(["x"])
    assert asked == [2, 256]
    assert short.fingerprint != make(reply).fingerprint
    with pytest.raises(ConfigError, match="embedding_dimensions is 64, which minilm does not take"):
        load_embedder("minilm", dimensions=64)


def test_embeddings_may_have_a_server_and_a_key_of_their_own(monkeypatch) -> None:
    monkeypatch.setenv("TUNING_FORK_EMBEDDER_URL", URL)
    monkeypatch.setenv("TUNING_FORK_EMBEDDER_API_KEY", "own")
    keys: list[str] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["authorization"])
        return vectors(request)

    OpenAIEmbedder("m", http_client=httpx2.Client(transport=httpx2.MockTransport(reply))).embed(["x"])
    assert keys == ["Bearer own"]


def test_a_refusal_is_told_with_its_status_and_not_tried_again() -> None:
    calls: list[str] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        calls.append(request.url.path)
        return httpx2.Response(401, json={"error": {"message": "bad key"}})

    with pytest.raises(IndexingError, match=r"401.*bad key"):
        make(reply).embed(["x"])
    assert calls == ["/v1/embeddings"]


def test_a_rate_limit_is_tried_again() -> None:
    replies = iter([httpx2.Response(429, headers={"retry-after-ms": "1"}, json={"error": {"message": "slow down"}})])
    found = make(lambda request: next(replies, None) or vectors(request)).embed(["abc"])
    assert found.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("scale", [0.0, float("nan")])
def test_vectors_without_direction_are_refused(scale: float) -> None:
    def reply(request: httpx2.Request) -> httpx2.Response:
        body = json.dumps(json.loads(vectors(request, scale=1.0).content)).replace(
            "3.0", str(scale).replace("nan", "NaN")
        )
        return httpx2.Response(200, content=body, headers={"content-type": "application/json"})

    with pytest.raises(IndexingError, match="zero or not finite"):
        make(reply).embed(["abc"])


def test_a_missing_vector_is_refused() -> None:
    def reply(_request: httpx2.Request) -> httpx2.Response:
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        row = {"object": "embedding", "index": 0, "embedding": [1.0]}
        return httpx2.Response(200, json={"object": "list", "model": "m", "data": [row], "usage": usage})

    with pytest.raises(IndexingError, match="1 vectors for 2 texts"):
        make(reply).embed(["a", "b"])


def test_openai_itself_needs_a_key() -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        make(vectors, OPENAI_BASE_URL).embed(["x"])


def test_openais_key_goes_to_no_other_server(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    seen: list[str] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["authorization"])
        return vectors(request)

    make(reply).embed(["x"])
    make(reply, OPENAI_BASE_URL).embed(["x"])
    monkeypatch.setenv("OPENAI_BASE_URL", URL + "/")
    make(reply).embed(["x"])
    assert ["secret" in header for header in seen] == [False, True, True]


def test_tokens_are_never_under_estimated_for_scripts_of_many_bytes() -> None:
    assert make(vectors).count_tokens(["abcdef", "水", ""]) == [2, 3, 0]


def test_the_name_holds_model_and_address() -> None:
    embedder = load_embedder("openai:nomic@http://localhost:1/v1")
    assert embedder.name == "openai:nomic@http://localhost:1/v1"
    assert embedder.fingerprint != load_embedder("openai:nomic").fingerprint
    with pytest.raises(ConfigError, match="no web address"):
        load_embedder("openai:nomic@ftp://x")
