"""The sending of a response, for those around an application who may have to answer in its place."""

from starlette.types import Message, Send


class Sending:
    """A `send` that knows whether the response has begun: after that nobody else can answer.

    Attributes:
        has_begun: Whether status and headers were sent.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        """Send a part of the response."""
        self.has_begun = self.has_begun or message["type"] == "http.response.start"
        await self._send(message)
