"""The server of the API on a real socket, with an application that only says hello."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service.server.http_protocol import MAX_HEAD_BYTES, ImpatientProtocol, server_config


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


class Hurried(ImpatientProtocol):
    """Does not let a test wait."""

    head_s = 0.05


class Narrow(ImpatientProtocol):
    """Has room for three connections."""

    max_connections = 3


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])
    server = uvicorn.Server(server_config(app, grace_s=1, protocol=request.param))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()
    listener.close()


def reply(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def only(protocol: type[ImpatientProtocol]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("address", [protocol], indirect=True)


@only(ImpatientProtocol)
def test_a_large_head_is_refused_before_it_is_read_whole(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1))
        assert reply(connection).startswith(b"HTTP/1.1 400")


@only(Hurried)
@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: h\r\n"])
def test_a_head_that_does_not_come_ends_the_connection(address: tuple[str, int], sent: bytes) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(sent)
        assert reply(connection) == b""


@only(Hurried)
def test_a_second_head_on_the_same_connection_must_come_in_time_too(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n")
        assert reply(connection).count(b"200 OK") == 1


@only(ImpatientProtocol)
def test_requests_that_come_in_time_are_answered_on_one_connection(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" * 2)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert reply(connection).count(b"200 OK") == 3


@only(Narrow)
@pytest.mark.parametrize("body", [b"", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"])
def test_who_sends_no_whole_request_makes_room_for_who_does(address: tuple[str, int], body: bytes) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(3)]
        for connection in held:
            connection.sendall(body)
        connection = stack.enter_context(socket.create_connection(address, timeout=30))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert reply(connection).count(b"200 OK") == 1
        with suppress(ConnectionResetError):
            assert reply(held[0]) == b""
