"""Blind votes between the answers of two arms."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field, StringConstraints

from service.api.auth import Context, Principal, require
from service.contract.schemas import ID_PATTERN
from service.contract.scope import Scope
from service.store.vote_store import Tally, cast_vote, tally_votes

router = APIRouter(prefix="/v1/comparisons", tags=["votes"])

ArmName = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[a-z-]+$")]
ComparisonId = Annotated[str, Path(pattern=ID_PATTERN)]


class VoteRequest(BaseModel, extra="forbid"):
    """Which of two answers to a question is better, given without knowing whose they are."""

    question: Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[^\x00]*$")]
    arms: Annotated[list[ArmName], Field(min_length=2, max_length=2)] = Field(
        description="The two arms, in the order shown."
    )
    preferred: ArmName | None = Field(description="One of the two, or null for neither.")
    voter: Annotated[str, StringConstraints(max_length=40, pattern=r"^[\x21-\x7e]*$")] = Field(
        default="", description="Identifies people who share a key; a second vote on the same replaces the first."
    )


class TallyView(BaseModel):
    """Votes between two arms, the first in alphabetical order. Ties count in no share."""

    first: str
    second: str
    n_first: int
    n_second: int
    n_ties: int
    n_voters: int
    first_share: float | None = Field(description="Of the decided votes; null where there are none.")
    first_share_low: float | None = Field(description="95 % interval of Wilson.")
    first_share_high: float | None


class TallyList(BaseModel):
    """All pairs of arms that were voted on."""

    items: list[TallyView]


@router.post("/{comparison_id}/votes", status_code=201)
def vote(
    comparison_id: ComparisonId,
    body: VoteRequest,
    principal: Annotated[Principal, Depends(require(Scope.RUN))],
    context: Context,
) -> TallyList:
    """Vote, and see the tally."""
    cast_vote(
        context.engine,
        comparison_id,
        question=body.question,
        arms=(body.arms[0], body.arms[1]),
        preferred=body.preferred,
        voter=f"{principal.id}/{body.voter}",
    )
    return _tallies(tally_votes(context.engine, comparison_id))


@router.get("/{comparison_id}/votes", dependencies=[Depends(require(Scope.READ))])
def tally(comparison_id: ComparisonId, context: Context) -> TallyList:
    """The tally of each pair of arms."""
    return _tallies(tally_votes(context.engine, comparison_id))


def _tallies(tallies: list[Tally]) -> TallyList:
    return TallyList(items=[_view(one) for one in tallies])


def _view(one: Tally) -> TallyView:
    share = one.first_share
    return TallyView(
        first=one.first,
        second=one.second,
        n_first=one.n_first,
        n_second=one.n_second,
        n_ties=one.n_ties,
        n_voters=one.n_voters,
        first_share=share.estimate if share else None,
        first_share_low=share.low if share else None,
        first_share_high=share.high if share else None,
    )
