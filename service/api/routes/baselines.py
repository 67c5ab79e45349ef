"""Naming the comparisons that others are held against."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, StringConstraints

from service.api.auth import Context, require
from service.contract.schemas import ID_PATTERN
from service.contract.scope import Scope
from service.store.comparisons.baseline_store import (
    Baseline,
    delete_baseline,
    find_baseline,
    list_baselines,
    set_baseline,
)

router = APIRouter(prefix="/v1/baselines", tags=["gate"])

# One scope a route: two would count as two requests against a key's limit.
_reads = [Depends(require(Scope.READ))]
_changes = [Depends(require(Scope.RUN))]

BaselineName = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
NamePath = Annotated[str, Path(pattern=ID_PATTERN)]


class BaselineTarget(BaseModel, extra="forbid"):
    """The comparison a name is to stand for."""

    comparison_id: Annotated[str, StringConstraints(pattern=ID_PATTERN)]


class BaselineView(BaseModel):
    """A name for a finished comparison."""

    name: str
    comparison_id: str
    created_at: float


class BaselineList(BaseModel):
    """All baselines by name."""

    items: list[BaselineView]


@router.put("/{name}", dependencies=_changes)
def put_baseline(name: NamePath, body: BaselineTarget, context: Context, response: Response) -> BaselineView:
    """Let a name stand for a comparison that has succeeded. Only this changes a baseline; no result ever does."""
    baseline, is_new = set_baseline(context.engine, name, body.comparison_id)
    response.status_code = 201 if is_new else 200
    return _view(baseline)


@router.get("", dependencies=_reads)
def list_all(context: Context) -> BaselineList:
    """All baselines."""
    return BaselineList(items=[_view(baseline) for baseline in list_baselines(context.engine)])


@router.get("/{name}", dependencies=_reads)
def get_baseline(name: NamePath, context: Context) -> BaselineView:
    """The comparison a name stands for."""
    return _view(find_baseline(context.engine, name))


@router.delete("/{name}", status_code=204, dependencies=_changes)
def remove_baseline(name: NamePath, context: Context) -> None:
    """Forget a name. The comparison stays."""
    delete_baseline(context.engine, name)


def _view(baseline: Baseline) -> BaselineView:
    return BaselineView(name=baseline.name, comparison_id=baseline.comparison_id, created_at=baseline.created_at)
