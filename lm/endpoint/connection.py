"""What connects to model endpoints: within bounds, and where the process guards its network, to checked addresses only.

The guard is set once at the start of a process, so that no later caller can forget it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

ClientFor = Callable[[str], "httpx2.Client"]
"""From a base URL to what connects there; raises a `TuningForkError` where nothing may."""

_guard: ClientFor | None = None


def guard_connections(client_for: ClientFor | None) -> None:
    """From now on, let this decide about every endpoint of this process; None lifts it."""
    global _guard
    _guard = client_for


def connection_to(base_url: str, *, key: str | None, client: "httpx2.Client | None" = None) -> "httpx2.Client":
    """What connects to an endpoint.

    Args:
        key: What the endpoint is sent, which it must not get into what is stored, logged or shown.
        client: Another one than the usual, for proxies and tests; it gets the same bounds.
    """
    from lm.endpoint.bounded_reply import UsualClient, bound_replies

    usual = client or (_guard(base_url) if _guard is not None else UsualClient())
    bound_replies(usual, key)
    return usual
