"""Whether a request was caused by a page of another site: its `Host` and `Origin` headers tell."""

import re
from collections.abc import Container
from urllib.parse import urlsplit

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


def host_name(host: str) -> str:
    """The name in a `Host` header, without its port; "" where the header is no name and port."""
    found = _HOST.fullmatch(host.lower())
    return found.group(1) if found else ""


def is_foreign_origin(origin: str | None, host: str, published: Container[str] = ()) -> bool:
    """Whether a browser says that a page of another site asks.

    Args:
        origin: The `Origin` header; a browser sends it with every WebSocket and every form. "null" is foreign.
        host: The `Host` header, to which the origin of our own page is equal.
        published: Names by which a proxy serves us; a proxy may put a `Host` of its own in place of such a name.
    """
    if origin is None:
        return False
    netloc = urlsplit(origin).netloc.lower()
    return netloc != host.lower() and host_name(netloc) not in published
