"""What all kinds of side runs have: they are looked at, cancelled, resumed and deleted like comparisons."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.concurrency import run_in_threadpool

from service.api.auth import Allowed, Context, Principal, require
from service.api.context import ServiceContext
from service.api.errors import Problem
from service.api.paging import Whole
from service.api.routes.comparisons import submit, when_over
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import AnyRun, SideRunKind, SideRunList, StageProgress
from service.contract.scope import Scope
from service.run.side_run import read_side_result
from service.safety.allowed_models import AllowedModels
from service.store.comparisons.comparison_progress import FollowedComparisons
from service.store.comparisons.comparison_store import (
    ComparisonNotFoundError,
    StoredComparison,
    find_comparison,
    list_comparisons,
    request_cancel,
    resume_comparison,
)
from service.store.comparisons.run_folder import remove_comparison

Reader = Annotated[Principal, Depends(require(Scope.READ))]
Runner = Annotated[Principal, Depends(require(Scope.RUN))]
Limit = Annotated[Whole, Query(ge=1, le=200)]
RunId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]

OwnFields = Callable[[StoredComparison, list[StageProgress], dict[str, Any] | None], dict[str, Any]]
"""What only this kind shows, from the row, how far it is, and its result once there is one."""


@dataclass(frozen=True, slots=True)
class SideRuns(Generic[AnyRun]):
    """The runs of one kind behind its addresses.

    Attributes:
        begins: Their ids in the table; callers know what follows.
        check_models: Refuses a run whose models callers may no longer name.
    """

    kind: SideRunKind[AnyRun]
    begins: str
    own_fields: OwnFields
    check_models: Callable[[ServiceContext, StoredComparison, AllowedModels], None]

    def view(self, context: ServiceContext, request: Request, stored: StoredComparison, **more: Any) -> AnyRun:
        """A run as callers see it."""
        followed: FollowedComparisons = request.app.state.followed
        progress = followed.find(context.engine, stored.id).progress()
        result = read_side_result(context.engine, stored.id) if stored.state is ComparisonState.SUCCEEDED else None
        return self.kind.view(
            id=stored.id.removeprefix(self.begins),
            name=stored.name,
            dataset=stored.dataset or None,
            settings=dict(stored.settings),
            state=stored.state,
            cancel_requested=stored.cancel_requested,
            error=stored.error,
            created_at=stored.created_at,
            started_at=stored.started_at,
            finished_at=stored.finished_at,
            **self.own_fields(stored, progress, result),
            **more,
        )

    def page(
        self, context: ServiceContext, request: Request, limit: int, offset: int, settings: dict[str, Any] | None = None
    ) -> SideRunList[AnyRun]:
        """Runs, the newest first; with settings those with exactly these."""
        stored, total = list_comparisons(
            context.engine, limit=limit, offset=offset, side_run=self.begins, settings=settings
        )
        return self.kind.page(items=[self.view(context, request, one) for one in stored], total=total)

    def _find(self, context: ServiceContext, run_id: str) -> StoredComparison:
        try:
            return find_comparison(context.engine, self.begins + run_id)
        except ComparisonNotFoundError:
            detail = f"there is no {self.kind.name} {run_id!r}; GET {self.kind.path} lists them"
            raise Problem(404, "No such run", detail) from None

    def router(self) -> APIRouter:
        """The addresses of one run; creating and listing are the kind's own."""
        router = APIRouter(prefix=self.kind.path, tags=[f"{self.kind.name}s"])
        view = self.kind.view

        @router.get("/{run_id}", response_model=view)
        async def get(
            run_id: RunId,
            caller: Reader,
            context: Context,
            request: Request,
            wait_s: Annotated[
                float, Query(ge=0, le=60, description="Answer as soon as it is over, at latest after this.")
            ] = 0,
        ) -> AnyRun:
            """One run: its state, how far it is, and once it is over what it came to."""
            await run_in_threadpool(self._find, context, run_id)
            stored = await when_over(request, context, self.begins + run_id, wait_s)
            return await run_in_threadpool(self.view, context, request, stored)

        @router.post("/{run_id}/cancel", status_code=202, response_model=view)
        def cancel(run_id: RunId, caller: Runner, context: Context, request: Request) -> AnyRun:
            """Stop a run: what waits at once, what runs after the batch of questions that it is at."""
            return self.view(context, request, request_cancel(context.engine, self._find(context, run_id).id))

        @router.post("/{run_id}/resume", status_code=202, response_model=view)
        def resume(run_id: RunId, caller: Runner, context: Context, allowed: Allowed, request: Request) -> AnyRun:
            """Queue a failed or cancelled run again. It begins anew."""
            found = self._find(context, run_id)
            self.check_models(context, found, allowed)
            stored = resume_comparison(context.engine, found.id, max_queued=context.settings.max_queued)
            submit(context, stored.id)
            return self.view(context, request, stored)

        @router.delete("/{run_id}", status_code=204)
        def delete(run_id: RunId, caller: Runner, context: Context) -> None:
            """Delete a run that is over. A dataset that it made stays."""
            remove_comparison(context.engine, context.directory, self._find(context, run_id).id)

        return router
