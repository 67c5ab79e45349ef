"""An OpenAI-compatible endpoint that says back what it was told, whatever it is."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Echo(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = request["messages"][-1]["content"]
        is_streamed = bool(request.get("stream"))
        kind = "chat.completion.chunk" if is_streamed else "chat.completion"
        said = {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": "stop", "delta" if is_streamed else "message": said}
        usage = {"prompt_tokens": 20, "completion_tokens": 20, "total_tokens": 40}
        body = json.dumps(
            {"id": "1", "object": kind, "created": 0, "model": "echo", "choices": [choice], "usage": usage}
        )
        if is_streamed:
            body = f"data: {body}\n\ndata: [DONE]\n\n"
        content = body.encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if is_streamed else "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def echo_endpoint() -> Iterator[str]:
    """Its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
