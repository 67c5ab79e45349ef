"""A finished comparison question by question: what each arm said, side by side."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from sqlalchemy import Engine

from advisor.report.quantities import clip
from service.results import read_report_file

_SHORT = 160


@dataclass(frozen=True, slots=True)
class GridRow:
    """One test question.

    Attributes:
        answers: Shortened, by arm. scores: of the deciding metric, by arm; None is unscored.
        failures: Kind of failure of each wrong answer, by arm.
    """

    example_id: str
    question: str
    slice: str
    references: tuple[str, ...]
    answers: Mapping[str, str] = field(hash=False)
    scores: Mapping[str, float | None] = field(hash=False)
    failures: Mapping[str, str] = field(hash=False)


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


@dataclass(frozen=True, slots=True)
class GridPage:
    """Some of the questions.

    Attributes:
        failures: Wrong answers by kind, over the arm of the filter or all arms, whatever else is filtered.
    """

    rows: tuple[GridRow, ...]
    total: int
    arms: tuple[str, ...]
    metric: str
    slices: tuple[str, ...]
    failures: Mapping[str, int] = field(hash=False)


def question_page(
    engine: Engine, comparison_id: str, metric: str, finished_at: float, wanted: GridFilter, *, limit: int, offset: int
) -> GridPage:
    """A page of questions, in file order. The questions are kept in memory for the next page.

    Args:
        metric: The one that decides.
    """
    arms, rows = _grid(engine, comparison_id, metric, finished_at)
    counted: dict[str, int] = {}
    for row in rows:
        for arm, failure in row.failures.items():
            if wanted.arm in (None, arm):
                counted[failure] = counted.get(failure, 0) + 1
    text = (wanted.contains or "").casefold()
    chosen = [row for row in rows if _is_wanted(row, wanted, text)]
    return GridPage(
        rows=tuple(chosen[offset : offset + limit]),
        total=len(chosen),
        arms=arms,
        metric=metric,
        slices=tuple(dict.fromkeys(row.slice for row in rows)),
        failures=dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))),
    )


def _is_wanted(row: GridRow, wanted: GridFilter, text: str) -> bool:
    if wanted.slice is not None and row.slice != wanted.slice:
        return False
    if wanted.differing and len(set(row.scores.values())) < 2:
        return False
    if wanted.failure is not None:
        kinds = [kind for arm, kind in row.failures.items() if wanted.arm in (None, arm)]
        if not kinds or (wanted.failure != "any" and wanted.failure not in kinds):
            return False
    return not text or any(text in said.casefold() for said in (row.question, *row.references, *row.answers.values()))


@lru_cache(maxsize=4)
def _grid(
    engine: Engine, comparison_id: str, metric: str, finished_at: float
) -> tuple[tuple[str, ...], tuple[GridRow, ...]]:
    """`finished_at` tells a comparison that was finished anew from the one in memory."""
    content = read_report_file(engine, comparison_id, "results.jsonl") or b""
    arms: dict[str, None] = {}
    grid: dict[str, GridRow] = {}
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        raw = json.loads(line)
        arm, example_id = raw["arm"], raw["example_id"]
        arms[arm] = None
        row = grid.get(example_id)
        if row is None:
            row = GridRow(example_id, raw["question"], raw["slice"], tuple(raw["references"]), {}, {}, {})
            grid[example_id] = row
        assert isinstance(row.answers, dict)
        assert isinstance(row.scores, dict)
        assert isinstance(row.failures, dict)
        row.answers[arm] = clip(raw["answer"]["text"], _SHORT)
        score = raw["scores"].get(metric)
        row.scores[arm] = score["value"] if score is not None else None
        if raw["failure"]:
            row.failures[arm] = raw["failure"]
    return tuple(arms), tuple(grid.values())
