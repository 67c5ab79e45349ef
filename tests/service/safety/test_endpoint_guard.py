"""Tricky addresses, and connections that must go where the check looked."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address

import httpx2
import pytest

from lm.completion import GenerationConfig, Message, Role
from lm.endpoint.connection import guard_connections
from lm.endpoint.openai_compatible import OpenAICompatibleModel
from lm.errors import ConfigError, LanguageModelError
from lm.registry import load_language_model
from rag.embedder import load_embedder
from service.safety.endpoint_guard import (
    AllowedEndpoints,
    EndpointGuard,
    EndpointRefusedError,
    guard_process,
    is_public,
    read_allowed_endpoints,
)
from service.safety.guarded_transport import guarded_client

NONE = AllowedEndpoints()
PUBLIC = "93.184.216.34"

REFUSED_URLS = [
    "ftp://example.com/v1",
    "file:///etc/passwd",
    "gopher://example.com",
    "//example.com/v1",
    "example.com/v1",
    "",
    "http://",
    "http:///v1",
    "http://localhost/v1",
    "http://LOCALHOST./v1",
    "http://a.localhost",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://printer.local",
    "http://router",
    "http://127.0.0.1/v1",
    "http://127.1",
    "http://127.0.1",
    "http://2130706433",
    "http://017700000001",
    "http://0x7f000001",
    "http://0x7f.0.0.1",
    "http://0177.0.0.1",
    "http://127.0.0.1.",
    "http://0",
    "http://0.0.0.0",
    "http://10.0.0.1",
    "http://172.16.0.1",
    "http://172.31.255.255",
    "http://192.168.1.1",
    "http://100.64.0.1",
    "http://100.100.100.200/latest/meta-data",
    "http://169.254.169.254/latest/meta-data",
    "http://2852039166/latest/meta-data",
    "http://0xa9.0xfe.0xa9.0xfe",
    "http://0251.0376.0251.0376",
    "http://169.254.43518",
    "http://168.63.129.16",
    "http://192.0.0.192",
    "http://198.18.0.1",
    "http://192.0.2.1",
    "http://224.0.0.1",
    "http://240.0.0.1",
    "http://255.255.255.255",
    "http://[::1]",
    "http://[::]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
    "http://[::ffff:169.254.169.254]",
    "http://[::127.0.0.1]",
    "http://[0:0:0:0:0:ffff:10.0.0.1]",
    "http://[fd00:ec2::254]",
    "http://[fc00::1]",
    "http://[fe80::1]",
    "http://[fe80::1%25eth0]",
    "http://[fec0::1]",
    "http://[ff02::1]",
    "http://[2a00:1450:4001:800::5efe:a00:1]",
    "http://[2a00:1450:4001:800:200:5efe:a00:1]",
    "http://[64:ff9b::7f00:1]",
    "http://[64:ff9b::169.254.169.254]",
    "http://[2002:7f00:1::]",
    "http://[2001:0:7f00:1::]",
    "http://[2001:db8::1]",
    "http://[::1",
    "http://example.com@127.0.0.1",
    "http://127.0.0.1@example.com",
    "http://user:secret@example.com",
    "http://@example.com",
    "http://example.com\\@127.0.0.1",
    "http://127.0.0.1\\.example.com",
    "http://exa mple.com",
    "http://example.com\r\nHost: 127.0.0.1",
    "http://\texample.com",
    " http://example.com",
    "http://127.0.0.1%2f.example.com",
    "http://%6c%6f%63%61%6c%68%6f%73%74",
    "http://①②⑦.⓪.⓪.①",
    "http://127。0。0。1",
    "http://ｌｏｃａｌｈｏｓｔ",
    "http://example.com:0",
    "http://example.com:99999",
    "http://example.com:x",
    "http://example..com",
    "http://.example.com",
    "http://example.com..",
    "http://-example-.com:80:80",
    "http://1.2.3.4.5",
    "http://0x",
    "http://[v1.fe]",
]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_tricky_addresses_are_refused_by_what_is_written(url: str) -> None:
    with pytest.raises(EndpointRefusedError) as caught:
        EndpointGuard(NONE).check_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://example.com:8080/v1",
        "https://EXAMPLE.com./v1",
        "https://xn--bcher-kva.example/v1",
        "https://1.1.1.1/v1",
        "https://[2606:4700:4700::1111]/v1",
        "https://0x.example.com",
        "https://127.0.0.1.example.com/v1",
        "https://a_b.example.com",
        "http://example.com#@127.0.0.1:80@x/",
    ],
)
def test_public_addresses_are_let_through(url: str) -> None:
    EndpointGuard(NONE).check_url(url)


def test_only_the_address_in_a_spec_is_looked_at() -> None:
    guard = EndpointGuard(NONE)
    for spec in ("smollm2", "hf:org/name", "openai:gpt-5-mini", "openai:m@https://example.com/v1", None, ""):
        guard.check_spec(spec)
    with pytest.raises(EndpointRefusedError):
        guard.check_spec("openai:m@http://169.254.169.254/v1")
    with pytest.raises(EndpointRefusedError):
        guard.check_spec(" openai:m@b@http://127.0.0.1/v1")


@pytest.mark.parametrize("end", ["?api_key=secret", "?", "#secret"])
def test_an_address_that_could_hold_a_key_is_refused_and_not_repeated(end: str) -> None:
    with pytest.raises(EndpointRefusedError, match="has a query") as caught:
        EndpointGuard(NONE).check_spec(f"openai:m@https://example.com/v1{end}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_open_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "bad", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1", "fe80::1%eth0"]
)
def test_a_name_is_refused_where_any_of_its_addresses_is_private(bad: str, caplog: pytest.LogCaptureFixture) -> None:
    guard = EndpointGuard(NONE, resolve=lambda host, port: [PUBLIC, bad])
    with pytest.raises(EndpointRefusedError, match="does not lead to public") as caught:
        guard.addresses("rebound.example", 443)
    # The operator is told what it leads to, a caller is not.
    assert bad not in str(caught.value)
    assert f"rebound.example leads to {ip_address(bad.partition('%')[0])}" in caplog.text
    assert EndpointGuard(NONE, resolve=lambda host, port: [PUBLIC]).addresses("x.example", 443) == [PUBLIC]


def test_what_the_operator_lists_passes_and_nothing_beside_it() -> None:
    allowed = read_allowed_endpoints(
        {"TUNING_FORK_ALLOWED_ENDPOINTS": "localhost:11434, vllm.lan,10.1.0.0/16,[::1]:8000"}
    )
    guard = EndpointGuard(allowed, resolve=lambda host, port: ["127.0.0.1"])
    for url in ("http://localhost:11434/v1", "http://vllm.lan:9/v1", "http://10.1.2.3/v1", "http://[::1]:8000/v1"):
        guard.check_url(url)
    for url in (
        "http://localhost:11435/v1",
        "http://localhost/v1",
        "http://x.vllm.lan/v1",
        "http://10.2.0.1",
        "http://[::1]",
    ):
        with pytest.raises(EndpointRefusedError):
            guard.check_url(url)
    assert guard.addresses("localhost", 11434) == ["127.0.0.1"]
    with pytest.raises(EndpointRefusedError):
        guard.addresses("other.example", 11434)


def test_addresses_that_the_operator_set_for_models_pass() -> None:
    allowed = read_allowed_endpoints({"OPENAI_BASE_URL": "http://localhost:8001/v1"})
    EndpointGuard(allowed).check_url("http://localhost:8001/v1")


@pytest.mark.parametrize("entry", ["http://localhost", "10.0.0.0/99", "10.0.0.1/8", "a:b", "user@host", "host/path"])
def test_a_list_that_cannot_be_read_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match="TUNING_FORK_ALLOWED_ENDPOINTS"):
        read_allowed_endpoints({"TUNING_FORK_ALLOWED_ENDPOINTS": entry})


# Connections


class _Server(BaseHTTPRequestHandler):
    hosts: list[str] = []

    def do_GET(self) -> None:
        self.hosts.append(self.headers["Host"])
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the server's name

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def port() -> Iterator[int]:
    _Server.hosts = []
    server = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_connection_goes_to_the_address_that_was_checked_under_the_name_that_was_asked(port: int) -> None:
    calls: list[str] = []

    def resolve(host: str, _: int) -> list[str]:
        calls.append(host)
        return ["127.0.0.1"]

    allowed = AllowedEndpoints(frozenset({("model.example", port)}))
    with guarded_client(EndpointGuard(allowed, resolve=resolve)) as client:
        assert client.get(f"http://model.example:{port}/v1").status_code == 200
    assert calls == ["model.example"]
    assert _Server.hosts == [f"model.example:{port}"]


def test_a_name_that_turns_private_between_two_requests_is_refused() -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    sent: list[str] = []

    def inner(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.url.host)
        assert request.extensions["sni_hostname"] == "model.example"
        return httpx2.Response(200)

    guard = EndpointGuard(NONE, resolve=lambda host, port: next(answers))
    with guarded_client(guard, httpx2.MockTransport(inner)) as client:
        client.get("https://model.example/v1")
        with pytest.raises(EndpointRefusedError):
            client.get("https://model.example/v1")
    assert sent == [PUBLIC]


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    def inner(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == PUBLIC:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200, text=request.url.host)

    guard = EndpointGuard(NONE, resolve=lambda host, port: [PUBLIC, "1.1.1.1"])
    with guarded_client(guard, httpx2.MockTransport(inner)) as client:
        assert client.get("https://model.example/v1").text == "1.1.1.1"


def test_redirects_are_not_followed(port: int) -> None:
    allowed = AllowedEndpoints(frozenset({("127.0.0.1", port)}))
    with guarded_client(EndpointGuard(allowed)) as client:
        assert client.get(f"http://127.0.0.1:{port}/redirect").status_code == 302
    assert len(_Server.hosts) == 1


def test_proxies_of_the_environment_are_not_used(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    allowed = AllowedEndpoints(frozenset({("127.0.0.1", port)}))
    with guarded_client(EndpointGuard(allowed)) as client:
        assert client.get(f"http://127.0.0.1:{port}/").status_code == 200


def test_a_model_behind_a_refused_address_is_never_asked(port: int) -> None:
    model = OpenAICompatibleModel(
        "m", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0, http_client=EndpointGuard(NONE).client()
    )
    with pytest.raises(LanguageModelError, match="not a public address"):
        model.generate([(Message(Role.USER, "hello"),)], GenerationConfig(max_output_tokens=4))
    assert _Server.hosts == []


def test_a_redirecting_model_fails_and_its_target_is_not_asked(port: int) -> None:
    allowed = AllowedEndpoints(frozenset({("127.0.0.1", port)}))
    model = OpenAICompatibleModel(
        "m", base_url=f"http://127.0.0.1:{port}/redirect?", max_retries=0, http_client=EndpointGuard(allowed).client()
    )
    with pytest.raises(LanguageModelError):
        model.generate([(Message(Role.USER, "hello"),)], GenerationConfig(max_output_tokens=4))


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("TUNING_FORK_ALLOWED_ENDPOINTS", "OPENAI_BASE_URL", "TUNING_FORK_MODEL_URL"):
        monkeypatch.delenv(name, raising=False)
    guard_process()
    yield
    guard_connections(None)


@pytest.mark.usefixtures("guarded")
def test_a_guarded_process_loads_no_model_or_embedder_of_a_private_address(port: int) -> None:
    spec = f"openai:m@http://127.0.0.1:{port}/v1"
    with pytest.raises(EndpointRefusedError):
        load_language_model(spec)
    with pytest.raises(EndpointRefusedError):
        load_embedder(spec).embed(["text"])
    assert _Server.hosts == []


@pytest.mark.usefixtures("guarded")
def test_a_listed_address_works_in_a_guarded_process(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNING_FORK_ALLOWED_ENDPOINTS", f"127.0.0.1:{port}")
    guard_process()
    with pytest.raises(LanguageModelError):
        load_language_model(f"openai:m@http://127.0.0.1:{port}/v1").generate(
            [(Message(Role.USER, "hello"),)], GenerationConfig(max_output_tokens=4)
        )
    assert len(_Server.hosts) == 1


def test_an_unguarded_process_connects_anywhere(port: int) -> None:
    with pytest.raises(LanguageModelError):
        load_language_model(f"openai:m@http://127.0.0.1:{port}/v1").generate(
            [(Message(Role.USER, "hello"),)], GenerationConfig(max_output_tokens=4)
        )
    assert len(_Server.hosts) == 1
