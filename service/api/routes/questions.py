"""A finished comparison question by question."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from advisor.report.facts import side_by_side
from service.api.auth import Context, require
from service.api.context import ServiceContext
from service.api.errors import Problem
from service.api.paging import Offset, Whole
from service.api.routes.baselines import BaselineName
from service.contract.schemas import ID_PATTERN, FirstLook, QuestionGrid
from service.contract.scope import Scope
from service.store.comparisons.baseline_store import find_baseline
from service.store.comparisons.comparison_store import find_comparison
from service.store.reports.loaded_results import LoadedComparisons, LoadedResults
from service.store.reports.question_grid import GridFilter, question_page
from service.store.reports.stored_reports import read_finished

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"], dependencies=[Depends(require(Scope.READ))])


@router.get("/{comparison_id}/questions")
def questions(
    comparison_id: Annotated[str, Path(pattern=ID_PATTERN)],
    context: Context,
    request: Request,
    arm: Annotated[str | None, Query(max_length=64, description="The arm that `failure` is about.")] = None,
    failure: Annotated[str | None, Query(max_length=64, description="A kind of failure, or any.")] = None,
    part: Annotated[str | None, Query(alias="slice", max_length=64)] = None,
    contains: Annotated[str | None, Query(max_length=200, description="In question, reference or answer.")] = None,
    differing: Annotated[bool, Query(description="Only where arms do not have the same score.")] = False,
    since: Annotated[
        BaselineName | None, Query(description="Only where an arm's score is not that of this baseline.")
    ] = None,
    limit: Annotated[Whole, Query(ge=1, le=1000)] = 100,
    offset: Offset = 0,
) -> QuestionGrid:
    """Test questions with what each arm said and how that was scored, a page at a time."""
    loaded = _loaded(context, request, comparison_id)
    before = None
    if since is not None:
        before = _loaded(context, request, find_baseline(context.engine, since).comparison_id)
        if before.metric != loaded.metric:
            raise Problem(
                409,
                "Another metric",
                f"the baseline {since} was decided by {before.metric} and {comparison_id} by {loaded.metric}, so their "
                "scores cannot be set against each other; choose another baseline",
            )
    wanted = GridFilter(arm, failure, part, contains, differing)
    return question_page(loaded, wanted, limit=limit, offset=offset, before=before)


@router.get("/{comparison_id}/first-look")
def look(comparison_id: Annotated[str, Path(pattern=ID_PATTERN)], context: Context, request: Request) -> FirstLook:
    """What the answers of each arm come to, and three test questions that show how the arms differ."""
    loaded = _loaded(context, request, comparison_id)
    comparison = read_finished(context.engine, comparison_id)
    return FirstLook(tally=loaded.tally, examples=list(side_by_side(comparison, loaded.answered)))


def _loaded(context: ServiceContext, request: Request, comparison_id: str) -> LoadedResults:
    stored = find_comparison(context.engine, comparison_id)
    results: LoadedComparisons = request.app.state.results
    return results.find(context.engine, comparison_id, stored.finished_at or 0.0)
