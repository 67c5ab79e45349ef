"""Who calls, and what they may do."""

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import SQLAlchemyError

from service.api.context import ServiceContext
from service.api.errors import Problem
from service.contract.scope import DEFAULT_WORKSPACE, Scope
from service.safety.allowed_models import ANY, FOR_KEYS, AllowedModels
from service.safety.web_origin import LOCAL_NAMES, host_name, is_foreign_origin
from service.store.api_keys import ApiKey, any_key, find_key
from service.store.key_budget import KeyBudget
from service.store.workspaces import in_workspace

_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
# Threads of their own: who a caller is must not wait for what other callers have the service do.
_authorising = ThreadPoolExecutor(4, thread_name_prefix="authorising")
_bearer = HTTPBearer(auto_error=False, description="A key made by `tuningfork keys create`.")


LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls.

    Attributes:
        id: Of the key, or "local" for who sits at the machine of a service without keys.
        scope: Holds in the workspace.
    """

    id: str
    scope: Scope
    workspace: str

    @property
    def is_operator(self) -> bool:
        """Whether who calls may also see what is of the whole service: its counts, and with `admin` all keys."""
        return self.workspace == DEFAULT_WORKSPACE


class RateLimits:
    """One bucket of tokens a key: a minute's worth at most, refilled steadily. Counts in this process alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, name: str, requests_per_minute: int | None) -> int:
        """Takes one request off the allowance of a key or link; 0, or seconds to wait where nothing is left."""
        if requests_per_minute is None:
            return 0
        per_second = requests_per_minute / 60
        with self._lock:
            now = self._clock()
            tokens, at = self._buckets.get(name, (float(requests_per_minute), now))
            tokens = min(float(requests_per_minute), tokens + (now - at) * per_second)
            if tokens >= 1:
                self._buckets[name] = (tokens - 1, now)
                return 0
            self._buckets[name] = (tokens, now)
        return math.ceil((1 - tokens) / per_second)


async def get_whole_service(request: Request) -> ServiceContext:
    """What `create_app` was given, with the rows of every workspace."""
    context: ServiceContext = request.app.state.context
    return context


async def get_context(request: Request) -> ServiceContext:
    """The service as the workspace of who calls sees it: nothing else is there."""
    caller: Principal | None = request.scope.get("state", {}).get("caller")
    if caller is None:
        raise RuntimeError("a route reads data before it has asked who calls; let require(...) come first")
    context: ServiceContext = request.app.state.context
    return replace(context, engine=in_workspace(context.engine, caller.workspace))


WholeService = Annotated[ServiceContext, Depends(get_whole_service)]
"""For what belongs to no workspace: who calls, health, links to verdicts, keys of an operator."""

Context = Annotated[ServiceContext, Depends(get_context)]


async def get_allowed_models(request: Request, context: Context) -> AllowedModels:
    """The models that who calls may name."""
    patterns, folder = context.settings.allow_models, context.settings.models
    caller: Principal = request.scope["state"]["caller"]
    if patterns is None and caller.id != LOCAL:
        return AllowedModels(FOR_KEYS, listed_endpoints=True, folder=folder)
    return AllowedModels(ANY if patterns is None else patterns, folder=folder)


Allowed = Annotated[AllowedModels, Depends(get_allowed_models)]


async def get_askable_models(context: Context) -> AllowedModels:
    """The models whose measured arms may be asked: where the operator gave no list, all that somebody compared."""
    patterns = context.settings.allow_models
    return AllowedModels(ANY if patterns is None else patterns, folder=context.settings.models)


Askable = Annotated[AllowedModels, Depends(get_askable_models)]


async def get_budget(request: Request, context: Context) -> KeyBudget | None:
    """What the key of who calls may spend; None for who needs no key."""
    caller: Principal = request.scope["state"]["caller"]
    return None if caller.id == LOCAL else KeyBudget(context.engine, caller.id)


Budget = Annotated[KeyBudget | None, Depends(get_budget)]


def require(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """A dependency that lets through who may do that much.

    Without any key ever made, a service on loopback belongs to who sits at its machine: direct calls from there are let
    through, those that a web page of elsewhere could have caused are not.
    """

    async def authorise(
        request: Request,
        context: WholeService,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Principal:
        key, is_local = await _caller(request, context, credentials)
        if key is not None:
            principal = Principal(key.id, key.scope, key.workspace)
            if wait_s := request.app.state.rate_limits.wait_s(key.id, key.requests_per_minute):
                raise Problem(
                    429,
                    "Too many requests",
                    f"the key {key.name!r} may ask {key.requests_per_minute} times a minute; wait {wait_s} s",
                    retry_after_s=wait_s,
                )
        elif is_local:
            _refuse_foreign_page(request)
            principal = Principal(LOCAL, Scope.ADMIN, DEFAULT_WORKSPACE)
        else:
            raise _unauthorised(credentials is not None)
        if not principal.scope.includes(scope):
            raise Problem(
                403,
                "Scope too narrow",
                f"this requires a key with the scope {scope}; yours has {principal.scope}. Ask for one, or create "
                "one with `tuningfork keys create`",
            )
        _refuse_unknown_parameters(request)
        request.scope.setdefault("state", {}).update(principal=principal.id, caller=principal)
        return principal

    return authorise


async def refusal(request: Request) -> Problem | None:
    """Why nothing is read of who sends a request, before their scope counts; None of a key, or who needs none."""
    credentials = await _bearer(request)
    try:
        key, is_local = await _caller(request, request.app.state.context, credentials)
    except SQLAlchemyError:
        # The route tells it.
        return None
    return None if key is not None or is_local else _unauthorised(credentials is not None)


async def _caller(
    request: Request, context: ServiceContext, credentials: HTTPAuthorizationCredentials | None
) -> tuple[ApiKey | None, bool]:
    """The key of who sends a request, and whether it is a direct call from this machine that needs none."""
    secret = credentials.credentials if credentials else None
    loop = asyncio.get_running_loop()
    key, is_local = await loop.run_in_executor(_authorising, _look_up, context, secret)
    return key, is_local and _is_direct_local(request)


def _look_up(context: ServiceContext, secret: str | None) -> tuple[ApiKey | None, bool]:
    """The key of a caller, and whether the service has none and serves its machine alone."""
    with context.engine.connect() as connection:
        key = find_key(connection, secret) if secret else None
        return key, key is None and context.settings.is_local and not any_key(connection)


def _refuse_unknown_parameters(request: Request) -> None:
    """A misspelt filter would otherwise silently let everything through."""
    if not request.query_params:
        return
    known_names = _query_parameters(request.scope["route"])
    if unknown := request.query_params.keys() - known_names:
        known = ", ".join(sorted(known_names)) or "none"
        detail = f"the parameter {ascii(min(unknown))} is unknown; this address knows: {known}"
        raise Problem(422, "Unknown parameter", detail)


def _query_parameters(route: APIRoute) -> frozenset[str]:
    names: set[str] = set()
    rest = [route.dependant]
    while rest:
        part = rest.pop()
        names |= {field.alias for field in part.query_params}
        rest += part.dependencies
    return frozenset(names)


def _unauthorised(was_given: bool) -> Problem:
    what = "the key is unknown or revoked" if was_given else "no key was given"
    problem = Problem(
        401,
        "Key needed",
        f"{what}; send `Authorization: Bearer tf_...` with one made by `tuningfork keys create`",
    )
    problem.headers["WWW-Authenticate"] = "Bearer"
    return problem


def _is_direct_local(request: Request) -> bool:
    """Whether the caller is a process of this machine, not somebody behind a proxy on it."""
    if any(name in request.headers for name in _FORWARDED) or request.client is None:
        return False
    # nginx, unless told otherwise, adds none of these and names us as host, but speaks what nobody else does any more.
    if request.scope["http_version"] == "1.0":
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _refuse_foreign_page(request: Request) -> None:
    """A browser on this machine may be made to call us by any page it shows: by a rebound name, or a plain form."""
    host = request.headers.get("host", "")
    if host_name(host) not in LOCAL_NAMES:
        raise Problem(
            403,
            "Host not allowed",
            "without keys only http://localhost and http://127.0.0.1 are served; use one of them",
        )
    if request.headers.get("sec-fetch-site") == "cross-site" or is_foreign_origin(request.headers.get("origin"), host):
        raise Problem(
            403, "Origin not allowed", "web pages from another origin may not call a service without keys; create a key"
        )
