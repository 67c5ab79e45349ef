"""Links that show one verdict, and nothing else, to whoever has them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import HTMLResponse

from advisor.report.texts.html import verdict_html
from service.api.auth import Context, RateLimits, WholeService, require
from service.api.errors import Problem
from service.contract.schemas import ID_PATTERN, ShareCreated
from service.contract.scope import Scope
from service.store.comparisons.comparison_store import find_comparison
from service.store.comparisons.share_store import revoke_share, share_comparison, shared_comparison
from service.store.reports.loaded_results import LoadedComparisons
from service.store.reports.stored_reports import read_finished

PER_MINUTE = 60
"""Requests to one link, and to all unknown ones together."""

router = APIRouter(prefix="/v1", tags=["comparisons"])
ComparisonId = Annotated[str, Path(pattern=ID_PATTERN)]
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


@router.post("/comparisons/{comparison_id}/share", status_code=201, dependencies=[Depends(require(Scope.RUN))])
def share(comparison_id: ComparisonId, context: Context) -> ShareCreated:
    """Make a link that shows the verdict without a key. It is told this once; an earlier link ends."""
    token = share_comparison(context.engine, comparison_id)
    return ShareCreated(token=token, path=f"/v1/shared/{token}")


@router.delete("/comparisons/{comparison_id}/share", status_code=204, dependencies=[Depends(require(Scope.RUN))])
def unshare(comparison_id: ComparisonId, context: Context) -> None:
    """End the link of a comparison."""
    revoke_share(context.engine, comparison_id)


@router.get("/shared/{token}", response_class=HTMLResponse)
def shared(token: Annotated[str, Path(max_length=64)], context: WholeService, request: Request) -> HTMLResponse:
    """The verdict that a link leads to: arms, scores, costs and reasons; no question, answer or document."""
    comparison_id = shared_comparison(context.engine, token)
    limits: RateLimits = request.app.state.rate_limits
    if wait_s := limits.wait_s(f"shared {comparison_id}", PER_MINUTE):
        raise Problem(429, "Too many requests", f"wait {wait_s} s, then open the link again", retry_after_s=wait_s)
    if comparison_id is None:
        raise Problem(404, "No such link", "the link is unknown or was revoked; ask who sent it for another one")
    results: LoadedComparisons = request.app.state.results
    stored = find_comparison(context.engine, comparison_id)
    tally = results.find(context.engine, comparison_id, stored.finished_at or 0.0).tally
    return HTMLResponse(verdict_html(read_finished(context.engine, comparison_id), tally), headers=_HEADERS)
