"""API keys: random secrets of which only a hash is kept."""

import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Row, insert, select, update

from lm.errors import ConfigError
from lm.files import sha256
from service.contract.scope import DEFAULT_WORKSPACE, WORKSPACE_PATTERN, Scope
from service.store.database import writing
from service.store.tables import api_keys

PREFIX = "tf_"
_SECRET = re.compile(r"tf_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored.

    Attributes:
        scope: The widest it has; it includes the narrower ones.
        requests_per_minute: None: no limit of its own.
        workspace: Whose data it opens.
        max_spend_usd: Most that its comparisons and questions may spend at endpoints; None: no limit of its own.
        spent_usd: What they spent, as far as prices are known.
    """

    id: str
    name: str
    scope: Scope
    requests_per_minute: int | None
    created_at: float
    revoked_at: float | None
    workspace: str
    max_spend_usd: float | None
    spent_usd: float

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Everything it may do."""
        return tuple(scope for scope in Scope if self.scope.includes(scope))


def create_key(
    engine: Engine,
    name: str,
    scopes: Sequence[Scope],
    *,
    workspace: str = DEFAULT_WORKSPACE,
    requests_per_minute: int | None = None,
    max_spend_usd: float | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which cannot be shown again. The workspace is there from its first key on.

    Raises:
        ConfigError: no scope, a limit that lets nothing through, or a name that no workspace can have.
    """
    if not re.match(WORKSPACE_PATTERN, workspace):
        raise ConfigError(
            f"no workspace can be called {workspace!r}; give up to 63 lowercase letters, digits and hyphens"
        )
    if not scopes:
        raise ConfigError(f"the key {name!r} has no scope; give one of {', '.join(Scope)}")
    if requests_per_minute is not None and requests_per_minute < 1:
        raise ConfigError(f"requests_per_minute is {requests_per_minute}; give a whole number of at least 1")
    if max_spend_usd is not None and not 0 < max_spend_usd < float("inf"):
        raise ConfigError(f"max_spend_usd is {max_spend_usd}; give an amount above 0")
    secret = PREFIX + secrets.token_urlsafe(32)
    scope = max(scopes, key=list(Scope).index)
    key = ApiKey(
        secrets.token_hex(8), name, scope, requests_per_minute, time.time(), None, workspace, max_spend_usd, 0.0
    )
    with writing(engine) as connection:
        connection.execute(
            insert(api_keys).values(
                id=key.id,
                name=name,
                secret_sha256=_hash(secret),
                scopes=" ".join(key.scopes),
                requests_per_minute=requests_per_minute,
                created_at=key.created_at,
                workspace=workspace,
                max_spend_usd=max_spend_usd,
            )
        )
    return key, secret


def list_keys(engine: Engine) -> list[ApiKey]:
    """All keys, revoked ones too, the newest first."""
    with engine.connect() as connection:
        rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id)).all()
    return [_key(row) for row in rows]


def revoke_key(engine: Engine, key_id: str) -> ApiKey | None:
    """The key, which opens nothing from now on; None where there is none of that id."""
    with writing(engine) as connection:
        connection.execute(
            update(api_keys)
            .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=time.time())
        )
        row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
    return _key(row) if row else None


def find_key(connection: Connection, secret: str) -> ApiKey | None:
    """The key of a secret; None where it is unknown, malformed or revoked."""
    if not _SECRET.fullmatch(secret):
        return None
    digest = _hash(secret)
    # The database compares hashes of 256-bit secrets, whose order tells a caller nothing about the secret.
    row = connection.execute(select(api_keys).where(api_keys.c.secret_sha256 == digest)).first()
    if row is None or not hmac.compare_digest(row.secret_sha256, digest) or row.revoked_at is not None:
        return None
    return _key(row)


def is_revoked(engine: Engine, key_id: str) -> bool:
    """Whether the key of that id opens nothing any more."""
    with engine.connect() as connection:
        return connection.execute(select(api_keys.c.revoked_at).where(api_keys.c.id == key_id)).scalar() is not None


def any_key(connection: Connection) -> bool:
    """Whether a key was ever made; revoking the last one must not open the service."""
    return connection.execute(select(api_keys.c.id).limit(1)).first() is not None


def _hash(secret: str) -> str:
    return sha256(secret)


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    scope = max((Scope(name) for name in row.scopes.split()), key=list(Scope).index)
    return ApiKey(
        row.id,
        row.name,
        scope,
        row.requests_per_minute,
        row.created_at,
        row.revoked_at,
        row.workspace,
        row.max_spend_usd,
        row.spent_usd,
    )
