"""Blind votes between two arms: which of two answers is better, by people who are not told whose they are."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from advisor.evidence.statistics import wilson_interval
from advisor.results.comparison import Interval
from lm.errors import ConfigError
from service.store.comparisons.comparison_store import find_comparison
from service.store.database import writing
from service.store.tables import votes


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes between two arms, the first in alphabetical order.

    Attributes:
        n_ties: Votes for neither; they count in no share.
        first_share: Of the decided votes, with its 95 % interval; None where none is decided.
    """

    first: str
    second: str
    n_first: int
    n_second: int
    n_ties: int
    n_voters: int
    first_share: Interval | None


def cast_vote(
    engine: Engine, comparison_id: str, *, question: str, arms: tuple[str, str], preferred: str | None, voter: str
) -> None:
    """Store a vote; the same voter's earlier one on the same question and arms is replaced.

    Args:
        arms: The two shown, in either order. preferred: one of them, or None for neither.
    Raises:
        ComparisonNotFoundError: there is no such comparison.
        ConfigError: an arm is not of the comparison, or both are the same.
    """
    candidates = find_comparison(engine, comparison_id).arms
    first, second = sorted(arms)
    for arm in (first, second):
        if arm not in candidates:
            raise ConfigError(f"the comparison {comparison_id} has no arm {arm!r}; it has {', '.join(candidates)}")
    if first == second:
        raise ConfigError(f"both answers are of {first!r}; a vote is between two arms")
    if preferred not in (first, second, None):
        raise ConfigError(f"{preferred!r} was not shown; preferred is {first!r}, {second!r}, or null for neither")
    shown = {"comparison_id": comparison_id, "question": question, "first": first, "second": second, "voter": voter}
    try:
        _write(engine, shown, preferred)
    except IntegrityError:
        # The same voter voted twice at once, or the comparison was deleted in between: the second look sees it.
        find_comparison(engine, comparison_id)
        _write(engine, shown, preferred)


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's vote; `preferred` None for neither."""

    question: str
    first: str
    second: str
    preferred: str | None
    voter: str


def read_votes(engine: Engine, comparison_id: str) -> list[Vote]:
    """All votes on a comparison, oldest first."""
    columns = (votes.c.question, votes.c.first, votes.c.second, votes.c.preferred, votes.c.voter)
    wanted = select(*columns).where(votes.c.comparison_id == comparison_id).order_by(votes.c.created_at, votes.c.id)
    with engine.connect() as connection:
        return [Vote(*row) for row in connection.execute(wanted)]


def tally_votes(engine: Engine, comparison_id: str) -> list[Tally]:
    """One row for each pair of arms that was voted on.

    Raises:
        ComparisonNotFoundError: there is no such comparison.
    """
    find_comparison(engine, comparison_id)
    of_it = votes.c.comparison_id == comparison_id
    counted = (
        select(votes.c.first, votes.c.second, votes.c.preferred, func.count())
        .where(of_it)
        .group_by(votes.c.first, votes.c.second, votes.c.preferred)
    )
    voters = (
        select(votes.c.first, votes.c.second, func.count(votes.c.voter.distinct()))
        .where(of_it)
        .group_by(votes.c.first, votes.c.second)
    )
    with engine.connect() as connection:
        counts = {(first, second, preferred): n for first, second, preferred, n in connection.execute(counted)}
        pairs = {(first, second): n for first, second, n in connection.execute(voters)}
    return [
        _tally(
            first,
            second,
            counts.get((first, second, first), 0),
            counts.get((first, second, second), 0),
            counts.get((first, second, None), 0),
            n_voters,
        )
        for (first, second), n_voters in sorted(pairs.items())
    ]


def _write(engine: Engine, shown: Mapping[str, str], preferred: str | None) -> None:
    with writing(engine) as connection:
        connection.execute(delete(votes).where(*(votes.c[name] == value for name, value in shown.items())))
        connection.execute(
            insert(votes).values(id=secrets.token_hex(16), preferred=preferred, created_at=time.time(), **shown)
        )


def _tally(first: str, second: str, n_first: int, n_second: int, n_ties: int, n_voters: int) -> Tally:
    decided = n_first + n_second
    share = wilson_interval(n_first, decided) if decided else None
    return Tally(first, second, n_first, n_second, n_ties, n_voters, share)
