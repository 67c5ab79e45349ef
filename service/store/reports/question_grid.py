"""A finished comparison question by question: what each arm said, side by side."""

from dataclasses import dataclass, replace

from service.contract.schemas import GridRow, QuestionGrid
from service.store.reports.loaded_results import LoadedResults


@dataclass(frozen=True, slots=True)
class GridFilter:
    """Which questions are wanted; None: all.

    Attributes:
        arm: The arm that `failure` is about; without one it is about any.
        failure: A kind of failure, or "any".
        differing: Only where arms do not have the same score.
    """

    arm: str | None = None
    failure: str | None = None
    slice: str | None = None
    contains: str | None = None
    differing: bool = False


def question_page(
    loaded: LoadedResults, wanted: GridFilter, *, limit: int, offset: int, before: LoadedResults | None = None
) -> QuestionGrid:
    """A page of questions, in file order.

    Args:
        before: Only questions that an arm is scored otherwise for than there; those it did not ask have not changed.
    """
    counted: dict[str, int] = {}
    for (arm, failure), n in loaded.failure_counts.items():
        if wanted.arm in (None, arm):
            counted[failure] = counted.get(failure, 0) + n
    text = (wanted.contains or "").casefold()
    chosen = [row for row in loaded.rows if _is_wanted(row, wanted)]
    if text:
        chosen = [row for row in chosen if any(text in told for told in loaded.told[row.example_id])]
    if before is not None:
        chosen = [row for row in (_since(row, before) for row in chosen) if row.earlier]
    return QuestionGrid(
        items=chosen[offset : offset + limit],
        total=len(chosen),
        arms=list(loaded.arm_names),
        metric=loaded.metric or "",
        slices=list(dict.fromkeys(row.slice for row in loaded.rows)),
        failures=dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))),
    )


def _since(row: GridRow, before: LoadedResults) -> GridRow:
    was = before.row_of.get(row.example_id)
    if was is None or was.question != row.question:
        return row
    both = row.scores.keys() & was.scores.keys()
    return replace(row, earlier={arm: was.scores[arm] for arm in both if was.scores[arm] != row.scores[arm]})


def _is_wanted(row: GridRow, wanted: GridFilter) -> bool:
    if wanted.slice is not None and row.slice != wanted.slice:
        return False
    if wanted.differing and len(set(row.scores.values())) < 2:
        return False
    if wanted.failure is None:
        return True
    kinds = [kind for arm, kind in row.failures.items() if wanted.arm in (None, arm)]
    return bool(kinds) and wanted.failure in ("any", *kinds)
