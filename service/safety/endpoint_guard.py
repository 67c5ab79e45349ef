"""Addresses that callers of the service name (model, judge, embedder) must not lead into the network it stands in.

A name is resolved once, every address it has is checked, and the connection goes to a checked one, so that a name
server that answers differently the second time (rebinding) changes nothing. Redirects are not followed, proxies of the
environment not used. What the operator lists in TUNING_FORK_ALLOWED_ENDPOINTS, or set as address of a model, passes.
"""

import logging
import os
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lm.endpoint.connection import guard_connections
from lm.errors import ConfigError

if TYPE_CHECKING:
    import httpx2

_LOG = logging.getLogger("tuning_fork.endpoints")
ALLOWED_VARIABLE = "TUNING_FORK_ALLOWED_ENDPOINTS"

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], list[str]]

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}$)(?!.*--\.)[a-z0-9_]([a-z0-9_-]{0,62}(\.[a-z0-9_][a-z0-9_-]{0,62})*)?")
# Resolvers take one to four numbers, decimal, octal or hexadecimal, for an address; no public name ends in a number.
_NUMERIC = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".localdomain")
_REFUSED = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # reserved for protocols; metadata of some providers
            "168.63.129.16/32",  # Azure's host, a public address
            "192.88.99.0/24",  # relays of 6to4
            "64:ff9b::/96",  # these hold IPv4 addresses, which a gateway would unpack
            "64:ff9b:1::/48",
            "2001::/32",
            "2002::/16",
            "::/96",
            "::ffff:0:0:0/96",
            "fec0::/10",  # site-local, deprecated and still routed
            "5f00::/16",
        ),
    )
)


class EndpointRefusedError(ConfigError):
    """An address that the service does not connect to."""


@dataclass(frozen=True, slots=True)
class AllowedEndpoints:
    """Exceptions that the operator made.

    Attributes:
        hosts: Names or addresses with a port, or None for any port.
        networks: Ranges of addresses.
    """

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[Network, ...] = ()

    def has_host(self, host: str, port: int) -> bool:
        """Whether the name itself is listed; what it resolves to is then not looked at."""
        return (host, port) in self.hosts or (host, None) in self.hosts

    def has_address(self, address: Address) -> bool:
        """Whether it is in a listed range."""
        return any(address.version == network.version and address in network for network in self.networks)


def read_allowed_endpoints(environment: Mapping[str, str] = os.environ) -> AllowedEndpoints:
    """`HOST`, `HOST:PORT` and ranges like `10.0.0.0/8`, separated by commas; and the model addresses the operator set.

    Raises:
        ConfigError: an entry is none of these.
    """
    hosts: set[tuple[str, int | None]] = set()
    networks: list[Network] = []
    for entry in filter(None, (part.strip() for part in environment.get(ALLOWED_VARIABLE, "").split(","))):
        try:
            if "/" in entry:
                networks.append(ip_network(entry))
                continue
            parts = urlsplit(f"//{entry}")
            if not parts.hostname or parts.username or parts.path or parts.query:
                raise ValueError(entry)
            hosts.add((parts.hostname.rstrip("."), parts.port))
        except ValueError:
            raise ConfigError(
                f"{ALLOWED_VARIABLE} holds {entry!r}; give HOST, HOST:PORT or a range like 10.0.0.0/8, separated "
                "by commas"
            ) from None
    for name in ("OPENAI_BASE_URL", "TUNING_FORK_MODEL_URL"):
        if url := environment.get(name):
            hosts.add(_host_and_port(url))
    return AllowedEndpoints(frozenset(hosts), tuple(networks))


def resolve_addresses(host: str, port: int) -> list[str]:
    """All addresses of a name, in the order to try them.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def guard_process() -> None:
    """Let no model or embedder of this process connect to what is neither public nor listed.

    Raises:
        ConfigError: the list of exceptions cannot be read.
    """
    guard_connections(EndpointGuard().client_for)


class EndpointGuard:
    """Lets through what is public or listed.

    Args:
        resolve: From name and port to addresses; raises OSError.
    """

    def __init__(self, allowed: AllowedEndpoints | None = None, *, resolve: Resolve = resolve_addresses) -> None:
        self._allowed = read_allowed_endpoints() if allowed is None else allowed
        self._resolve = resolve

    def check_url(self, url: str) -> None:
        """Refuse an address by what is written in it; nothing is resolved or sent.

        Raises:
            EndpointRefusedError: no plain http(s) address, or one of a network that is not public.
        """
        host, port = _host_and_port(url)
        if self._allowed.has_host(host, port):
            return
        if (address := _literal(host)) is not None:
            self._require_public(address, host)
        elif host == "localhost" or host.endswith(_LOCAL_SUFFIXES) or "." not in host:
            raise _refused(host, "names a machine of the service's own network")

    def is_listed(self, url: str) -> bool:
        """Whether the operator set or listed that address, public or not.

        Raises:
            EndpointRefusedError: no plain http(s) address.
        """
        host, port = _host_and_port(url)
        address = _literal(host)
        return self._allowed.has_host(host, port) or (address is not None and self._allowed.has_address(address))

    def check_spec(self, spec: str | None) -> None:
        """Refuse the address in `openai:MODEL@URL`; other models have none.

        Raises:
            EndpointRefusedError: as for `check_url`; or it has a query, in which keys are wont to be.
        """
        kind, _, rest = (spec or "").strip().partition(":")
        _, at, url = rest.partition("@")
        if kind != "openai" or not at:
            return
        self.check_url(url)
        # What is named so is stored and shown to whoever may look.
        if set("?#") & set(url):
            raise EndpointRefusedError(
                "the address of an endpoint has a query; end it with its path, such as /v1, and give keys by the "
                "environment of the service"
            )

    def addresses(self, host: str, port: int) -> list[str]:
        """Addresses of a host, resolved now, all of which may be connected to.

        Raises:
            EndpointRefusedError: any of them is not public; a name that has both kinds is made to deceive.
            OSError: it has none.
        """
        host = host.lower().rstrip(".").strip("[]")
        found = self._resolve(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        if not self._allowed.has_host(host, port):
            for text in found:
                self._require_public(ip_address(text.partition("%")[0]), host)
        return found

    def client(self) -> "httpx2.Client":
        """For `openai.OpenAI(http_client=...)`: every connection goes to a checked address."""
        from service.safety.guarded_transport import guarded_client

        return guarded_client(self)

    def client_for(self, base_url: str) -> "httpx2.Client":
        """The same, once an address was checked: what is refused is told at once, not after several attempts.

        Raises:
            EndpointRefusedError: the address is not public, by what is written or by what it leads to.
        """
        self.check_url(base_url)
        # A name server that does not answer now may answer when the first question is sent.
        with suppress(OSError):
            self.addresses(*_host_and_port(base_url))
        return self.client()

    def _require_public(self, address: Address, host: str) -> None:
        if self._allowed.has_address(address) or is_public(address):
            return
        if _literal(host) is not None:
            raise _refused(host, "is not a public address")
        # What a name of the service's network leads to is for its operator, and not for callers who try out names.
        fields = {"host": host, "address": str(address)}
        _LOG.warning("%s leads to %s, which is not public, and was refused", host, address, extra={"fields": fields})
        raise _refused(host, "does not lead to public addresses alone")


def is_public(address: Address) -> bool:
    """Whether an address is of the open internet: not of this machine, its networks, its provider, or a group."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    # ISATAP (RFC 5214): the lower half holds an IPv4 address, to which a router may pass it on.
    if isinstance(address, IPv6Address) and int(address) >> 32 & 0xFDFF_FFFF == 0x0000_5EFE:
        return False
    if any(address.version == network.version and address in network for network in _REFUSED):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_private or address.is_unspecified
    )


def _refused(host: str, why: str) -> EndpointRefusedError:
    return EndpointRefusedError(
        f"the service does not connect to {host!r}: it {why}; its operator can list it in {ALLOWED_VARIABLE}"
    )


def _host_and_port(url: str) -> tuple[str, int]:
    """Host, in lower case, and port of a plain http(s) address.

    Raises:
        EndpointRefusedError: it is none, or written so that two readers could take it for two addresses.
    """
    problem = None
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise EndpointRefusedError("the address of an endpoint cannot be read; give one like https://host/v1") from None
    if parts.scheme.lower() not in _PORTS:
        problem = "it must begin with https:// or http://"
    elif "@" in parts.netloc:
        problem = "it holds a user name or password, which belong in the environment"
    elif not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url) or "%" in parts.netloc:
        problem = "it holds characters that no plain address has; write international names in their xn-- form"
    elif port == 0:
        problem = "it has no usable port"
    host = host.rstrip(".") if host.count(".") and not host.endswith("..") else host
    is_bracketed = "[" in parts.netloc
    is_written_plainly = _literal(host) is not None or (
        not is_bracketed and _NAME.fullmatch(host) and not _NUMERIC.fullmatch(host)
    )
    if problem is None and not is_written_plainly:
        problem = "its host is neither a name nor a plainly written IP address"
    if problem is not None:
        raise EndpointRefusedError(f"the address {_without_user(url)!r} cannot be used: {problem}")
    return host, port or _PORTS[parts.scheme.lower()]


def _without_user(url: str) -> str:
    return re.sub(r"//[^/]*@", "//…@", url)[:200]


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
