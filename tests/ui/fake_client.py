"""A client whose service is in memory: it notes what it is asked, and a test may say what comes back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.contract.client import ServiceClient, ServiceError
from service.contract.schemas import ProblemDetails

LOCAL = "http://127.0.0.1:8000"
AWAY = ServiceError(f"{LOCAL} cannot be reached (refused); start it with `tuningfork serve`, or fix the address")
NO_KEY = ServiceError(
    "No key: give an API key",
    status=401,
    problem=ProblemDetails(type="t", title="No key", status=401, detail="give an API key", request_id="r"),
)


@dataclass(frozen=True)
class Call:
    """One method that a page called."""

    name: str
    args: tuple[Any, ...]
    options: dict[str, Any]


@dataclass
class FakeClient:
    """Stands where a page expects a `ServiceClient`.

    Attributes:
        replies: By name of a method: what to call in its place, or what to raise.
        failure: Raised by every method while it is set.
    """

    app: FastAPI
    calls: list[Call] = field(default_factory=list)
    replies: dict[str, Callable[..., Any] | ServiceError] = field(default_factory=dict)
    failure: ServiceError | None = None

    def __post_init__(self) -> None:
        inside = TestClient(self.app, base_url=LOCAL, client=("127.0.0.1", 50_000), raise_server_exceptions=False)

        def handle(request: httpx.Request) -> httpx.Response:
            headers = dict(request.headers)
            reply = inside.request(request.method, str(request.url), content=request.read(), headers=headers)
            return httpx.Response(reply.status_code, headers=dict(reply.headers), content=reply.content)

        self.real = ServiceClient(LOCAL, transport=httpx.MockTransport(handle))

    def asked(self, name: str) -> list[Call]:
        """Calls of one method."""
        return [call for call in self.calls if call.name == name]

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.real, name)
        if not callable(method):
            return method

        def call(*args: Any, **options: Any) -> Any:
            self.calls.append(Call(name, args, options))
            reply = self.failure or self.replies.get(name)
            if isinstance(reply, ServiceError):
                raise reply
            return (reply or method)(*args, **options)

        return call
