"""A finished comparison question by question."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from service.api.auth import Context, require
from service.contract.schemas import ID_PATTERN, GridRowView, QuestionGrid
from service.contract.scope import Scope
from service.store.comparison_store import find_comparison
from service.store.reports.loaded_results import LoadedComparisons
from service.store.reports.question_grid import GridFilter, question_page

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
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> QuestionGrid:
    """Test questions with what each arm said and how that was scored, a page at a time."""
    stored = find_comparison(context.engine, comparison_id)
    results: LoadedComparisons = request.app.state.results
    loaded = results.find(context.engine, comparison_id, stored.finished_at or 0.0)
    page = question_page(loaded, GridFilter(arm, failure, part, contains, differing), limit=limit, offset=offset)
    values: dict[str, Any] = asdict(page)
    return QuestionGrid(items=[GridRowView(**row) for row in values.pop("rows")], **values)
