"""A model endpoint that answers, or does what none should: `python -m benchmarks.strangers.endpoint [--elsewhere]`.

It prints its port. `POST /mode` with `honest` or `hostile` says whether it follows the name of the model:

| model | what it does |
|---|---|
| `trickle` | a byte, or a piece of a stream, each half second, without end |
| `endless` | as many bytes as are taken, without end |
| `bomb` | a few hundred KB that unpack to 1 GB |
| `echo` | says the key that it was sent: as answer, as error, in a header |
| `slow` | the answer after a second |
| any other | the answer at once, or an embedding |
"""

import gzip
import io
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from benchmarks.strangers.elsewhere import give_way

HOSTILE = ("trickle", "endless", "bomb", "echo")
_BOMB_MIB = 1024


class _Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    is_hostile = False
    bomb = b""
    numbers = count()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/mode":
            _Endpoint.is_hostile = body == b"hostile"
            self._say(b"{}")
            return
        request = json.loads(body)
        model = request["model"]
        if not self.is_hostile or model not in HOSTILE:
            time.sleep(model == "slow")
            self._say(_embedding(request) if "input" in request else _answer(request, "c1"), request)
        elif model == "echo":
            self._echo(request)
        elif model == "bomb":
            self._say(self.bomb, request, encoding="gzip")
        else:
            self._go_on(request, *((b" ", 0.5) if model == "trickle" else (b" " * 65536, 0.0)))

    def _echo(self, request: dict[str, Any]) -> None:
        key = self.headers["authorization"] or "no key"
        if next(self.numbers) % 2:
            self._say(_answer(request, f"Your key is {key}."), request, key=key)
        else:
            self._say(json.dumps({"error": {"message": f"unknown key {key}"}}).encode(), status=401, key=key)

    def _go_on(self, request: dict[str, Any], part: bytes, pause_s: float) -> None:
        is_streamed = bool(request.get("stream"))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if is_streamed else "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        piece = _answer(request, part.decode().replace(" ", "z")) if is_streamed else part
        while True:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(pause_s)

    def _say(
        self,
        content: bytes,
        request: dict[str, Any] | None = None,
        *,
        status: int = 200,
        encoding: str | None = None,
        key: str | None = None,
    ) -> None:
        self.send_response(status)
        is_streamed = bool(request and request.get("stream"))
        self.send_header("content-type", "text/event-stream" if is_streamed else "application/json")
        self.send_header("content-length", str(len(content)))
        if encoding:
            self.send_header("content-encoding", encoding)
        if key:
            self.send_header("x-request-id", key)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        pass


def _answer(request: dict[str, Any], text: str) -> bytes:
    is_streamed = bool(request.get("stream"))
    kind = "chat.completion.chunk" if is_streamed else "chat.completion"
    said = {"index": 0, "finish_reason": None if is_streamed else "stop"}
    said |= {"delta" if is_streamed else "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21}
    row = {"id": "1", "object": kind, "created": 0, "model": "m", "choices": [said], "usage": usage}
    content = json.dumps(row)
    if is_streamed:
        end = json.dumps({**row, "choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]})
        done = f"data: {end}\n\ndata: [DONE]\n\n" if text.startswith(("c", "Y")) else ""
        content = f"data: {content}\n\n{done}"
    return content.encode()


def _embedding(request: dict[str, Any]) -> bytes:
    texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
    rows = [
        {"object": "embedding", "index": i, "embedding": [float(len(str(text)) % 7 + 1), *map(float, range(15))]}
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return json.dumps({"object": "list", "model": "m", "data": rows, "usage": usage}).encode()


def _make_bomb() -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as file:
        for _ in range(_BOMB_MIB):
            file.write(bytes(2**20))
    return packed.getvalue()


def main() -> None:
    _Endpoint.bomb = _make_bomb()
    # Whoever is told too much goes away in the middle of it.
    with _Quiet(("127.0.0.1", 0), _Endpoint) as server:
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        if "--elsewhere" in sys.argv:
            give_way()
        server.serve_forever()


if __name__ == "__main__":
    main()
