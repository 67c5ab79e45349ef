"""Making, listing and revoking keys."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from service.api.auth import Context, Principal, WholeService, require
from service.api.context import ServiceContext
from service.api.errors import Problem, not_found
from service.contract.schemas import ID_PATTERN, KeyCreated, KeyList, KeyRequest, KeyView
from service.contract.scope import Scope
from service.store.api_keys import ApiKey, create_key, list_keys, revoke_key

router = APIRouter(prefix="/v1/keys", tags=["keys"])
Admin = Annotated[Principal, Depends(require(Scope.ADMIN))]


def reached(caller: Admin, whole: WholeService, context: Context) -> ServiceContext:
    """Where a caller manages keys: an operator in all workspaces, everybody else in their own."""
    return whole if caller.is_operator else context


Reached = Annotated[ServiceContext, Depends(reached)]


@router.post("", status_code=201)
def create(body: KeyRequest, caller: Admin, context: Reached) -> KeyCreated:
    """Make a key. Its secret is in this answer and nowhere else. From the first key on, every call needs one."""
    workspace = body.workspace or caller.workspace
    if workspace != caller.workspace and not caller.is_operator:
        detail = f"your key makes keys of its own workspace, {caller.workspace}; leave workspace out"
        raise Problem(403, "Not of this workspace", detail)
    key, secret = create_key(
        context.engine,
        body.name,
        body.scopes,
        workspace=workspace,
        requests_per_minute=body.requests_per_minute,
        max_spend_usd=body.max_spend_usd,
    )
    return KeyCreated(secret=secret, **view_key(key).model_dump())


@router.get("")
def list_all(context: Reached) -> KeyList:
    """All keys that you manage, revoked ones too."""
    return KeyList(items=[view_key(key) for key in list_keys(context.engine)])


@router.delete("/{key_id}")
def revoke(key_id: Annotated[str, Path(pattern=ID_PATTERN)], context: Reached) -> KeyView:
    """Make a key open nothing from now on. Doing so twice changes nothing."""
    key = revoke_key(context.engine, key_id)
    if key is None:
        raise not_found("key", key_id)
    return view_key(key)


def view_key(key: ApiKey) -> KeyView:
    """A key without its secret."""
    return KeyView(
        id=key.id,
        name=key.name,
        scopes=list(key.scopes),
        requests_per_minute=key.requests_per_minute,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        workspace=key.workspace,
        max_spend_usd=key.max_spend_usd,
        spent_usd=key.spent_usd,
    )
