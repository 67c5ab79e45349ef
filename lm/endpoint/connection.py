"""What connects to model endpoints: nothing of ours, unless the process guards the network it stands in.

Set once at the start of a process, so that no later caller can forget it.
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


def connection_to(base_url: str) -> "httpx2.Client | None":
    """What connects to an endpoint; None leaves it to the client library."""
    return _guard(base_url) if _guard is not None else None
