"""Connections that strangers hold: opened until there are so many, and again where one is closed."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.synchronize import Event

from benchmarks.strangers.target import UNANSWERED, Heard, read_head

LOOK_S = 0.5


def hold(port: int, beginnings: Sequence[bytes], n: int, heard: Heard, over: Event, *, drips: bool = False) -> None:
    """Hold so many connections until it is over; event streams are read, any other reply ends a connection.

    Args:
        beginnings: What is sent when one is opened, by turns.
        drips: Whether another byte is sent at each look.
    """
    held: list[socket.socket] = []
    while not over.is_set():
        while len(held) < n and not over.is_set():
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=2)
                connection.sendall(beginnings[len(held) % len(beginnings)])
                connection.setblocking(False)
                held.append(connection)
            except OSError:
                heard.note(UNANSWERED)
                break
        for connection in list(held):
            if not _goes_on(connection, heard, drips):
                connection.close()
                held.remove(connection)
        over.wait(LOOK_S)
    heard.notes.append(f"{len(held)} connections held at the end")
    for connection in held:
        connection.close()


def _goes_on(connection: socket.socket, heard: Heard, drips: bool) -> bool:
    try:
        if drips:
            with suppress(BlockingIOError):
                connection.send(b"a")
        reply = connection.recv(65536)
    except BlockingIOError:
        return True
    except OSError:
        reply = b""
    if reply and not reply.startswith(b"HTTP/"):
        heard.file.write(reply)
        return True
    status, head, body = read_head(reply)
    heard.note(status, head, body)
    return status == 200 and "text/event-stream" in head.get("content-type", "")
