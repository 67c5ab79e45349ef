"""Naming the arm that an alias such as `production` serves, changing it and going back."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from service.api.auth import Askable, Context, require
from service.api.served import check_askable
from service.contract.query_schemas import (
    ALIAS_PATTERN,
    DeploymentDetail,
    DeploymentList,
    DeploymentView,
    DeployRequest,
    RollbackRequest,
)
from service.contract.scope import Scope
from service.serving.deployment_store import (
    Deployment,
    deploy,
    deployment_history,
    list_deployments,
    remove_deployment,
    roll_back,
)

router = APIRouter(prefix="/v1/deployments", tags=["deployments"])

Alias = Annotated[str, Path(pattern=ALIAS_PATTERN)]
_reads = [Depends(require(Scope.READ))]
_changes = [Depends(require(Scope.ADMIN))]


@router.get("", dependencies=_reads)
def list_all(context: Context) -> DeploymentList:
    """What each alias serves."""
    return DeploymentList(items=[view_deployment(one) for one in list_deployments(context.engine)])


@router.get("/{alias}", dependencies=_reads)
def read(alias: Alias, context: Context) -> DeploymentDetail:
    """What an alias serves and served."""
    history = deployment_history(context.engine, alias)
    return DeploymentDetail(**asdict(history[0]), history=[view_deployment(one) for one in history])


@router.put("/{alias}", dependencies=_changes)
def put(alias: Alias, body: DeployRequest, context: Context, askable: Askable) -> DeploymentView:
    """Let an alias serve an arm of a finished comparison. Doing so twice changes nothing.

    What an alias serves or served cannot be deleted.
    """
    check_askable(context, askable, body.comparison_id, body.kind)
    return view_deployment(deploy(context.engine, alias, body.comparison_id, body.kind))


@router.post("/{alias}/rollback", dependencies=_changes)
def rollback(alias: Alias, context: Context, body: RollbackRequest | None = None) -> DeploymentView:
    """Serve again what was served before, or at a given revision. This is a new revision and can be undone likewise."""
    return view_deployment(roll_back(context.engine, alias, body.revision if body else None))


@router.delete("/{alias}", status_code=204, dependencies=_changes)
def remove(alias: Alias, context: Context) -> None:
    """Forget an alias and its history; comparisons stay."""
    remove_deployment(context.engine, alias)


def view_deployment(deployment: Deployment) -> DeploymentView:
    """A revision as the API gives it."""
    return DeploymentView(**asdict(deployment))
