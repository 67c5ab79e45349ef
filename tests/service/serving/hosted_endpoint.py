"""An OpenAI-compatible endpoint on loopback that answers, fails, is silent or is not there, as a test wants it."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BROKEN_OFF = "broken off"
STALLED = "stalled"


class HostedEndpoint:
    """One port; whatever listens there.

    Attributes:
        trouble: None to answer; a status of HTTP with a secret in the body; a page instead of an answer; "silent"; or
            `BROKEN_OFF` or `STALLED` in mid-stream.
        say: What it answers to a request, outside of streams; beside: what its reply has besides, a status of HTTP
            under "status" among it.
        requests: All that were answered; n_asked: how many came.
    """

    def __init__(self) -> None:
        self.trouble: int | str | None = None
        self.say: Callable[[Any], str] = lambda request: "you asked"
        self.beside: Callable[[Any], dict[str, Any]] = lambda request: {}
        self.requests: list[Any] = []
        self.n_asked = 0
        self.over = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self.over.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            self.over.clear()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                trouble = endpoint.trouble
                endpoint.n_asked += 1
                if trouble == "silent":
                    endpoint.over.wait(30)
                elif isinstance(trouble, int):
                    self.say(trouble, json.dumps({"error": {"message": "sk-secret is tired"}}), "application/json")
                elif trouble not in (None, BROKEN_OFF, STALLED):
                    self.say(200, str(trouble), "text/html")
                elif request.get("stream"):
                    chunks = [completion("chunk", "delta", text) for text in ("you ", "asked")]
                    self.say(200, "".join(f"data: {chunk}\n\n" for chunk in chunks), "text/event-stream")
                else:
                    endpoint.requests.append(request)
                    reply = completion("", "message", endpoint.say(request))
                    whole = json.loads(reply) | endpoint.beside(request)
                    self.say(whole.pop("status", 200), json.dumps(whole), "application/json")

            def say(self, status: int, text: str, kind: str) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("retry-after-ms", "1")
                stays_short = endpoint.trouble in (BROKEN_OFF, STALLED) and "event-stream" in kind
                self.send_header("content-length", str(len(text) + 100 * stays_short))
                self.end_headers()
                self.wfile.write(text.encode())
                if stays_short and endpoint.trouble == STALLED:
                    endpoint.over.wait(30)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def completion(kind: str, part: str, text: str) -> str:
    choice = {"index": 0, "finish_reason": "stop", part: {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22}
    name = ".".join(filter(None, ("chat.completion", kind)))
    return json.dumps({"id": "1", "object": name, "created": 0, "model": "m", "choices": [choice], "usage": usage})
