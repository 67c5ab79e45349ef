"""HTTP connections to checked addresses only; see `service.safety.endpoint_guard`."""

import httpx2

from service.safety.endpoint_guard import EndpointGuard


class GuardedTransport(httpx2.BaseTransport):
    """Connects to an address that was checked, under the name that was asked for.

    Certificates are checked against the name, and the Host header holds it, as without a guard.

    Args:
        inner: What connects, given a request whose host is an address.
    """

    def __init__(self, guard: EndpointGuard, inner: httpx2.BaseTransport | None = None) -> None:
        self._guard = guard
        self._inner = inner or httpx2.HTTPTransport(trust_env=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Check, then connect, trying each address as a resolver would."""
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        self._guard.check_url(f"{url.scheme}://{url.netloc.decode('ascii')}")
        try:
            addresses = self._guard.addresses(url.host, port)
        except OSError as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        for number, address in enumerate(addresses, 1):
            extensions = {**request.extensions, "sni_hostname": url.host}
            aimed = httpx2.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return self._inner.handle_request(aimed)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                # Nothing was sent yet, so that the next address may be tried.
                if number == len(addresses):
                    raise
        raise httpx2.ConnectError(f"{url.host} has no address", request=request)

    def close(self) -> None:
        """Close what is open."""
        self._inner.close()


def guarded_client(guard: EndpointGuard, inner: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """A client that follows no redirect and uses no proxy: either would lead past the check."""
    return httpx2.Client(transport=GuardedTransport(guard, inner), follow_redirects=False, trust_env=False)
